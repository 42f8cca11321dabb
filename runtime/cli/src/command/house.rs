//! `ossicle command house`: a house file from a Home Assistant configuration folder.

mod registries;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use ossicle_sentences::hass::{Entity, House, Place};

use crate::fault::{self, Fault};
use crate::input;

const EXAMPLES: &str = "\
Examples:
  ossicle command house --from-home-assistant /config > home.yaml
  ossicle command match --sentences intents --language en --home home.yaml

What is exposed to voice assistants there is written; nothing in the folder is changed.";

/// Where from.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Home Assistant's configuration folder, the one with .storage in it
    #[arg(long, value_name = "FOLDER", required = true)]
    from_home_assistant: PathBuf,
    /// Write what is not exposed as well, marked as such
    #[arg(long)]
    all: bool,
    /// File to write, - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// `ossicle command house`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut house = registries::read(&args.from_home_assistant)?;
    let all = house.entities.len();
    let exposed = house.entities.iter().filter(|entity| entity.exposed).count();
    if !args.all {
        house.entities.retain(|entity| entity.exposed);
    }
    let text = written(&house);
    // What is written here must be readable there.
    House::parse("house", &text).map_err(|error| Fault::new(error, args.from_home_assistant.display(), "expose fewer entities"))?;
    if args.output == Path::new("-") {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
    } else {
        input::whole_file(&args.output, |out| Ok(out.write_all(text.as_bytes())?))?;
    }
    let House { areas, floors, .. } = &house;
    fault::tell(format_args!("{} areas, {} floors, {exposed} of {all} entities exposed", areas.len(), floors.len()));
    Ok(ExitCode::SUCCESS)
}

/// A house file.
fn written(house: &House) -> String {
    let mut text = String::new();
    let mut section = |name: &str, lines: Vec<String>| {
        text.push_str(name);
        text.push_str(if lines.is_empty() { ": []\n" } else { ":\n" });
        lines.iter().for_each(|line| text.push_str(&format!("  - {{{line}}}\n")));
    };
    let place = |place: &Place| {
        let keys = [("id", &place.id), ("floor", &place.floor)];
        line(&place.name, &place.aliases, &keys.map(|(key, value)| (key, value.as_deref())))
    };
    section("floors", house.floors.iter().map(place).collect());
    section("areas", house.areas.iter().map(place).collect());
    let entity = |entity: &Entity| {
        let keys = [("id", entity.id.as_deref()), ("domain", entity.domain()), ("area", entity.area.as_deref())];
        let keys = [&keys[..], &[("device_class", entity.device_class.as_deref())]].concat();
        line(&entity.name, &entity.aliases, &keys) + if entity.exposed { "" } else { ", exposed: false" }
    };
    section("entities", house.entities.iter().map(entity).collect());
    text
}

fn line(name: &str, aliases: &[String], keys: &[(&str, Option<&str>)]) -> String {
    let mut line = format!("name: {}", quoted(name));
    if !aliases.is_empty() {
        let aliases: Vec<String> = aliases.iter().map(|alias| quoted(alias)).collect();
        line.push_str(&format!(", aliases: [{}]", aliases.join(", ")));
    }
    for (key, value) in keys {
        if let Some(value) = value {
            line.push_str(&format!(", {key}: {}", serde_json::Value::from(*value)));
        }
    }
    line
}

/// A name as it is, whatever signs it has: those of templates are taken for themselves.
fn quoted(name: &str) -> String {
    let mut plain = String::new();
    for c in name.chars() {
        if "\\[](){}<>|;".contains(c) && name.contains(['[', '|']) {
            plain.push('\\');
        }
        plain.push(c);
    }
    serde_json::Value::from(plain).to_string()
}
