//! `ossicle classify`, and `label`, its older name.

mod tune;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use ossicle::classify::{AnyClassifier, Classifier, ClassifyError, Labels, NONE, PLACE};
use ossicle::embed;
use ossicle::families;
use ossicle::label::{LabelError, Reading};
use ossicle::trace;
use ossicle::whisper::memory::program_bytes;
use ossicle::whisper::transcriber::Options as Run;
use ossicle_models::MemoryPlan;
use ossicle_models::network::MAX_BUFFER_BYTES;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::model::{BudgetArgs, MachineArgs};
use crate::size;
use crate::trace::{Recording, TraceArgs};

const EXAMPLES: &str = "\
Examples:
  ossicle classify photo.jpg
  ossicle classify photo.jpg --labels \"cat,dog,person\"
  ossicle classify photo.jpg --model clip --labels \"a cat on a sofa,an empty sofa,a person\"
  ossicle classify *.jpg --model clip --labels-file animals.txt --template \"a photo of a {}\" --format jsonl
  ossicle classify --model birds dawn.flac
  ossicle classify tune my-pictures/ --nothing empty-rooms/ --model clip -o rooms.json
  ossicle classify photo.jpg --model clip --tuned rooms.json

efficientnet-lite0 knows ImageNet's 1000 classes, and labels in your own words by how near they are to those. A CLIP, made by
ossicle-quantize clip, knows far more of words. ossicle-quantize --onnx makes classifiers with labels of their own.";

/// Knows ImageNet's classes.
const DEFAULT_MODEL: &str = "efficientnet-lite0";

/// What to label, and with what.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    also: Option<Also>,
    /// Images (png, jpeg, webp, gif, binary ppm) or recordings, whichever the model is for; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Model folder, or the name of one (see `ossicle models list`) [default: efficientnet-lite0]
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Option<String>,
    #[command(flatten)]
    words: LabelArgs,
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

#[derive(Subcommand)]
enum Also {
    /// Learn from a few images of your own how high a label's score has to be, and when none is there
    Tune(Box<tune::Args>),
}

/// Labels in words.
#[derive(clap::Args)]
pub(crate) struct LabelArgs {
    /// Labels in your own words, with commas between them
    #[arg(long, value_name = "LABEL,..", value_delimiter = ',')]
    labels: Vec<String>,
    /// Labels in your own words, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    labels_file: Option<PathBuf>,
    /// A sentence with {} for the label; with several, a label is the mean of them
    #[arg(long, value_name = "SENTENCE")]
    template: Vec<String>,
    /// Labels that `ossicle classify tune` tuned: an image may show none of them
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["labels", "labels_file", "template"])]
    tuned: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Text,
    Tsv,
    Jsonl,
}

/// Labels every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(Also::Tune(args)) = &args.also {
        return tune::run(args);
    }
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
    let words = args.words.read()?;
    let name = model_name(args.model.as_deref());
    let folder = ossicle::models::find(name).map_err(fault::model)?;
    check_words(&folder, words.as_ref())?;
    let (mut model, left) = open(args, &folder, words.as_ref())?;
    if model.reading() == Reading::Images {
        args.raw.check_unused("the model labels images")?;
    }
    for (sentence, count) in model.by_words().map_or(&[][..], Classifier::cut) {
        fault::complain(&format!("{sentence:?}: the last {count} tokens are left out: give a shorter label"));
    }
    let mut statuses = Vec::new();
    for file in &args.files {
        match traced(args, &folder, &mut model, left, file) {
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

/// The model that is named, or the default one.
pub(crate) fn model_name(named: Option<&str>) -> &str {
    named.unwrap_or(DEFAULT_MODEL)
}

/// Refuses a model that has no labels of its own where none are given.
pub(crate) fn check_words(folder: &Path, words: Option<&Labels>) -> Result<(), Fault> {
    if words.is_none() && families::of(folder).is_ok_and(|(family, _)| family.labels_by_words_only()) {
        return Err(Fault::new("this model knows labels by their words", folder.display(), "give some with --labels"));
    }
    Ok(())
}

impl LabelArgs {
    /// Labels in words, if there are any.
    pub(crate) fn read(&self) -> Result<Option<Labels>> {
        if let Some(path) = &self.tuned {
            let remedy = "give a file that ossicle classify tune wrote";
            let labels = Labels::read(path).map_err(|error| Fault::new(error, path.display(), remedy))?;
            check_names(&labels.names)?;
            return Ok(Some(labels));
        }
        let names: Vec<String> = match &self.labels_file {
            None if self.labels.is_empty() && self.template.is_empty() => return Ok(None),
            None => self.labels.iter().map(|label| label.trim().to_owned()).collect(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|e| Fault::new(e, path.display(), "give a file of labels, one a line"))?;
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
        };
        if names.is_empty() {
            return Err(Fault::line("no labels: give some with --labels or --labels-file").into());
        }
        check_names(&names)?;
        check_templates(&self.template)?;
        Ok(Some(Labels { names, templates: self.template.clone(), tuning: None }))
    }
}

/// Labels have to be plain words, each once.
fn check_names(names: &[String]) -> Result<(), Fault> {
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(char::is_control) {
            return Err(Fault::line(format!("label {}: {name:?}: give plain words", i + 1)));
        }
        if names[..i].contains(name) {
            return Err(Fault::line(format!("label {name:?} is given twice")));
        }
    }
    Ok(())
}

fn check_templates(templates: &[String]) -> Result<(), Fault> {
    match templates.iter().find(|template| !template.contains(PLACE)) {
        None => Ok(()),
        Some(template) => Err(Fault::line(format!("--template {template:?} has no {PLACE} for the label: \"a photo of a {PLACE}\""))),
    }
}

/// The model, if `--memory` and `--board` allow what it needs, and the bytes they leave for reading images.
fn open(args: &Args, folder: &Path, words: Option<&Labels>) -> Result<(AnyClassifier, usize)> {
    let (isa, threads) = (args.machine.isa(), args.machine.threads());
    let open = |most: usize| AnyClassifier::open(folder, words, embed::Options { isa, threads, most });
    let tightest = args.budget.limits()?.into_iter().min_by_key(|limit| limit.1);
    let Some((limit, allowed)) = tightest else {
        let model = open(MAX_BUFFER_BYTES).map_err(|error| fault::classify(folder, error))?;
        return Ok((model, usize::MAX));
    };
    let refuse = |needed: usize, parts: String| {
        let (needed, allowed) = (size::megabytes(needed as u64), size::megabytes(allowed));
        Fault::new(format!("the plan needs {needed}, more than {limit} {allowed}"), folder.display(), parts)
    };
    // What the system or the weights take beside the buffers is known once they are not too large themselves.
    let most = usize::try_from(allowed).unwrap_or(usize::MAX);
    let model = open(most).map_err(|error| match error.needed() {
        Some(needed) => refuse(needed, "buffers alone".to_owned()).into(),
        None => fault::classify(folder, error),
    })?;
    let MemoryPlan { weights, buffers, state } = model.memory_plan();
    let parts = [("weights", weights), ("buffers", buffers), ("state", state), ("program", program_bytes())];
    let total = parts.iter().map(|part| part.1).sum();
    if let Some(left) = allowed.checked_sub(total as u64) {
        return Ok((model, usize::try_from(left).unwrap_or(usize::MAX)));
    }
    let parts: Vec<_> = parts.into_iter().map(|(name, bytes)| format!("{name} {}", size::megabytes(bytes as u64))).collect();
    Err(refuse(total, parts.join(", ")).into())
}

/// Labels a file, and traces that if it is asked for.
fn traced(args: &Args, folder: &Path, model: &mut AnyClassifier, left: usize, file: &Path) -> Result<ExitCode> {
    let run = Run { isa: args.machine.isa(), threads: args.machine.threads() };
    let named = (!input::is_stdin(file)).then_some(file);
    let header = |input| match model.by_words() {
        None => Ok(trace::label_header(input, trace::network(folder)?, run)),
        Some(_) => Ok(trace::embed_header(input, trace::image_tower(folder)?, run)),
    };
    let trace = args.trace.start(named, args.raw.rate(), header)?;
    model.set_tap(trace.as_ref().map(Recording::tap));
    let status = classify(args, model, left, file)?;
    model.set_tap(None);
    trace.map_or(Ok(()), Recording::finish)?;
    Ok(status)
}

fn classify(args: &Args, model: &mut AnyClassifier, left: usize, file: &Path) -> Result<ExitCode> {
    let mut labels = model.labels().to_vec();
    let tuned = model.by_words().is_some_and(Classifier::is_tuned);
    let mut damage = Vec::new();
    let scores = if model.reading() == Reading::Recordings {
        let mut reader = args.raw.open(file, args.machine.isa())?;
        let scores = model.recording(&mut reader).map_err(|error| match error {
            ClassifyError::Label(LabelError::Source(error)) => fault::source(&input::name(file), &error).into(),
            other => fault::classify(file, other),
        })?;
        damage = reader.damage();
        scores
    } else {
        let image = input::image(file, left)?;
        model.image(&image).map_err(|error| fault::classify(file, error))?
    };
    let digest = args.digests.then(|| scores_sha256(scores));
    let mut scores = scores.to_vec();
    if tuned {
        let most = scores.iter().copied().fold(0.0, f32::max);
        labels.push(NONE.to_owned());
        scores.push(1.0 - most);
    }
    let mut best: Vec<usize> = (0..scores.len()).collect();
    best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    best.truncate(args.top.into());
    write(args, &input::name(file), (&labels, &scores), digest, &best, &mut io::stdout().lock())?;
    Ok(input::tell_damage(&input::name(file), &damage))
}

fn scores_sha256(scores: &[f32]) -> String {
    let mut hash = Sha256::new();
    scores.iter().for_each(|score| hash.update(score.to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(
    args: &Args,
    file: &str,
    (labels, scores): (&[String], &[f32]),
    digest: Option<String>,
    best: &[usize],
    out: &mut dyn Write,
) -> io::Result<()> {
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
            if let Some(digest) = digest {
                value["scores_sha256"] = digest.into();
            }
            writeln!(out, "{value}")?;
        }
    }
    out.flush()
}
