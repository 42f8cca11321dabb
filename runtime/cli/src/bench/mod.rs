//! `ossicle bench`.

mod clock;
mod events;
mod kernels;
mod mel;
mod network;
mod timed;
mod whisper;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  ossicle bench whisper --threads 1 --json samples/kitchen.wav
  ossicle bench whisper --window auto samples/kitchen.wav
  ossicle bench mel samples/kitchen.wav
  ossicle bench events --threads 1 samples/kitchen.wav
  ossicle bench network --threads 1 --layers yamnet
  ossicle bench network --threads 1 whisper-tiny.en --graph token
  ossicle bench kernels --isa avx2";

/// What to measure.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Log-mel features of a recording's first 30 s
    Mel(mel::Args),
    /// A whole transcription: mel, encoder, prefill, tokens
    Whisper(whisper::Args),
    /// Sound events in a recording: features, network, all of it
    Events(events::Args),
    /// A graph of a model of any kind: a run, and each of its layers
    Network(network::Args),
    /// Matrix products of a model's shapes
    Kernels(kernels::Args),
}

/// `ossicle bench`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Mel(args) => mel::run(args)?,
        Command::Whisper(args) => whisper::run(args)?,
        Command::Events(args) => events::run(args)?,
        Command::Network(args) => network::run(args)?,
        Command::Kernels(args) => kernels::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
