//! Compares token ids with those in a file of lines `{"text": ..., "ids": [...]}`: `compare tokenizer.json lines.jsonl [ftfy]`. With `ftfy`, texts are
//! cleaned first, as those of a CLIP.

use std::error::Error;
use std::process::ExitCode;

use ossicle_text::{Cleaning, Tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(tokenizer), Some(lines)) = (arguments.next(), arguments.next()) else {
        return Err("compare tokenizer.json lines.jsonl [ftfy]".into());
    };
    let cleaning = match arguments.next().as_deref() {
        None => Cleaning::None,
        Some("ftfy") => Cleaning::Ftfy,
        Some(other) => return Err(format!("{other}: ftfy is possible").into()),
    };
    let tokenizer = Tokenizer::from_json(&std::fs::read_to_string(tokenizer)?)?.cleaned(cleaning)?;
    let (mut count, mut wrong) = (0, 0);
    for line in std::fs::read_to_string(lines)?.lines() {
        let Line { text, ids } = serde_json::from_str(line)?;
        let ours = tokenizer.encode(&text, usize::MAX).ids;
        count += 1;
        if ours != ids {
            wrong += 1;
            println!("{text:?}\n  ours   {ours:?}\n  theirs {ids:?}");
        }
    }
    println!("{count} texts, {wrong} differ");
    Ok(if wrong == 0 && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
