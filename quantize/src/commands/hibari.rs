//! `ossicle-quantize hibari`.

use std::path::PathBuf;

use ossicle_quantize::hibari;

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize hibari hibari/assets/hibari.onnx --notice NOTICE -o models-int8/hibari

SOURCE is int8 already (MatMulInteger), and its weights stay as they are. vocab.json has to be next to it; with the
package's lexicons next to it too, the voice reads texts, without them phonemes alone.";

/// What to turn into a voice.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The voice: an ONNX file of hibari-tts
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// The notice that the licence wants to travel with the weights
    #[arg(long, value_name = "FILE")]
    notice: Option<PathBuf>,
}

/// Turns a voice into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let voice = hibari::Voice::open(&args.source, args.notice.as_deref())?;
    voice.write(&args.target.output, &hibari::Task { force: args.target.force, notes })?;
    eprintln!("{}: {} parameters in 8 bits", args.target.output.display(), voice.parameters());
    if !args.target.output.join("phonemes.bin").is_file() {
        let beside = args.source.with_file_name("lexicon_us_gold.json.gz");
        eprintln!("{}: no lexicon, so this voice reads phonemes alone: {} is missing", args.target.output.display(), beside.display());
    }
    Ok(())
}
