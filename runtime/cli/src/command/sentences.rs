//! `ossicle command sentences`: what a sentence file holds.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use ossicle::command::set::SlotValue;
use ossicle_sentences::{Grammar, MAX_FILE_BYTES, PACKS, Sample, pack};
use serde_json::json;

use super::folder::{self, HouseArgs};
use crate::fault::Fault;
use crate::input;

/// Which file, and what of it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Sentence file, the name of one that comes with the program, or a folder in the layout of Home Assistant's sentences; all names if
    /// left out
    #[arg(value_name = "NAME|FILE.yaml|FOLDER")]
    sentences: Option<String>,
    /// Language of a folder's sentences, as a code [default: the only one there]
    #[arg(long, value_name = "LANGUAGE", requires = "sentences")]
    language: Option<String>,
    #[command(flatten)]
    house: HouseArgs,
    /// Show this many sentences drawn at random, with what they mean
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sentences")]
    sample: usize,
    /// What the draw depends on
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write those as JSON and nothing else, an object a line: text, intent, slots
    #[arg(long, requires = "sample")]
    json: bool,
}

/// Reads a sentence file or one of those that come with the program.
pub(crate) fn load(name: &str) -> Result<Grammar, Fault> {
    let parsed = match pack(name) {
        Some(pack) => Grammar::parse(name, pack.text),
        None => {
            let names: Vec<_> = PACKS.iter().map(|pack| pack.name).collect();
            let remedy = format!("give a sentence file, or one of {}", names.join(", "));
            let text = input::text(Path::new(name), MAX_FILE_BYTES).map_err(|error| Fault::new(error, name, remedy))?;
            Grammar::parse(name, &text)
        }
    };
    parsed.map_err(Fault::line)
}

/// `ossicle command sentences`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    let Some(name) = &args.sentences else {
        for pack in PACKS {
            let grammar = Grammar::parse(pack.name, pack.text).map_err(Fault::line)?;
            writeln!(out, "{:10}{} intents, {} sentences", pack.name, grammar.intents().count(), grammar.count())?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    if folder::is_folder(name) {
        if args.sample > 0 {
            return Err(Fault::new("no sentences are drawn of a folder", name, "leave --sample out, or give a file").into());
        }
        let intents = args.house.intents(name, args.language.as_deref())?;
        let corpus = intents.corpus();
        writeln!(out, "{} intents, {} templates, language {}", corpus.intents().count(), corpus.templates(), corpus.language())?;
        return Ok(ExitCode::SUCCESS);
    }
    let grammar = load(name)?;
    if args.json {
        for Sample { text, intent, slots } in grammar.samples(args.seed).take(args.sample) {
            let slots: serde_json::Map<_, _> = slots.into_iter().map(|(name, value)| (name.to_owned(), json!(SlotValue(value)))).collect();
            writeln!(out, "{}", json!({"text": text, "intent": intent, "slots": slots}))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} intents, {} sentences", grammar.intents().count(), grammar.count())?;
    for sample in grammar.samples(args.seed).take(args.sample) {
        write!(out, "{}  {}", sample.text, sample.intent)?;
        for (name, value) in sample.slots {
            write!(out, " {name}={value}")?;
        }
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}
