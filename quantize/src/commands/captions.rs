//! `ossicle-quantize captions`.

use std::path::PathBuf;

use anyhow::Context;
use indicatif::ProgressBar;
use ossicle_quantize::captions;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize captions quantize/cards/captions.tsv --data ../shared/data -o captions.safetensors
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --sounds quantize/cards/sounds.tsv --captions captions.safetensors

A line of LIST is a path below --data, how much the recording counts (1 is usual) and one or more sentences, with tabs between.";

/// What to learn a caption map from.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Recordings with what is said of them
    list: PathBuf,
    /// Where the paths of LIST begin
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    data: PathBuf,
    /// YAMNet whose embedding is used: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "yamnet")]
    model: String,
    /// Sentence encoder with phrases for sounds: a name or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "minilm")]
    find_model: String,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Learns a caption map.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let task = captions::Task {
        sounds: ossicle::models::find(&args.model)?,
        words: ossicle::models::find(&args.find_model)?,
        list: args.list.clone(),
        data: args.data.clone(),
    };
    let bar = ProgressBar::new_spinner();
    let map = captions::learn(&task, &mut |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    std::fs::write(&args.output, map.to_bytes()?).with_context(|| args.output.display().to_string())
}
