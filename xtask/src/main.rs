//! The project's own tasks: `cargo xtask check` is what continuous integration runs.

#![forbid(unsafe_code)]

mod apt;
mod bench;
mod built;
mod check;
mod cross;
mod emulate;
mod instructions;
mod models;
mod onnx;
mod package;
mod packs;
mod process;
mod serve;
mod soak;
mod units;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, ValueEnum};

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Format, lints, documentation, tests and the README's main command; with --all all that continuous integration runs.
    #[command(after_help = "\
Examples:
  cargo xtask check
  cargo xtask check --long emulation --long package")]
    Check {
        /// Also run exported layers in ONNX Runtime, let real clients talk to `ossicle serve`, build for microcontrollers and boards, and
        /// run tests and transcriptions on emulated cores: as root, and 1.5 GB the first time
        #[arg(long)]
        all: bool,
        /// Run this instead, which takes too long for every change: before a release, or after a change in what it guards. May be repeated
        #[arg(long, value_enum, value_name = "PIECE", conflicts_with = "all")]
        long: Vec<check::Piece>,
    },
    /// Build, and print how fast it is; with --peers, beside other runtimes.
    #[command(after_help = "Example: cargo xtask bench --rounds 20")]
    Bench(bench::Args),
    /// Make an int8 model folder from the published weights: whisper-tiny.en (bundled) or whisper-base (multilingual).
    #[command(after_help = "Example: cargo xtask models whisper-base")]
    Models {
        /// The model's name.
        name: String,
    },
    /// Build for boards: the device binary (aarch64, armv7) as target/cross/NAME/ossicle, the no_std crates for microcontrollers.
    #[command(after_help = "Example: cargo xtask cross --target aarch64")]
    Cross {
        /// What to build for; all without it. May be repeated.
        #[arg(long = "target", value_enum)]
        targets: Vec<cross::Target>,
        /// Cargo profile: release, or dist (smaller, minutes slower to build).
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Export linear layers as ONNX and compare ONNX Runtime's results with our kernels', bit for bit.
    Onnx,
    /// Run the tests and a transcription on emulated cores and compare with this machine.
    #[command(after_help = "Example: cargo xtask emulate --cpu cortex-a72")]
    Emulate {
        /// Cores; all without it. May be repeated.
        #[arg(long = "cpu")]
        cpus: Vec<String>,
        /// Only what `check --all` runs.
        #[arg(long, conflicts_with = "cpus")]
        quick: bool,
    },
    /// Count the instructions that emulated cores execute for each phase of a transcription, or for voice commands.
    #[command(after_help = "\
Examples:
  cargo xtask instructions --cpu cortex-a76
  cargo xtask instructions --cpu cortex-a72 --model whisper-tiny.en-short --sentences coffee order.flac")]
    Instructions {
        /// Cores; all without it. May be repeated.
        #[arg(long = "cpu")]
        cpus: Vec<String>,
        /// Folder under models-int8.
        #[arg(long, default_value = "whisper-tiny.en-short")]
        model: String,
        /// Length of the encoder's window.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=30))]
        seconds: u32,
        /// Count whole commands among the sentences of this pack instead.
        #[arg(long, requires = "recordings")]
        sentences: Option<String>,
        /// Recordings of a command each.
        #[arg(requires = "sentences")]
        recordings: Vec<PathBuf>,
    },
    /// Let real clients (the packages wyoming and openai, curl, mosquitto) talk to `ossicle serve`.
    Serve {
        /// Requests in a row, after the clients.
        #[arg(long, default_value_t = 300)]
        requests: usize,
    },
    /// Speak sentences of both packs with espeak-ng and flite and count how many `ossicle command` understands, and how much else it takes for one.
    Packs {
        /// Sentences of each pack.
        #[arg(long, default_value_t = 240)]
        sentences: usize,
    },
    /// Count the instructions of the kernels' units of work on emulated cores: boards/costs/instructions.toml.
    Units,
    /// Play hours of commands in changing noise to `ossicle listen`, as fast as it hears them: nothing is lost and memory stays flat.
    #[command(after_help = "Example: cargo xtask soak --hours 24")]
    Soak {
        /// Hours of sound.
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
    },
    /// Build the programs and make a .deb and a .tar.gz for a board: programs, models, samples, documentation, systemd services.
    #[command(after_help = "\
Examples:
  cargo xtask package --board host
  cargo xtask package --board pi5 --prove")]
    Package(package::Args),
}

/// The folder of build products.
fn target() -> anyhow::Result<PathBuf> {
    Ok(root()?.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())))
}

/// The workspace's root.
fn root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).context("xtask lies in the workspace")
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Check { all, long } if long.is_empty() => check::run(all),
        Task::Check { long, .. } => check::run_long(&long),
        Task::Bench(args) => bench::run(&args),
        Task::Models { name } => models::run(&name),
        Task::Cross { targets, profile } => {
            cross::run(if targets.is_empty() { cross::Target::value_variants() } else { &targets }, &profile)
        }
        Task::Onnx => onnx::run(),
        Task::Emulate { cpus, quick } => emulate::run(&cpus, if quick { emulate::Extent::Quick } else { emulate::Extent::Whole }),
        Task::Instructions { cpus, model, sentences: Some(sentences), recordings, .. } => {
            instructions::commands(&cpus, &model, &sentences, &recordings)
        }
        Task::Instructions { cpus, model, seconds, .. } => instructions::run(&cpus, &model, seconds),
        Task::Serve { requests } => serve::run(requests),
        Task::Packs { sentences } => packs::run(sentences),
        Task::Units => units::run(),
        Task::Soak { hours } => soak::run(hours),
        Task::Package(args) => package::run(&args),
    }
}
