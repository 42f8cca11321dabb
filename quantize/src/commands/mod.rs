//! One module a subcommand.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ossicle_quantize::folder;

pub(crate) mod audiogen;
pub(crate) mod captions;
pub(crate) mod checkpoint;
pub(crate) mod clip;
pub(crate) mod efficientnet;
pub(crate) mod encodec;
pub(crate) mod events;
pub(crate) mod hibari;
pub(crate) mod kokoro;
pub(crate) mod minilm;
pub(crate) mod network;
pub(crate) mod phonemes;
pub(crate) mod piper;
pub(crate) mod spectral;
pub(crate) mod t5;

/// What is written, and whether it may replace something.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    pub(crate) force: bool,
    /// Markdown for the model card: origin, licence
    #[arg(long, value_name = "FILE")]
    pub(crate) notes: Option<PathBuf>,
}

impl TargetArgs {
    /// Checks that the folder may be written, before anything that takes long, and reads the notes.
    pub(crate) fn begin(&self) -> anyhow::Result<String> {
        folder::check_target(&self.output, self.force)?;
        text(self.notes.as_deref())
    }

    /// Says what has been written.
    pub(crate) fn done(&self, parameters: usize) {
        eprintln!("{}: {parameters} parameters quantised", self.output.display());
    }
}

/// What to turn into a model folder without a subcommand.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with a CTranslate2 (model.bin) or Hugging Face (model.safetensors) Whisper checkpoint, or YAMNet (model.onnx)
    #[arg(required_unless_present = "onnx")]
    pub(crate) source: Option<PathBuf>,
    /// An image classifier or audio tagger instead; labels.txt and preprocessor_config.json lie beside it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "f32", "report", "head"])]
    pub(crate) onnx: Option<PathBuf>,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// Folder with a trained head for YAMNet (head.json, head.safetensors, events.toml), in place of its classifier
    #[arg(long, value_name = "FOLDER")]
    pub(crate) head: Option<PathBuf>,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    pub(crate) force: bool,
    /// Markdown for the model card: origin, licence, measured accuracy
    #[arg(long, value_name = "FILE")]
    pub(crate) notes: Option<PathBuf>,
    /// Also write the float model beside FOLDER, as a Hugging Face checkpoint named FOLDER-f32
    #[arg(long)]
    pub(crate) f32: bool,
    /// Measure what int8 costs each layer; writes report.json and a table for the model card, prints the table
    #[arg(long)]
    pub(crate) report: bool,
    /// Recordings, or folders of them, for --report; without any, synthetic sounds are used. Images or recordings for --onnx
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) calibration: Vec<PathBuf>,
    /// Files taken from --calibration, evenly spread [default: 8, for --onnx 64]
    #[arg(long, value_name = "N")]
    pub(crate) clips: Option<usize>,
    /// With --onnx: what maps between layers are kept as; bytes get the ranges that --calibration gives
    #[arg(long, value_enum, default_value_t = Maps::Floats)]
    pub(crate) maps: Maps,
}

/// What maps between layers are kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Maps {
    /// f32, rows of products with a scale each (numerics version 1)
    Floats,
    /// 8 bits where the runtime can, a scale for each map (numerics version 2)
    Bytes,
}

/// The text of a file that may be given.
pub(crate) fn text(path: Option<&Path>) -> anyhow::Result<String> {
    path.map_or(Ok(String::new()), |path| std::fs::read_to_string(path).with_context(|| path.display().to_string()))
}
