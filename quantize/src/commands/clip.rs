//! `ossicle-quantize clip`.

use std::path::PathBuf;

use anyhow::bail;
use indicatif::ProgressBar;
use ossicle::label::Target;
use ossicle_quantize::clip::{self, Clip, Towers};
use ossicle_quantize::network::inputs;
use ossicle_text::Cleaning;

use super::{TargetArgs, text};

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize clip clip-vit-base-patch32 -o models-int8/clip --calibration photos/
  ossicle-quantize clip clip-vit-base-patch32 -o models-int8/clip-image --towers image

SOURCE holds config.json, the weights (model.safetensors or pytorch_model.bin, whole or in shards), preprocessor_config.json and, for texts,
tokenizer.json, as Hugging Face lays them out. SigLIP's spiece.model will do in its place.";

/// What to turn into image and text encoders.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with a checkpoint of CLIP or SigLIP
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Which encoders to import
    #[arg(long, value_enum, default_value = "both")]
    towers: TowersName,
    /// What is done to texts first: as OpenAI and open_clip do, or nothing, as Hugging Face's fast tokenizer [default: ftfy for a CLIP]
    #[arg(long, value_enum)]
    cleaning: Option<CleaningName>,
    /// Images, or folders of them, to choose the rounding with and to compare INT8 with float on
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
    /// Images taken from --calibration, evenly spread
    #[arg(long, value_name = "N", default_value_t = 64, requires = "calibration")]
    images: usize,
    /// Texts, one a line, to choose the rounding with and to compare INT8 with float on, in place of the built-in ones
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CleaningName {
    Ftfy,
    None,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TowersName {
    Image,
    Text,
    Both,
}

/// Turns CLIP into a model folder, and says what INT8 costs where there is something to measure with.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let towers = match args.towers {
        TowersName::Image => Towers::Image,
        TowersName::Text => Towers::Text,
        TowersName::Both => Towers::Both,
    };
    let mut clip = Clip::open(&args.source, towers)?;
    match args.cleaning {
        None => {}
        Some(CleaningName::Ftfy) => clip.clean_texts(Cleaning::Ftfy)?,
        Some(CleaningName::None) => clip.clean_texts(Cleaning::None)?,
    }
    let images = match (clip.preprocessor(), args.calibration.is_empty()) {
        (Some(preprocessor), false) => {
            let side = clip.image_side();
            inputs::read(&args.calibration, args.images, preprocessor, Target { height: side, width: side, channels: 3 })?
        }
        (None, false) => bail!("--calibration takes images: there is no image tower"),
        (_, true) => vec![],
    };
    let task = clip::Task { force: args.target.force, notes, images, texts: text(args.texts.as_deref())? };
    let bar = ProgressBar::new_spinner();
    let report = clip.write(&args.target.output, &task, &mut |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    print!("{}", report.markdown());
    args.target.done(clip.parameters());
    Ok(())
}
