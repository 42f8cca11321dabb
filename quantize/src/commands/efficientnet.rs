//! `ossicle-quantize efficientnet`.

use std::path::{Path, PathBuf};

use ossicle::label::Target;
use ossicle_models::network::InputShape;
use ossicle_quantize::efficientnet;
use ossicle_quantize::network::inputs;

use super::network::write_network;
use super::{Maps, TargetArgs, text};

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize efficientnet efficientnet-lite0-57934424.pth -o models-int8/efficientnet-lite0
  ossicle-quantize efficientnet flowers.pt --labels flowers.txt --calibration flowers/ -o models-int8/flowers

SOURCE is a state dict with the names of EfficientNet-PyTorch, as torch.save wrote it; nothing in it is run.";

/// What to turn into an image classifier.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// State dict: .pth or .pt
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// A name for each class, one a line, in place of ImageNet's 1000
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Sentence encoder whose vectors of the labels' words the folder gets, for ossicle classify --labels; ImageNet's labels only
    #[arg(long, value_name = "NAME|FOLDER")]
    words: Option<String>,
    /// Images, or folders of them, to choose the rounding with and to compare INT8 with float on
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
    /// Images taken from --calibration, evenly spread
    #[arg(long, value_name = "N", default_value_t = 64, requires = "calibration")]
    images: usize,
    /// What maps between layers are kept as; bytes get the ranges that --calibration gives
    #[arg(long, value_enum, default_value_t = Maps::Floats)]
    maps: Maps,
}

/// EfficientNet-Lite0 as a model folder.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let network = efficientnet::open(&args.source)?;
    let labels = match &args.labels {
        Some(path) => text(Some(path))?,
        None => efficientnet::LABELS.to_owned(),
    };
    let encoder = args.words.as_deref().map(ossicle::models::find).transpose()?;
    let name = encoder.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parts = efficientnet::parts(&labels, notes, encoder.as_deref().map(|folder| (folder, name.as_str())))?;
    let mut inputs = vec![];
    if !args.calibration.is_empty() {
        let InputShape { height, width, channels } = network.input();
        inputs = inputs::read(&args.calibration, args.images, &efficientnet::preprocessor()?, Target { height, width, channels })?;
    }
    write_network(network, &inputs, args.maps, &args.target.output, args.target.force, parts)
}
