//! The commands, their help, and the one line for wrong usage.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::fault::{self, Fault};

/// Repeats on this machine what a board computed
#[derive(Parser)]
#[command(name = "ossicle-sim", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {}

/// Prints help where it was asked for, or says in one line what is wrong with the arguments.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`ossicle-sim --help | head -1`) is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            fault::complain("no command: give one: see ossicle-sim --help");
            ExitCode::from(fault::BAD_INPUT)
        }
        _ => {
            let text = error.to_string();
            let reason = text.split("\n\n").next().unwrap_or("").trim_start_matches("error: ");
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).unwrap_or("see --help");
            fault::complain(&Fault::new(reason, "command line", tip).to_string());
            ExitCode::from(fault::BAD_INPUT)
        }
    }
}
