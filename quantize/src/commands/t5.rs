//! `ossicle-quantize t5`.

use std::path::PathBuf;

use ossicle_quantize::t5;

use super::TargetArgs;

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
    let notes = args.target.begin()?;
    let encoder = t5::Encoder::open(&args.source)?;
    encoder.write(&args.target.output, &t5::Task { force: args.target.force, notes })?;
    args.target.done(encoder.parameters());
    Ok(())
}
