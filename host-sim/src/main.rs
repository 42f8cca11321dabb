//! The command line of the host simulator.
//!
//! stdout carries results only; errors are one line on stderr: what, where, and what would be right. Exit status: 0 identical or done,
//! 1 differs, 2 bad usage or bad input.

#![forbid(unsafe_code)]

mod fault;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use usage::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    fault::exit(run(cli.command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {}
}
