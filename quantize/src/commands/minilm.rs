//! `ossicle-quantize minilm`.

use std::path::PathBuf;

use indicatif::ProgressBar;
use ossicle_quantize::{captions, minilm};

use super::{TargetArgs, text};

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --sounds quantize/cards/sounds.tsv
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --force --measure sentences.txt

SOURCE holds config.json, model.safetensors and tokenizer.json, and what sentence-transformers lays beside them.";

/// What to turn into a sentence encoder.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder with a BERT encoder that is pooled by the mean
    source: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Sentences that ranges and rounding are chosen with, one a line, in place of the built-in ones
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Sentences to compare INT8 with float on, one a line; prints a table and puts it into the card
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// Phrases for sounds, one a line (a label of YAMNet, a tab, the phrase), whose vectors ossicle detect --find needs
    #[arg(long, value_name = "FILE")]
    sounds: Option<PathBuf>,
    /// Caption map of ossicle-quantize captions, with which ossicle find tells sounds apart that YAMNet has no classes for
    #[arg(long, value_name = "FILE", requires = "sounds")]
    captions: Option<PathBuf>,
}

/// Turns a sentence encoder into a model folder, and says what INT8 costs if asked.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let notes = args.target.begin()?;
    let task = minilm::Task {
        force: args.target.force,
        notes,
        calibration: text(args.calibration.as_deref())?,
        measured: text(args.measure.as_deref())?,
        sounds: text(args.sounds.as_deref())?,
        captions: args.captions.as_deref().map(captions::Captions::open).transpose()?,
    };
    let encoder = minilm::Encoder::open(&args.source)?;
    let bar = ProgressBar::new_spinner();
    let report = encoder.write(&args.target.output, &task, &mut |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    if let Some(report) = report {
        print!("{}", report.markdown("sentences"));
    }
    args.target.done(encoder.parameters());
    Ok(())
}
