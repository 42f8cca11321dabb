//! `ossicle-quantize piper`.

use std::path::PathBuf;

use ossicle_quantize::piper;

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize piper en_US-joe-medium.onnx -o voices/joe
  ossicle speak \"The light is on.\" --voice voices/joe -o answer.wav

Voices of one speaker whose phonemes are espeak-ng's. Texts are spoken where the program espeak-ng is installed, phonemes everywhere.";

/// What to turn into a voice.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The voice: an ONNX file of Piper's
    #[arg(value_name = "VOICE.onnx")]
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Its settings [default: VOICE.onnx.json]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Turns a voice into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let voice = piper::Voice::open(&args.source, args.config.as_deref())?;
    voice.write(&args.target.output, &piper::Task { force: args.target.force, notes })?;
    args.target.done(voice.parameters());
    Ok(())
}
