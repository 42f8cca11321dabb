//! `ossicle-quantize t5`.

use std::path::PathBuf;

use ossicle_quantize::{folder, t5};

use super::text;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize t5 t5-base -o models-int8/t5-base

SOURCE holds config.json, the weights and tokenizer.json of a T5 of version 1.0, or of a MusicGen; only the encoder is taken.";

/// What to turn into an encoder of descriptions.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with a T5
    source: PathBuf,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
    /// Markdown for the model card: origin, licence
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
}

/// Turns a T5 into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    folder::check_target(&args.output, args.force)?;
    let encoder = t5::Encoder::open(&args.source)?;
    encoder.write(&args.output, &t5::Task { force: args.force, notes: text(args.notes.as_deref())? })?;
    eprintln!("{}: {} parameters quantised", args.output.display(), encoder.parameters());
    Ok(())
}
