//! Tokens of texts, for comparison with the `tokenizers` library: `tokenize tokenizer.json MOST < texts.jsonl`.
//!
//! Reads a JSON string a line, and writes a JSON list of its ids.
#![forbid(unsafe_code)]

use std::io::{BufRead, Write};

use ossicle_text::Tokenizer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, most] = &arguments[..] else { return Err("tokenize tokenizer.json MOST < texts.jsonl".into()) };
    let (tokenizer, most) = (Tokenizer::from_json(&std::fs::read_to_string(file)?)?, most.parse()?);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        writeln!(out, "{}", serde_json::to_string(&tokenizer.encode(&text, most).ids)?)?;
    }
    Ok(())
}
