//! Compares what texts become before CLIP's tokens are made with what a file of lines `{"text": ..., "clean": ...}` says: `clean lines.jsonl`.
//! `tests/text/clean.py` writes such files.

use std::error::Error;
use std::process::ExitCode;

use ossicle_text::{Cleaning, clean};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    text: String,
    clean: String,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let lines = std::env::args().nth(1).ok_or("clean lines.jsonl")?;
    let (mut count, mut wrong) = (0, 0);
    for line in std::fs::read_to_string(lines)?.lines() {
        let Line { text, clean: theirs } = serde_json::from_str(line)?;
        let ours = clean(&text, Cleaning::Ftfy);
        count += 1;
        if ours != theirs {
            wrong += 1;
            println!("{text:?}\n  ours   {ours:?}\n  theirs {theirs:?}");
        }
    }
    println!("{count} texts, {wrong} differ");
    Ok(if wrong == 0 && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
