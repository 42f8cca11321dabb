//! The commands and their help.

use clap::{Parser, Subcommand};

use crate::commands::{compare, diff, plan, replay, show, verify};

const EXAMPLES: &str = "\
Examples:
  ossicle transcribe --trace kitchen.trace kitchen.wav     (on the board)
  ossicle-sim replay kitchen.trace --input kitchen.wav     (here: identical, or the first tensor that differs)
  ossicle-sim diff pi4.trace pi5.trace
  ossicle-sim compare --input kitchen.wav --isa scalar,avx2
  ossicle-sim plan --board pi4 --seconds 3
  ossicle-sim verify --key board.key kitchen.trace

Exit status: 0 identical or done, 1 differs, 2 bad usage or bad input.";

/// Repeats on this machine what a board computed, or predicts it
#[derive(Parser)]
#[command(name = "ossicle-sim", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Repeat a traced run here and name the first tensor that differs
    Replay(replay::Args),
    /// Run several instruction sets of this machine and name the first tensor that differs
    Compare(compare::Args),
    /// Compare two traces of the same recording
    Diff(diff::Args),
    /// Check that a trace is as it was written
    Verify(verify::Args),
    /// List what is in a trace
    Show(show::Args),
    /// Predict memory and time of a model on a board, before anything is deployed
    Plan(plan::PlanArgs),
    /// Measure this machine's kernels for such predictions
    Calibrate(plan::CalibrateArgs),
}
