//! The phonemes of the lines of standard input: `phonemes FILE`. Sentences of a line are parted by ` | `.

use std::io::{BufRead, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use ossicle_phonemes::Phonemizer;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("phonemes: give a file of phonemes (ossicle-quantize phonemes)");
        return ExitCode::from(2);
    };
    let phonemizer = match Phonemizer::open(Path::new(&path)) {
        Ok(phonemizer) => phonemizer,
        Err(error) => {
            eprintln!("phonemes: {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let written = line.and_then(|line| {
            let said: Vec<String> = phonemizer.phonemize(&line).into_iter().map(|clause| clause.phonemes).collect();
            writeln!(out, "{}", said.join(" | "))
        });
        if let Err(error) = written {
            eprintln!("phonemes: {error}");
            return ExitCode::FAILURE;
        }
    }
    if out.flush().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
