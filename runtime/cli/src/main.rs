//! The device command line.
//!
//! stdout carries results only; errors are one line on stderr: what, where, and what would be right. Exit status: 0 done, 1 ran but failed
//! for some input, 2 bad usage or bad input, 130 a signal came before the end of a file.

#![forbid(unsafe_code)]

mod bench;
mod board;
mod broker;
mod classify;
mod command;
mod detect;
mod embed;
mod fault;
mod find;
mod generate;
mod input;
mod interrupt;
mod listen;
mod look;
mod model;
mod models;
mod notify;
mod pcm;
mod progress;
mod reload;
#[cfg(feature = "serve")]
mod serve;
mod size;
mod speak;
mod spool;
mod trace;
mod transcribe;
mod transcribe_args;
mod transcribe_channels;
mod transcribe_ending;
mod transcribe_events;
mod transcribe_output;
mod usage;
mod voice;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use usage::{Cli, Subcommands};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ossicle_usage::refuse(&Cli::command(), &error),
    };
    let outcome = match &cli.command {
        Subcommands::Transcribe(args) => transcribe::run(args),
        Subcommands::Command(args) => command::run(args),
        Subcommands::Listen(args) => listen::run(args),
        Subcommands::Detect(args) => detect::run(args),
        Subcommands::Find(args) => find::run(args),
        Subcommands::Classify(args) => classify::run(args),
        Subcommands::Embed(args) => embed::run(args),
        Subcommands::Look(args) => look::run(args),
        Subcommands::Speak(args) => speak::run(args),
        Subcommands::Generate(args) => generate::run(args),
        Subcommands::Watch(args) => watch::run(args),
        #[cfg(feature = "serve")]
        Subcommands::Serve(args) => serve::run(args),
        Subcommands::Models(args) => models::run(args),
        Subcommands::Bench(args) => bench::run(args),
        Subcommands::Board(args) => board::run(args),
        Subcommands::Env => usage::print_environment(),
    };
    fault::exit(outcome)
}
