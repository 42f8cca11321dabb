//! `ossicle command match`: what typed text means.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::command::set::SlotValue;
use ossicle_sentences::Value as Held;
use ossicle_sentences::hass::Understood;
use serde_json::{Map, Value, json};

use super::folder::HouseArgs;
use super::loaded::Loaded;
use crate::fault::Fault;

const EXAMPLES: &str = "\
Examples:
  echo \"turn on the kitchen light\" | ossicle command match --sentences home
  ossicle command match --sentences intents --language en --home home.yaml --format jsonl < sentences.txt

A line of standard input is a text; a line of standard output is its answer.";

/// The longest line read, in bytes.
const MAX_LINE: u64 = 1 << 16;

/// Which sentences.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder in the layout of Home Assistant's sentences, sentence file, or the name of one that comes with the program
    #[arg(long, value_name = "NAME|FILE.yaml|FOLDER")]
    sentences: String,
    /// Language of a folder's sentences, as a code [default: the only one there]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    #[command(flatten)]
    house: HouseArgs,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A line for people
    Text,
    /// An object a line: text, intent, slots
    Jsonl,
}

/// What the sentences have for a text.
fn answer(sentences: &Loaded, text: &str) -> Value {
    let grammar = match sentences {
        Loaded::Folder(intents) => return intents.understand(text).map_or_else(|| none(text), |found| understood(text, &found)),
        Loaded::File(grammar) => grammar,
    };
    let matches = grammar.matches(text);
    let Some(found) = matches.first().filter(|found| !found.ambiguous) else { return none(text) };
    let slots = found.slots.iter().map(|slot| (slot.name.to_owned(), json!(SlotValue(slot.value.clone()))));
    let mut answer = json!({"text": text, "intent": found.intent, "slots": slots.collect::<Map<_, _>>()});
    if let Some(response) = &found.response {
        answer["response"] = response.as_str().into();
    }
    answer
}

fn none(text: &str) -> Value {
    json!({"text": text, "intent": null, "slots": {}})
}

fn understood(text: &str, found: &Understood<'_>) -> Value {
    let slots = found.slots.iter().map(|(name, value)| ((*name).to_owned(), json!(SlotValue(value.clone()))));
    let mut answer = json!({"text": text, "intent": found.intent, "slots": slots.collect::<Map<_, _>>()});
    for (key, value) in [("response", found.response), ("entity_id", found.entity), ("combination", found.combination)] {
        if let Some(value) = value {
            answer[key] = value.into();
        }
    }
    let free: Vec<&str> = found.slots.iter().filter(|(_, value)| matches!(value, Held::Free(_))).map(|(name, _)| *name).collect();
    if !free.is_empty() {
        answer["free_text"] = free.into();
    }
    if !found.metadata.is_empty() {
        let metadata = found.metadata.iter().map(|(name, value)| (name.clone(), json!(SlotValue(value.clone()))));
        answer["metadata"] = metadata.collect::<Map<_, _>>().into();
    }
    answer
}

/// `ossicle command match`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let sentences = Loaded::open(&args.sentences, args.language.as_deref(), &args.house)?;
    let (mut input, mut out) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
            return Err(Fault::new(format!("a line of more than {MAX_LINE} bytes"), "-", "give one sentence a line").into());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let answer = answer(&sentences, text);
        match args.format {
            FormatName::Jsonl => writeln!(out, "{answer}")?,
            FormatName::Text => writeln!(out, "{}", plain(text, &answer))?,
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// An answer for people.
fn plain(text: &str, answer: &Value) -> String {
    let Some(intent) = answer["intent"].as_str() else { return format!("none  {text:?}") };
    let slots = answer["slots"].as_object().into_iter().flatten().map(|(name, value)| format!(" {name}={value}"));
    format!("{intent}{}  {text:?}", slots.collect::<String>())
}
