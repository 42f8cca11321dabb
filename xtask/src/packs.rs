//! `cargo xtask packs`: the sentence packs, spoken by speech synthesisers.

use std::process::Command;

use crate::process::execute;

/// What flite and espeak-ng must reach, and how much other speech may be taken for a command, in percent.
const LEAST: [&str; 3] = ["78", "45", "2.5"];

/// Has about so many sentences of each pack spoken and recognised.
///
/// # Errors
/// espeak-ng or flite cannot be had, fewer commands are understood than should be, or more other speech is taken for one.
pub(crate) fn run(sentences: usize) -> anyhow::Result<()> {
    let root = crate::root()?;
    let ossicle = crate::built::command_line()?;
    crate::apt::require("espeak-ng", &["espeak-ng"])?;
    crate::apt::require("flite", &["flite"])?;
    let mut python = Command::new("python3");
    python.arg(root.join("tests/accuracy/packs.py")).args(["--sentences", &sentences.to_string(), "--least"]).args(LEAST);
    execute(python.env("OSSICLE", &ossicle).env_remove("OSSICLE_ISA"))
}
