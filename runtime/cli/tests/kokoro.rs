//! `ossicle speak` with small voices of Kokoro's kind, whose weights are made by formula.

mod common;
#[path = "../../models/tests/toy/mod.rs"]
mod toy;

use std::path::Path;
use std::process::Output;

use common::{ossicle, refusal};

/// Says phonemes in the voices of a model.
fn speak(model: &Path, phonemes: &str, more: &[&str]) -> Output {
    ossicle().args(["speak", "--phonemes", phonemes, "--threads", "1"]).args(more).arg("--model").arg(model).output().unwrap()
}

fn said(model: &Path, phonemes: &str, more: &[&str]) -> Vec<u8> {
    let output = speak(model, phonemes, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn refused(model: &Path, more: &[&str], wanted: &str) {
    let line = refusal(speak(model, "kitchen lamp", more));
    assert!(line.contains(wanted), "{more:?}: {line}");
}

#[test]
fn voices_are_chosen_and_mixed() {
    let folder = toy::kokoro::folder();
    let model = &folder.0;
    let one = said(model, "kitchen lamp, on.", &[]);
    assert!(one.len() > 1000 && one.iter().any(|&byte| byte != 0), "{} bytes", one.len());
    assert_eq!(one, said(model, "kitchen lamp, on.", &["--voice", "one", "--seed", "7", "--isa", "scalar"]));
    let two = said(model, "kitchen lamp, on.", &["--voice", "two"]);
    let mixed = said(model, "kitchen lamp, on.", &["--voice", "one:0.7,two:0.3"]);
    assert!(one != two && mixed != one && mixed != two);
    assert_eq!(mixed, said(model, "kitchen lamp, on.", &["--voice", "one:7,two:3"]));
    refused(model, &["--voice", "three"], "no voice \"three\": give one of one, two");
    refused(model, &["--voice", "one:x"], "\"x\" of one: give a number above 0");
    refused(model, &["--voice", "one:-1,two"], "give a number above 0");
}

#[test]
fn long_lines_are_said_in_pieces_and_whole() {
    let folder = toy::kokoro::folder();
    let model = &folder.0;
    // A piece holds 62 phonemes and 60 frames: a frame has 80 samples of two bytes.
    let line = "kitchen lamp, on. ten of them are here now, and the rest of all that there was is not. ".repeat(6);
    let all = said(model, &line, &["--speed", "0.5"]);
    let phonemes = line.chars().filter(|c| *c != ' ').count();
    assert!(all.len() >= phonemes * 160, "{} bytes for {phonemes} phonemes", all.len());
    assert!(said(model, &"a".repeat(500), &["--speed", "0.5"]).len() >= 500 * 160, "no space to cut at");
}

#[test]
fn a_model_of_one_voice_takes_no_name() {
    let folder = toy::vits::folder(false);
    refused(&folder.0, &["--voice", "one"], "this model has one voice");
}
