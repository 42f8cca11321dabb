//! `ossicle-quantize SOURCE -o FOLDER`: a float checkpoint in, an int8 model folder out.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ossicle_quantize::report::{self, Report};
use ossicle_quantize::{Source, calibration, cost, float_folder, folder, import, yamnet};

/// Turns a float Whisper or YAMNet checkpoint into an int8 model folder for Ossicle.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Folder with a CTranslate2 (model.bin) or Hugging Face (model.safetensors) Whisper checkpoint, or YAMNet (model.onnx)
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
    /// Also write the float model beside FOLDER, as a Hugging Face checkpoint named FOLDER-f32
    #[arg(long)]
    f32: bool,
    /// Measure what int8 costs each layer; writes report.json and a table for the model card, prints the table
    #[arg(long)]
    report: bool,
    /// Recordings, or folders of them, for --report; without any, synthetic sounds are used
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "report")]
    calibration: Vec<PathBuf>,
    /// Recordings taken from --calibration, evenly spread
    #[arg(long, value_name = "N", default_value_t = 8, requires = "report")]
    clips: usize,
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
    let mut notes = match &args.notes {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => String::new(),
    };
    if args.source.join(yamnet::GRAPH).is_file() {
        ensure!(!args.f32 && !args.report, "{}: --f32 and --report are for Whisper", args.source.display());
        let source = yamnet::open(&args.source)?;
        source.write(&args.output, args.force, &notes)?;
        eprintln!("{}: {} parameters quantised", args.output.display(), source.parameters());
        return Ok(());
    }
    let source = import::open(&args.source)?;
    let draft = folder::Draft::new(&source, &args.output, args.force)?;
    let mut extra = BTreeMap::new();
    if args.report {
        let report = measure(args, &source, draft.path())?;
        print!("{}", report.text());
        notes = format!("{}\n\n{}", notes.trim_end(), report.markdown());
        extra.insert("report.json".to_owned(), format!("{:#}\n", serde_json::to_value(&report)?));
    }
    draft.publish(&source, &notes, &extra)?;
    eprintln!("{}: {} parameters quantised", args.output.display(), source.model.parameters());
    if args.f32 {
        let mut name = args.output.file_name().context("FOLDER needs a name")?.to_owned();
        name.push("-f32");
        let folder = args.output.with_file_name(name);
        float_folder::write(&source, &folder, args.force)?;
        eprintln!("{}: the float model", folder.display());
    }
    Ok(())
}

/// Measures the draft of a model folder against the float reference.
fn measure(args: &Args, source: &Source, draft: &Path) -> anyhow::Result<Report> {
    let (clips, synthetic) = match args.calibration.is_empty() {
        true => (calibration::synthetic(), true),
        false => (calibration::read(&args.calibration, args.clips)?, false),
    };
    // Draws nothing unless stderr is a terminal.
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let (mut report, floats) = report::measure(source, &clips, synthetic, &mut |done, total, what| {
        bar.set_length((total + clips.len()) as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
    })?;
    bar.set_message("int8 engine");
    let costs = cost::compare(draft, &floats, &source.generation, &mut || bar.inc(1))?;
    for (clip, cost) in report.clips.iter_mut().zip(costs) {
        clip.cost = Some(cost);
    }
    bar.finish_and_clear();
    Ok(report)
}
