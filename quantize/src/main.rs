//! `ossicle-quantize SOURCE -o FOLDER`: a float checkpoint in, an int8 model folder out.
#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize whisper-tiny.en-ct2 -o models-int8/whisper-tiny.en --report --calibration recordings
  ossicle-quantize --onnx flowers/model.onnx --calibration flowers/images -o models-int8/flowers
  ossicle-quantize events --add doorbell clips/ --background home/ -o my-sounds";

/// Turns a float Whisper or YAMNet checkpoint, or an ONNX classifier, into an int8 model folder for Ossicle.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    checkpoint: Option<commands::Args>,
}

#[derive(clap::Subcommand)]
enum Subcommands {
    /// Learn sound classes of your own from a few recordings, for ossicle detect --add-classes
    Events(commands::events::Args),
    /// Turn a sentence encoder (sentence-transformers' MiniLM) into a model folder, for ossicle detect --find and ossicle find
    Minilm(commands::minilm::Args),
    /// Learn from described recordings what would be said of a sound, for ossicle find
    Captions(commands::captions::Args),
    /// Turn a CLIP or SigLIP from Hugging Face into a model folder, for ossicle classify, embed, find and look
    Clip(commands::clip::Args),
    /// Turn an AudioGen or a MusicGen from audiocraft or Hugging Face into a model folder, for ossicle generate
    Audiogen(commands::audiogen::Args),
    /// Turn the encoder of a T5 into a model folder, for ossicle generate
    T5(commands::t5::Args),
    /// Turn an EnCodec from Hugging Face or audiocraft into a model folder: sound to codes and back
    Encodec(commands::encodec::Args),
    /// A codec of spectra, as `models-int8/effects/train` makes it
    Spectral(commands::spectral::Args),
    /// Turn an EfficientNet-Lite0 from PyTorch into a model folder, for ossicle label
    Efficientnet(commands::efficientnet::Args),
    /// Turn a hibari voice from ONNX into a model folder, for ossicle speak
    Hibari(commands::hibari::Args),
    /// Turn Kokoro-82M and its voices from ONNX into a model folder, for ossicle speak
    Kokoro(commands::kokoro::Args),
    /// Turn one of Piper's voices (VITS) from ONNX into a model folder, for ossicle speak
    Piper(commands::piper::Args),
    /// Turn the lexicon, tagger and letter network of hibari-tts into one file, for English text to phonemes
    Phonemes(commands::phonemes::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match (&cli.command, &cli.checkpoint) {
        (Some(Subcommands::Events(args)), _) => commands::events::run(args),
        (Some(Subcommands::Minilm(args)), _) => commands::minilm::run(args),
        (Some(Subcommands::Captions(args)), _) => commands::captions::run(args),
        (Some(Subcommands::Audiogen(args)), _) => commands::audiogen::run(args),
        (Some(Subcommands::T5(args)), _) => commands::t5::run(args),
        (Some(Subcommands::Encodec(args)), _) => commands::encodec::run(args),
        (Some(Subcommands::Spectral(args)), _) => commands::spectral::run(args),
        (Some(Subcommands::Clip(args)), _) => commands::clip::run(args),
        (Some(Subcommands::Efficientnet(args)), _) => commands::efficientnet::run(args),
        (Some(Subcommands::Hibari(args)), _) => commands::hibari::run(args),
        (Some(Subcommands::Kokoro(args)), _) => commands::kokoro::run(args),
        (Some(Subcommands::Piper(args)), _) => commands::piper::run(args),
        (Some(Subcommands::Phonemes(args)), _) => commands::phonemes::run(args),
        (None, Some(args)) => commands::checkpoint::run(args),
        (None, None) => Err(anyhow::anyhow!("nothing to do: see --help")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ossicle-quantize: {e:#}");
            ExitCode::from(2)
        }
    }
}
