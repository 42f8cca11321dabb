//! `ossicle-quantize SOURCE`: Whisper or YAMNet.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use ossicle_quantize::import::{self, Checkpoint};
use ossicle_quantize::report::{self, Report};
use ossicle_quantize::{Source, calibration, cost, float_folder, folder};

use super::{Args, network, text};

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut notes = text(args.notes.as_deref())?;
    if let Some(onnx) = &args.onnx {
        return network::run(args, onnx, notes);
    }
    ensure!(args.report || (args.calibration.is_empty() && args.clips.is_none()), "--calibration and --clips: add --report, or --onnx");
    let Some(path) = &args.source else { bail!("no source: give a checkpoint's folder, or --onnx FILE") };
    let source = match import::open_any(path)? {
        Checkpoint::Whisper(source) => {
            ensure!(args.head.is_none(), "{}: --head is for YAMNet (model.onnx)", path.display());
            source
        }
        Checkpoint::Yamnet(mut source) => {
            ensure!(!args.f32 && !args.report, "{}: --f32 and --report are for Whisper", path.display());
            if let Some(folder) = &args.head {
                *source = source.with_head(folder)?;
            }
            source.write(&args.output, args.force, &notes)?;
            eprintln!("{}: {} parameters quantised", args.output.display(), source.parameters());
            return Ok(());
        }
    };
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
        false => (calibration::read(&args.calibration, args.clips.unwrap_or(8))?, false),
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
