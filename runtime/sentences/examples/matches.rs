//! What lines of text mean under a sentence file: `cargo run --release -p ossicle-sentences --example matches -- home < lines.txt`.
//!
//! Prints a line for each: intent, then slots as `name=value`, separated by tabs; an empty line where there is no match.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use ossicle_sentences::{Grammar, pack};

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("matches: no sentence file: give a file or the name of a pack");
        return ExitCode::from(2);
    };
    match run(&name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matches: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let text = match pack(name) {
        Some(pack) => pack.text.to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?,
    };
    let grammar = Grammar::parse(name, &text)?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        if let Some(found) = grammar.matches(&line?).first() {
            write!(out, "{}", found.intent)?;
            for slot in &found.slots {
                write!(out, "\t{}={}", slot.name, slot.value)?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
