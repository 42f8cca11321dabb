//! `cargo xtask check`.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::cross::{self, Target};
use crate::emulate;

/// Clippy on what the features of the workspace's default leave out.
const FEATURE_LINTS: &[&str] = &[
    "clippy",
    "--release",
    "-p",
    "ossicle-kernels",
    "-p",
    "ossicle-frontend",
    "-p",
    "ossicle-boards",
    "--all-targets",
    "--features",
    "ossicle-kernels/fault-injection,ossicle-frontend/defmt,ossicle-boards/linux",
    "--",
    "-D",
    "warnings",
];

/// Each check: its name, cargo's arguments, and what the output must hold, if anything.
const CHECKS: &[(&str, &[&str], Option<&str>)] = &[
    ("format", &["fmt", "--all", "--check"], None),
    ("lints", &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"], None),
    ("lints of features", FEATURE_LINTS, None),
    ("documentation", &["doc", "--release", "--workspace", "--no-deps"], None),
    ("kernels without std", &["build", "--release", "-p", "ossicle-kernels", "-p", "ossicle-frontend", "--no-default-features"], None),
    ("boards without std", &["build", "--release", "-p", "ossicle-boards", "--no-default-features"], None),
    ("tests", &["test", "--release", "--workspace"], None),
    ("planted faults", &["test", "--release", "-p", "ossicle-sim", "--features", "fault-injection", "--test", "faults"], None),
    ("main command", &["run", "--release", "--", "transcribe", "samples/kitchen.wav"], Some("turn off the kitchen lights")),
];

/// Runs all checks, in the release profile: one build of tract serves them all. With `all`, another runtime,
/// cross-builds, emulated boards and an installed package follow.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run(all: bool) -> anyhow::Result<()> {
    for (name, arguments, expected) in CHECKS {
        timed(name, || cargo(arguments, *expected).with_context(|| format!("cargo {}", arguments.join(" "))))?;
    }
    if all {
        ensure!(
            crate::process::output(Command::new("id").arg("-u"))?.trim() == "0",
            "--all installs packages and changes its root: run it as root"
        );
        timed("the microphone", microphone)?;
        timed("exported layers in ONNX Runtime", crate::onnx::run)?;
        timed("clients of ossicle serve", crate::serve::run)?;
        timed("spoken sentence packs", || crate::packs::run(72))?;
        timed("no_std crates for microcontrollers", || cross::run(&[Target::Thumbv7em, Target::Riscv32imac], "release"))?;
        timed("emulated boards", || emulate::run(&[]))?;
        timed("a package in an arm64 Debian", crate::package::check)?;
    }
    Ok(())
}

/// Lints of the command line with a microphone, which needs ALSA's headers.
fn microphone() -> anyhow::Result<()> {
    let found = Command::new("pkg-config").args(["--exists", "alsa"]).status().is_ok_and(|status| status.success());
    if !found {
        crate::apt::update_once()?;
        crate::process::execute(Command::new("apt-get").args([
            "install",
            "-y",
            "--no-install-recommends",
            "pkg-config",
            "libasound2-dev",
        ]))?;
    }
    cargo(&["clippy", "--release", "-p", "ossicle-cli", "--all-targets", "--features", "microphone", "--", "-D", "warnings"], None)
}

fn timed(name: &str, check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    check().with_context(|| format!("{name} failed"))?;
    println!("    {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str], expected: Option<&str>) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(crate::root()?).args(arguments).env("RUSTDOCFLAGS", "-D warnings");
    let Some(expected) = expected else { return crate::process::execute(&mut command) };
    let text = crate::process::output(&mut command)?;
    print!("{text}");
    if !text.to_lowercase().contains(expected) {
        bail!("expected {expected:?}");
    }
    Ok(())
}
