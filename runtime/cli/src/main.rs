//! The device command line.
//!
//! stdout carries results only; errors are one line on stderr: what, where, and what would be right. Exit status: 0 done, 1 ran but failed
//! for some input, 2 bad usage or bad input.

#![forbid(unsafe_code)]

mod bench;
mod board;
mod command;
mod fault;
mod input;
mod model;
mod models;
mod notify;
mod progress;
#[cfg(feature = "serve")]
mod serve;
mod size;
mod spool;
mod trace;
mod transcribe;
mod usage;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use usage::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ossicle_usage::refuse(&Cli::command(), &error),
    };
    let outcome = match &cli.command {
        Command::Transcribe(args) => transcribe::run(args),
        Command::Command(args) => command::run(args),
        Command::Watch(args) => watch::run(args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args),
        Command::Models(args) => models::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Board(args) => board::run(args),
        Command::Env => usage::print_environment(),
    };
    fault::exit(outcome)
}
