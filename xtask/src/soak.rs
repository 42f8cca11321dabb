//! `cargo xtask soak`: hours of listening, played as fast as they are heard.

use std::process::Command;

use crate::process::execute;

/// Plays `hours` of commands in changing noise to `ossicle listen`, and prints resident memory as it goes (`runtime/cli/tests/soak.rs`).
///
/// # Errors
/// A command was lost, samples were not counted, or memory grew.
pub(crate) fn run(hours: f64) -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(crate::root()?).env("OSSICLE_SOAK_HOURS", hours.to_string());
    execute(cargo.args(["test", "--release", "-p", "ossicle-cli", "--test", "soak", "--", "--nocapture"]))
}
