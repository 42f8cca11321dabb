//! `ossicle-quantize piper`.

use std::path::PathBuf;

use ossicle_quantize::piper;

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize piper en_US-joe-medium.onnx -o voices/joe
  ossicle-quantize piper en_US-joe-medium.onnx --phonemes models-int8/hibari/phonemes.bin -o voices/joe
  ossicle-quantize piper en_US-libritts_r-medium.onnx --speaker 3922 -o voices/libritts
  ossicle speak \"The light is on.\" --voice voices/joe -o answer.wav

Of a voice of several speakers one is taken. Phonemes are espeak-ng's: texts are spoken where the program\nespeak-ng is installed or with --phonemes, phonemes everywhere.";

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
    /// Which of several speakers: a name of its settings, or a number [default: the first]
    #[arg(long, value_name = "NAME|N")]
    speaker: Option<String>,
    /// How English is pronounced, for American texts to be said without espeak-ng: the file of this name in `hibari`
    #[arg(long, value_name = "phonemes.bin")]
    phonemes: Option<PathBuf>,
}

/// Turns a voice into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let voice = piper::Voice::open(&args.source, args.config.as_deref(), args.speaker.as_deref())?;
    voice.write(&args.target.output, &piper::Task { force: args.target.force, notes, phonemes: args.phonemes.clone() })?;
    args.target.done(voice.parameters());
    if let (Some(speaker), None) = (voice.speaker(), &args.speaker) {
        eprintln!("speaker {speaker}: --speaker takes another");
    }
    Ok(())
}
