//! The commands and their help.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "serve")]
use crate::serve;
use crate::{bench, board, classify, command, detect, embed, find, generate, listen, look, models, speak, transcribe_args, watch};

/// Every environment variable that changes what a command does.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("OSSICLE_ISA", "instruction set, as --isa: scalar, avx2 or avx512vnni; on ARM neon, dotprod or i8mm; the best of this CPU if unset"),
    (ossicle::models::MODELS_VARIABLE, "folder of model folders, searched before models-int8 here and beside the program"),
    ("OSSICLE_MQTT", "broker of `ossicle serve`, as --mqtt: keeps its password out of the list of processes"),
    ("NOTIFY_SOCKET", "set by systemd: where `ossicle watch` and `ossicle serve` say that they are ready and alive"),
    ("WATCHDOG_USEC", "set by systemd: how long they may stay silent, in microseconds"),
];

const EXAMPLES: &str = "\
Examples:
  ossicle transcribe recording.wav
  ossicle transcribe --format srt --output-dir subtitles talk.mp3 interview.m4a
  ossicle command --sentences home turn-on-the-light.wav
  ossicle detect garden.flac
  ossicle classify samples/cat.jpg --labels \"cat,dog,person\"
  ossicle speak \"The light is on.\" -o answer.wav
  ossicle models list

Environment:
  OSSICLE_ISA      instruction set, as --isa: scalar, avx2 or avx512vnni; on ARM neon, dotprod or i8mm
  OSSICLE_MODELS   folder of model folders, searched first

Exit status: 0 done, 1 ran but failed for some input, 2 bad usage or bad input.";

/// Speech, sounds and pictures on small boards, offline: the same bits on every machine
#[derive(Parser)]
#[command(name = "ossicle", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Subcommands,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Subcommands {
    /// Write down what is said in recordings
    Transcribe(transcribe_args::Args),
    /// Recognise commands among the sentences of a file, and nothing else
    Command(command::Args),
    /// Listen to a live stream, and write down each utterance as it ends
    Listen(listen::Args),
    /// Tell which sounds are heard in recordings, and when
    Detect(detect::Args),
    /// Find recordings and pictures by words, and pictures by a picture
    Find(find::Args),
    /// Name what is in images, in your own words or by a trained classifier's labels; or in recordings, by a classifier
    #[command(visible_alias = "label")]
    Classify(classify::Args),
    /// Turn images and texts into vectors that lie near where they are alike
    Embed(embed::Args),
    /// Tell what a camera sees, and from when to when
    Look(look::Args),
    /// Say a text with a small voice, to a wav file or a player
    Speak(speak::Args),
    /// Make sounds from descriptions: the same seed gives the same bytes everywhere
    Generate(generate::Args),
    /// Transcribe recordings that are put into a folder, as a service
    Watch(watch::Args),
    /// Transcribe for other programs: Wyoming (Home Assistant) and OpenAI's interface over HTTP
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    /// List, describe and verify model folders
    Models(models::Args),
    /// Measure this machine
    Bench(bench::Args),
    /// Say what this machine is, and list the boards that are known
    Board(board::Args),
    /// Print the environment variables that matter, and their values
    Env,
}

/// `ossicle env`.
pub(crate) fn print_environment() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for (name, meaning) in ENVIRONMENT {
        let value = match std::env::var(name) {
            // It may hold a password.
            Ok(_) if name == "OSSICLE_MQTT" => "(set)".into(),
            Ok(value) => format!("= {value}"),
            Err(_) => "(unset)".into(),
        };
        writeln!(out, "{name} {value}\n    {meaning}")?;
    }
    Ok(ExitCode::SUCCESS)
}
