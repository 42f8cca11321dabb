//! `ossicle-quantize encodec`.

use std::path::PathBuf;

use anyhow::ensure;
use ossicle_quantize::{calibration, encodec};

use super::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize encodec encodec_24khz -o models-int8/encodec
  ossicle-quantize encodec compression_state_dict.bin -o models-int8/codec --calibration recordings

SOURCE is a folder from Hugging Face (EnCodec, or a MusicGen with one in it), or audiocraft's compression_state_dict.bin: its own settings count,
and nothing in it is run. Codecs of one channel are possible.";

/// What to turn into a codec.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder or file with an EnCodec
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Recordings, or folders of them, to compare INT8 with float on; of codecs at 16 kHz
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
}

/// Turns a codec into a model folder, and says what INT8 costs.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let codec = encodec::Codec::open(&args.source)?;
    let recordings = recordings(&args.calibration, &codec)?;
    let report = codec.write(&args.target.output, &encodec::Task { force: args.target.force, notes, recordings })?;
    print!("{}", report.markdown());
    args.target.done(codec.parameters());
    Ok(())
}

/// Recordings that a codec can be measured on.
pub(super) fn recordings(paths: &[PathBuf], codec: &encodec::Codec) -> anyhow::Result<Vec<Vec<f32>>> {
    if paths.is_empty() {
        return Ok(vec![]);
    }
    let rate = codec.config().sampling_rate;
    ensure!(rate == 16_000, "--calibration: recordings are read at 16 kHz, this codec has {rate} samples a second");
    Ok(calibration::read(paths, 8)?.into_iter().map(|clip| clip.samples).collect())
}
