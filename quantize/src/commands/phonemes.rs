//! `ossicle-quantize phonemes`.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use ossicle_quantize::phonemes;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize phonemes hibari/assets -o models-int8/hibari/phonemes.bin

SOURCE holds lexicon_us_gold.json.gz, lexicon_us_silver.json.gz, tagger.json.gz, normalize.json, oov.json and oov.onnx of hibari-tts.";

/// What to turn into a file of phonemes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with the assets of hibari-tts
    source: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace FILE if it is there
    #[arg(long)]
    force: bool,
}

/// Writes the file.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.output.display();
    ensure!(args.force || !args.output.exists(), "{name}: already exists (--force replaces it)");
    let parts = phonemes::read(&args.source)?;
    let bytes = parts.write().map_err(anyhow::Error::msg)?;
    // Files are mapped while others read them: the new one takes the old one's place whole.
    let new = args.output.with_extension("new");
    std::fs::write(&new, &bytes).and_then(|()| std::fs::rename(&new, &args.output)).with_context(|| name.to_string())?;
    eprintln!("{name}: {} words, {:.1} MB", parts.lexicon.len(), bytes.len() as f64 / 1e6);
    Ok(())
}
