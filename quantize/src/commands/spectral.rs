//! `ossicle-quantize spectral`.

use std::path::PathBuf;

use ossicle_quantize::spectral::{Codec, Task};

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize spectral codec -o effects-codec
  ossicle-quantize audiogen lm --codec effects-codec --text models-int8/minilm -o models-int8/effects

SOURCE is a folder that models-int8/effects/train/codec.py wrote.";

/// What to turn into a codec.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with a codec of spectra
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
}

/// Turns a codec of spectra into a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let codec = Codec::open(&args.source)?;
    codec.write(&args.target.output, &Task { force: args.target.force, notes })?;
    args.target.done(codec.parameters());
    Ok(())
}
