//! Phonemes of the lines of standard input: `phonemes FILE`; `phonemes --build PARTS.json WEIGHTS FILE` writes such a file.
use std::io::{BufRead, Write};
use std::path::Path;

use ossicle_phonemes::{Parts, Phonemizer};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args[0] == "--build" {
        let all: serde_json::Value = serde_json::from_slice(&std::fs::read(&args[1]).unwrap()).unwrap();
        let weights = std::fs::read(&args[2]).unwrap();
        let get = |key: &str| all[key].clone();
        let parts = Parts {
            language: "en-us".into(),
            lexicon: serde_json::from_value(get("lexicon")).unwrap(),
            tags: serde_json::from_value(get("tags")).unwrap(),
            tag_of_word: serde_json::from_value(get("tagdict")).unwrap(),
            tag_weights: serde_json::from_value(get("weights")).unwrap(),
            letters: serde_json::from_value(get("letters")).unwrap(),
            said: serde_json::from_value(get("said")).unwrap(),
            slots: 4,
            net: [128, 4, 384, 4],
            weights: weights.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
            readings: serde_json::from_value(get("readings")).unwrap(),
        };
        std::fs::write(&args[3], parts.write().unwrap()).unwrap();
        return;
    }
    let clock = std::time::Instant::now();
    let phonemizer = Phonemizer::open(Path::new(&args[0])).unwrap();
    eprintln!("open {:?}", clock.elapsed());
    let clock = std::time::Instant::now();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut lines = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let said: Vec<String> = phonemizer.phonemize(&line).into_iter().map(|clause| clause.phonemes).collect();
        writeln!(out, "{}", said.join(" | ")).unwrap();
        lines += 1;
    }
    eprintln!("{lines} lines {:?}", clock.elapsed());
}
