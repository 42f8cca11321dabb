//! The command line of the host simulator.
//!
//! stdout carries results only; errors are one line on stderr: what, where, and what would be right. Exit status: 0 identical or done,
//! 1 differs, 2 bad usage or bad input.

#![forbid(unsafe_code)]

mod commands;
mod fault;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use usage::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ossicle_usage::refuse(&Cli::command(), &error),
    };
    fault::exit(run(cli.command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Replay(args) => commands::replay::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Calibrate(args) => commands::plan::calibrate(&args),
    }
}
