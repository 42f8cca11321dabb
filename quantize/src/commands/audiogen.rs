//! `ossicle-quantize audiogen`.

use std::path::{Path, PathBuf};

use ossicle_quantize::audiogen::{Codes, LanguageModel, Task, Text};
use ossicle_quantize::{encodec::Codec, t5};

use super::TargetArgs;
use super::encodec::recordings;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize audiogen audiogen-medium --text t5-large -o models-int8/audiogen-medium
  ossicle-quantize audiogen musicgen-small -o models-int8/musicgen-small

SOURCE is a folder with audiocraft's state_dict.bin and compression_state_dict.bin, whose own settings count and in which nothing is run, or
Hugging Face's MusicGen (one channel) with tokenizer.json.";

/// What to turn into a generator of sounds.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with a language model over codes and its codec
    source: PathBuf,
    /// Folder with the T5 that encodes descriptions, or a model folder of kind t5 or minilm [default: SOURCE]
    #[arg(long, value_name = "FOLDER")]
    text: Option<PathBuf>,
    /// Name the model folder that --text gives, and do not copy it: it has to lie in the same folder as the new one
    #[arg(long, requires = "text")]
    share_text: bool,
    /// Folder or file with the codec, or a model folder of one [default: SOURCE]
    #[arg(long, value_name = "PATH")]
    codec: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// Recordings, or folders of them, to compare the codec's INT8 with float on; of codecs at 16 kHz
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
}

/// Turns a generator of sounds into a model folder, and says what INT8 costs its codec.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let model = LanguageModel::open(&args.source)?;
    // What was made by this program says so.
    let made = |folder: &Path| std::fs::read_to_string(folder.join("config.json")).is_ok_and(|text| text.contains("\"numerics_version\""));
    let path = args.codec.as_deref().unwrap_or(&args.source);
    let codec = if made(path) { None } else { Some(Codec::open(path)?) };
    let codes = codec.as_ref().map_or(Codes::Folder(path), Codes::Encodec);
    let source = args.text.as_deref().unwrap_or(&args.source);
    let encoder = if made(source) { None } else { Some(t5::Encoder::open(source)?) };
    let descriptions = match &encoder {
        Some(_) if args.share_text => {
            anyhow::bail!("{}: only a model folder can be shared: make one with ossicle-quantize t5", source.display())
        }
        Some(encoder) => Text::T5(encoder),
        None if args.share_text => Text::Beside(source),
        None => Text::Folder(source),
    };
    let recordings = codec.as_ref().map(|codec| recordings(&args.calibration, codec)).transpose()?.unwrap_or_default();
    let task = Task { force: args.target.force, notes, recordings };
    let report = model.write(&codes, &descriptions, &args.target.output, &task)?;
    if let Some(report) = report {
        print!("{}", report.markdown());
    }
    let parameters = model.parameters() + codec.as_ref().map_or(0, Codec::parameters) + encoder.as_ref().map_or(0, t5::Encoder::parameters);
    args.target.done(parameters);
    Ok(())
}
