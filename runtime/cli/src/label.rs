//! `ossicle label`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::label::{Image, LabelError, Labeller, Options, Reading};
use ossicle::trace;
use ossicle::whisper::memory::program_bytes;
use ossicle::whisper::transcriber::Options as Run;
use ossicle_models::GraphError;
use ossicle_models::MemoryPlan;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::model::{BudgetArgs, MachineArgs};
use crate::size;
use crate::trace::{Recording, TraceArgs};

const EXAMPLES: &str = "\
Examples:
  ossicle label --model flowers rose.jpg tulip.png
  ossicle label --model flowers --top 3 --format jsonl *.ppm
  ossicle label --model birds dawn.flac

A model is made from an ONNX classifier by ossicle-quantize --onnx.";

/// What to label, and with what.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Images (png, jpeg, webp, gif, binary ppm) or recordings, whichever the model is for; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Model folder, or the name of one (see `ossicle models list`)
    #[arg(long, value_name = "NAME|FOLDER")]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Labels to write for each file, the largest scores first
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// Add a digest of all scores (jsonl)
    #[arg(long)]
    digests: bool,
    #[command(flatten)]
    raw: RawArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Text,
    Tsv,
    Jsonl,
}

/// Labels every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    input::check(&args.files)?;
    if args.digests && args.format != FormatName::Jsonl {
        return Err(Fault::line("--digests: only jsonl carries them: add --format jsonl").into());
    }
    if args.trace.trace.is_some() && args.files.len() > 1 {
        let count = args.files.len();
        return Err(Fault::line(format!("--trace: {count} files: a trace is of one: take them one by one")).into());
    }
    if args.trace.trace.is_some() {
        args.raw.check_traced()?;
    }
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let (mut labeller, left) = open(args, &folder)?;
    if labeller.reading() == Reading::Images {
        args.raw.check_unused("the model labels images")?;
    }
    let mut statuses = Vec::new();
    for file in &args.files {
        match traced(args, &folder, &mut labeller, left, file) {
            Ok(ExitCode::SUCCESS) => {}
            Ok(incomplete) => statuses.push(incomplete),
            Err(error) if fault::is_broken_pipe(&error) || args.files.len() == 1 => return Err(error),
            Err(error) => statuses.push(fault::report(&error)),
        }
    }
    Ok(match statuses.as_slice() {
        [] => ExitCode::SUCCESS,
        // Nothing but bad input is bad input.
        all if all.len() == args.files.len() && all.iter().all(|&status| status == ExitCode::from(fault::BAD_INPUT)) => {
            ExitCode::from(fault::BAD_INPUT)
        }
        _ => ExitCode::FAILURE,
    })
}

/// The model, if `--memory` and `--board` allow what it needs, and the bytes they leave for reading images.
fn open(args: &Args, folder: &Path) -> Result<(Labeller, usize)> {
    let options = Options { isa: args.machine.isa(), threads: args.machine.threads() };
    let tightest = args.budget.limits()?.into_iter().min_by_key(|limit| limit.1);
    let Some((limit, allowed)) = tightest else {
        let labeller = Labeller::open(folder, options).map_err(|error| fault::label(folder, error))?;
        return Ok((labeller, usize::MAX));
    };
    let refuse = |needed: usize, parts: String| {
        let (needed, allowed) = (size::megabytes(needed as u64), size::megabytes(allowed));
        Fault::new(format!("the plan needs {needed}, more than {limit} {allowed}"), folder.display(), parts)
    };
    // What the system or the weights take beside the buffers is known once they are not too large themselves.
    let labeller = match Labeller::open_within(folder, options, usize::try_from(allowed).unwrap_or(usize::MAX)) {
        Ok(labeller) => labeller,
        Err(LabelError::Graph(GraphError::Memory { needed, .. })) => {
            return Err(refuse(needed, "buffers alone".to_owned()).into());
        }
        Err(error) => return Err(fault::label(folder, error)),
    };
    let MemoryPlan { weights, buffers, state } = labeller.memory_plan();
    let parts = [("weights", weights), ("buffers", buffers), ("state", state), ("program", program_bytes())];
    let total = parts.iter().map(|part| part.1).sum();
    if let Some(left) = allowed.checked_sub(total as u64) {
        return Ok((labeller, usize::try_from(left).unwrap_or(usize::MAX)));
    }
    let parts: Vec<_> = parts.into_iter().map(|(name, bytes)| format!("{name} {}", size::megabytes(bytes as u64))).collect();
    Err(refuse(total, parts.join(", ")).into())
}

/// Labels a file, and traces that if it is asked for.
fn traced(args: &Args, folder: &Path, labeller: &mut Labeller, left: usize, file: &Path) -> Result<ExitCode> {
    let run = Run { isa: args.machine.isa(), threads: args.machine.threads() };
    let named = (!input::is_stdin(file)).then_some(file);
    let trace = args.trace.start(named, args.raw.rate(), |input| Ok(trace::label_header(input, trace::network(folder)?, run)))?;
    labeller.set_tap(trace.as_ref().map(Recording::tap));
    let status = label(args, labeller, left, file)?;
    labeller.set_tap(None);
    trace.map_or(Ok(()), Recording::finish)?;
    Ok(status)
}

fn label(args: &Args, labeller: &mut Labeller, left: usize, file: &Path) -> Result<ExitCode> {
    let failed = |error: LabelError| match error {
        LabelError::Source(error) => fault::source(&input::name(file), &error).into(),
        other => fault::label(file, other),
    };
    let labels = labeller.labels().to_vec();
    let mut damage = Vec::new();
    let scores = match labeller.reading() {
        Reading::Images => {
            let image = if input::is_stdin(file) {
                if io::stdin().is_terminal() {
                    return Err(Fault::line("standard input is a terminal: -: pipe an image into it").into());
                }
                Image::read_from(file, &mut io::stdin().lock(), left)
            } else {
                Image::read_within(file, left)
            };
            let image = image.map_err(failed)?;
            labeller.image(&image).map_err(failed)?
        }
        Reading::Recordings => {
            let mut reader = args.raw.open(file, args.machine.isa())?;
            let scores = labeller.recording(&mut reader).map_err(failed)?;
            damage = reader.damage();
            scores
        }
    };
    let mut best: Vec<usize> = (0..scores.len()).collect();
    best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    best.truncate(args.top.into());
    write(args, &input::name(file), &labels, scores, &best, &mut io::stdout().lock())?;
    Ok(input::tell_damage(&input::name(file), &damage))
}

fn write(args: &Args, file: &str, labels: &[String], scores: &[f32], best: &[usize], out: &mut dyn Write) -> io::Result<()> {
    match args.format {
        FormatName::Text => {
            let all: Vec<String> = best.iter().map(|&label| format!("{} {:.3}", labels[label], scores[label])).collect();
            writeln!(out, "{file}  {}", all.join("  "))?;
        }
        FormatName::Tsv => {
            for &label in best {
                writeln!(out, "{}\t{}\t{:.4}", file.replace(char::is_control, "\u{fffd}"), labels[label], scores[label])?;
            }
        }
        FormatName::Jsonl => {
            let top: Vec<_> = best.iter().map(|&label| json!({"label": labels[label], "score": scores[label]})).collect();
            let mut value = json!({"file": file, "top": top});
            if args.digests {
                let mut hash = Sha256::new();
                scores.iter().for_each(|score| hash.update(score.to_le_bytes()));
                value["scores_sha256"] = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
            }
            writeln!(out, "{value}")?;
        }
    }
    out.flush()
}
