//! The project's own tasks: `cargo xtask check` is what continuous integration runs.

#![forbid(unsafe_code)]

mod check;
mod models;

use clap::Parser;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Format, lints, documentation, tests and the README's main command: what continuous integration runs.
    Check,
    /// Make an int8 model folder from the published weights: whisper-tiny.en (bundled) or whisper-base (multilingual).
    #[command(after_help = "Example: cargo xtask models whisper-base")]
    Models {
        /// The model's name.
        name: String,
    },
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Check => check::run(),
        Task::Models { name } => models::run(&name),
    }
}
