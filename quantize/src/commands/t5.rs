//! `ossicle-quantize t5`.

use std::path::PathBuf;

use ossicle_quantize::{folder, t5};

use super::{TargetArgs, text};

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
    #[command(flatten)]
    target: TargetArgs,
}

/// Turns a T5 into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    folder::check_target(&args.target.output, args.target.force)?;
    let encoder = t5::Encoder::open(&args.source)?;
    encoder.write(&args.target.output, &t5::Task { force: args.target.force, notes: text(args.target.notes.as_deref())? })?;
    eprintln!("{}: {} parameters quantised", args.target.output.display(), encoder.parameters());
    Ok(())
}
