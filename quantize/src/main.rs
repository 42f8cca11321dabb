//! `ossicle-quantize SOURCE -o FOLDER`: a float Whisper checkpoint in, an int8 model folder out.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ossicle_quantize::{folder, import};

/// Turns a float Whisper checkpoint into an int8 model folder for Ossicle.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Folder with a CTranslate2 (model.bin) or Hugging Face (model.safetensors) Whisper checkpoint
    source: PathBuf,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
    /// Markdown for the model card: origin, licence, measured accuracy
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ossicle-quantize: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let notes = match &args.notes {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => String::new(),
    };
    let source = import::open(&args.source)?;
    let options = folder::Options { force: args.force, notes, ..Default::default() };
    folder::write(&source, &args.output, &options)?;
    eprintln!("{}: {} parameters quantised", args.output.display(), source.model.parameters());
    Ok(())
}
