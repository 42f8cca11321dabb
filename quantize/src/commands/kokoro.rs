//! `ossicle-quantize kokoro`.

use std::path::PathBuf;

use ossicle_quantize::kokoro;

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize kokoro kokoro-82m-int8.onnx --voices voices --phonemes models-int8/hibari/phonemes.bin -o kokoro
  ossicle speak \"The light is on.\" --model ./kokoro --voice af_heart -o answer.wav

SOURCE is the int8 export of Kokoro-82M, whose weights stay as they are. vocab.json has to be next to it or in --vocabulary; with --phonemes the
voices read texts, without it phonemes alone.";

/// What to turn into voices.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The network: the ONNX file of the int8 export
    source: PathBuf,
    /// Folder of voices, NAME.bin (npm: kokoro-js)
    #[arg(long, value_name = "FOLDER")]
    voices: PathBuf,
    /// Take the voices of these languages only, by the first letters of names: a (American), b (British English) and so on
    #[arg(long, value_name = "LETTERS", default_value = "")]
    languages: String,
    /// Numbers of phonemes [default: vocab.json next to SOURCE]
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// What says how English texts are pronounced: phonemes.bin of hibari
    #[arg(long, value_name = "FILE")]
    phonemes: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// The notice that the licence wants to travel with the weights
    #[arg(long, value_name = "FILE")]
    notice: Option<PathBuf>,
}

/// Turns Kokoro into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let sources = kokoro::Sources {
        voices: args.voices.clone(),
        languages: args.languages.chars().collect(),
        vocabulary: args.vocabulary.clone(),
        phonemes: args.phonemes.clone(),
        notice: args.notice.clone(),
    };
    let voices = kokoro::Voices::open(&args.source, &sources)?;
    voices.write(&args.target.output, &kokoro::Task { force: args.target.force, notes })?;
    eprintln!("{}: {} voices", args.target.output.display(), voices.names().len());
    Ok(())
}
