//! `cargo xtask check`.

mod clock;
mod long;
mod structure;

use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::cross::{self, Target};
use crate::emulate::{self, Extent};
use crate::process::{execute, output};
use crate::{built, onnx, serve};
use clock::Clock;
pub(crate) use long::Piece;

/// What lints and documentation also cover, in addition to the default features: the code that features bring, in one go. One set for both, as the libraries
/// they need are then read once. defmt is not among them: its macros ask for more of a parser that the tests need as well, and would have it
/// built twice.
const FEATURES: &str = "ossicle-sim/fault-injection,ossicle-boards/linux";

/// The feature that needs ALSA's headers.
const MICROPHONE: &str = "ossicle-cli/microphone";

/// The crates for machines without an operating system.
const WITHOUT_STD: &[&str] =
    &["check", "--release", "-p", "ossicle-kernels", "-p", "ossicle-frontend", "-p", "ossicle-boards", "--no-default-features"];

const TESTS: &[&str] = &["test", "--release", "--workspace"];

/// The README's main command, and what it must say.
const MAIN_COMMAND: [&str; 2] = ["transcribe", "samples/kitchen.wav"];
const SPOKEN: &str = "turn off the kitchen lights";

/// Requests to the service: enough to see that memory stays where it was.
const REQUESTS: usize = 120;

/// Runs all checks, in the release profile: one build of tract serves them all. With `all`, another runtime, clients, cross-builds and an
/// emulated core follow.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run(all: bool) -> anyhow::Result<()> {
    if all {
        require_root("--all")?;
    }
    let mut clock = Clock::default();
    let result = short(&mut clock, all).and_then(|()| if all { outside(&mut clock) } else { Ok(()) });
    println!("{}", clock.table());
    result
}

/// Runs pieces of what takes too long for every change.
///
/// # Errors
/// The first piece that fails.
pub(crate) fn run_long(pieces: &[Piece]) -> anyhow::Result<()> {
    let mut clock = Clock::default();
    let result = pieces.iter().try_for_each(|piece| clock.timed(piece.name(), || piece.run()));
    println!("{}", clock.table());
    result
}

/// What needs Rust alone.
fn short(clock: &mut Clock, all: bool) -> anyhow::Result<()> {
    clock.timed("format", || cargo(&["fmt", "--all", "--check"]))?;
    clock.timed("structure", structure::run)?;
    let features = &features(all)?;
    clock.timed("lints", || {
        cargo(&["clippy", "--release", "--workspace", "--all-targets", "--features", features, "--", "-D", "warnings"])
    })?;
    clock.timed("documentation", || cargo(&["doc", "--release", "--workspace", "--no-deps", "--features", features]))?;
    clock.timed("crates without std", || cargo(WITHOUT_STD))?;
    clock.timed("tests", || cargo(TESTS))?;
    built::by_tests();
    clock.timed("main command", main_command)
}

/// What needs other programs, emulators among them.
fn outside(clock: &mut Clock) -> anyhow::Result<()> {
    clock.timed("exported layers in ONNX Runtime", onnx::run)?;
    clock.timed("clients of ossicle serve", || serve::run(REQUESTS))?;
    clock.timed("no_std crates for microcontrollers", || cross::run(&[Target::Thumbv7em, Target::Riscv32imac], "release"))?;
    clock.timed("emulated boards", || emulate::run(&[], Extent::Quick))
}

/// [`FEATURES`], and the microphone where ALSA's headers are; with `all` they are installed.
fn features(all: bool) -> anyhow::Result<String> {
    let headers = || Command::new("pkg-config").args(["--exists", "alsa"]).status().is_ok_and(|status| status.success());
    if all && !headers() {
        crate::apt::install(&["pkg-config", "libasound2-dev"])?;
    }
    Ok(if headers() { format!("{FEATURES},{MICROPHONE}") } else { FEATURES.to_owned() })
}

fn main_command() -> anyhow::Result<()> {
    let text = output(Command::new(built::command_line()?).current_dir(crate::root()?).args(MAIN_COMMAND))?;
    print!("{text}");
    if !text.to_lowercase().contains(SPOKEN) {
        bail!("expected {SPOKEN:?}");
    }
    Ok(())
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn require_root(what: &str) -> anyhow::Result<()> {
    ensure!(is_root(), "{what} installs packages: run it as root");
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(crate::root()?).args(arguments).env("RUSTDOCFLAGS", "-D warnings");
    execute(&mut command).with_context(|| format!("cargo {}", arguments.join(" ")))
}
