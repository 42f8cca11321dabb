//! `ossicle command` on the sample in the repository, through the binary.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::stdout;
use serde_json::Value;

/// What the sample says, as a sentence with two slots, among others.
const SENTENCES: &str = "
language: en
intents:
  LightsAndTimer:
    data:
      - sentences: ['(turn|switch) (off|on) [the] {area} lights and set a timer for {minutes} minutes']
        response: good night
  Stop:
    data:
      - sentences: [stop]
lists:
  area: {values: [kitchen, {in: living room, out: lounge}]}
  minutes: {range: {from: 1, to: 60}}
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder of this test's own with the sentence file in it.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("house.yaml"), SENTENCES).unwrap();
    folder
}

fn ossicle(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env("OSSICLE_MODELS", root().join("models-int8")).env_remove("OSSICLE_ISA").current_dir(folder);
    command.arg("command").args(args).output().unwrap()
}

#[test]
fn a_command_has_intent_slots_and_confidence_on_every_instruction_set() {
    let (folder, sample) = (folder("json"), root().join("samples/kitchen.wav"));
    let sample = sample.to_str().unwrap();
    let mut lines = Vec::new();
    for isa in ossicle_kernels::simd::Isa::available() {
        let args = ["--sentences", "house.yaml", "--format", "json", "--isa", isa.name(), sample];
        lines.push(stdout(ossicle(&args, &folder)));
    }
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["schema"], "ossicle.command/1");
    assert_eq!((&line["intent"], &line["response"]), (&"LightsAndTimer".into(), &"good night".into()));
    assert_eq!(line["slots"], serde_json::json!({"area": "kitchen", "minutes": 10}));
    assert!(line["confidence"].as_f64().unwrap() > 0.9, "{line}");
}

#[test]
fn the_packs_know_the_samples() {
    let folder = folder("packs");
    let [lights, kitchen] = ["lights", "kitchen"].map(|name| root().join(format!("samples/{name}.wav")).to_str().unwrap().to_owned());
    let line = stdout(ossicle(&["--sentences", "home", &lights], &folder));
    assert!(line.contains("  HassTurnOff area=kitchen domain=light  "), "{line}");
    // Two commands in one breath are no sentence.
    let line = stdout(ossicle(&["--sentences", "home", &kitchen], &folder));
    assert!(line.contains("  none  "), "{line}");
}

#[test]
fn what_is_no_sentence_is_none() {
    let (folder, sample) = (folder("none"), root().join("samples/kitchen.wav"));
    let sample = sample.to_str().unwrap();
    let line = stdout(ossicle(&["--sentences", "coffee", sample], &folder));
    assert!(line.starts_with(sample) && line.contains("  none  heard \"Turn off the kitchen lights"), "{line}");
    let line = stdout(ossicle(&["--sentences", "house.yaml", "--threshold", "1", sample], &folder));
    assert!(line.contains("  none  "), "{line}");
}

#[test]
fn tuning_counts_hits_and_false_alarms() {
    let (folder, sample) = (folder("tune"), root().join("samples/kitchen.wav"));
    fs::copy(sample, folder.join("a.wav")).unwrap();
    let slots = r#""slots": {"area": "Kitchen", "minutes": 10}"#;
    fs::write(folder.join("manifest.jsonl"), format!("{{\"file\": \"a.wav\", \"intent\": \"LightsAndTimer\", {slots}}}\n")).unwrap();
    let args = ["tune", "--sentences", "house.yaml", "--commands", "manifest.jsonl", "--others", "a.wav", "--scores", "scores.jsonl"];
    let table = stdout(ossicle(&args, &folder));
    assert!(table.starts_with("1 commands, 1 other utterances\n"), "{table}");
    assert!(table.contains("0.50  100.00%    0.00%    0.00%    100.00%  (1)"), "the sample is both: {table}");
    assert_eq!(fs::read_to_string(folder.join("scores.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn tuning_goes_on_after_a_bad_recording() {
    let (folder, sample) = (folder("tune-bad"), root().join("samples/kitchen.wav"));
    fs::copy(sample, folder.join("a.wav")).unwrap();
    fs::write(folder.join("bad.wav"), "no sound").unwrap();
    let line = |file: &str| {
        format!("{{\"file\": \"{file}\", \"intent\": \"LightsAndTimer\", \"slots\": {{\"area\": \"Kitchen\", \"minutes\": 10.0}}}}\n")
    };
    fs::write(folder.join("manifest.jsonl"), line("bad.wav") + &line("a.wav")).unwrap();
    let output =
        ossicle(&["tune", "--sentences", "house.yaml", "--commands", "manifest.jsonl", "--others", "missing.wav", "a.wav"], &folder);
    let (table, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 2), "{told}");
    assert!(told.contains("bad.wav: ") && told.contains("missing.wav: "), "{told}");
    assert!(table.starts_with("1 commands, 1 other utterances\n") && table.contains("0.50  100.00% "), "{table}");
}

#[test]
fn sentence_files_are_looked_at() {
    let folder = folder("sentences");
    let packs = stdout(ossicle(&["sentences"], &folder));
    assert!(packs.lines().any(|line| line.starts_with("home")) && packs.lines().any(|line| line.starts_with("coffee")), "{packs}");
    let house = stdout(ossicle(&["sentences", "house.yaml", "--sample", "3"], &folder));
    assert!(house.starts_with("2 intents, "), "{house}");
    assert_eq!(house.lines().count(), 4);
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder("bad");
    fs::write(folder.join("bad.yaml"), "language: en\nintents:\n  A:\n    data:\n      - sentences: ['turn (on']\n").unwrap();
    fs::write(folder.join("german.yaml"), SENTENCES.replace("language: en", "language: de-CH")).unwrap();
    fs::write(folder.join("klingon.yaml"), SENTENCES.replace("language: en", "language: tlh")).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("none.jsonl"), "\n").unwrap();
    fs::write(folder.join("some.jsonl"), "{\"file\": \"x.wav\", \"intent\": \"Stop\"}\n").unwrap();
    let tune = ["tune", "--sentences", "house.yaml", "--commands", "some.jsonl", "--others"];
    let [empty, nan, unwritable] = [&["empty"][..], &["x.wav", "--noise", "x.wav", "--snr", "nan"], &["x.wav", "--scores", "no/such"]]
        .map(|rest| [&tune[..], rest].concat());
    let silent = [&tune[..], &["x.wav", "--noise", "empty", "--snr", "6"]].concat();
    let german = ["tune", "--sentences", "german.yaml", "--commands", "some.jsonl", "--others", "x.wav"];
    let bad: [(&[&str], &str); 19] = [
        (
            &["--sentences", "german.yaml", "x.wav"],
            "the sentences are in German (de-CH), and whisper-tiny.en-short knows English only: german.yaml: give a multilingual model",
        ),
        (&german, "the sentences are in German (de-CH)"),
        (&["--sentences", "klingon.yaml", "x.wav"], "the sentences are in \"tlh\", and whisper-tiny.en-short knows no such language"),
        (&["--sentences", "house.yaml", "--language", "de", "x.wav"], "English only"),
        // Whoever says so has them decoded.
        (&["--sentences", "german.yaml", "--language", "en", "x.wav"], "x.wav"),
        (&empty, "empty: give --others a folder that has some"),
        (&silent, "empty: give --noise a folder that has some"),
        (&nan, "give -100 to 100 dB"),
        (&unwritable, "no/such: give a file that can be written"),
        (&["tune", "--sentences", "house.yaml", "--commands", "none.jsonl", "--others", "x.wav"], "no commands in it: none.jsonl"),
        (&["tune", "--sentences", "house.yaml", "--commands", "/dev/zero", "--others", "x.wav"], "larger than 16777216 bytes: /dev/zero"),
        (&["--sentences", "/dev/zero", "x.wav"], "larger than 1048576 bytes: /dev/zero"),
        // Said before a model is looked for.
        (&["--sentences", "house.yaml", "--model", "no/such", "-", "-"], "standard input twice"),
        (&["x.wav"], "--sentences"),
        (&["--sentences", "bad.yaml", "x.wav"], "bad.yaml:5:"),
        (&["--sentences", "nowhere.yaml", "x.wav"], "nowhere.yaml: give a sentence file, or one of "),
        (&["--sentences", "house.yaml", "x.wav"], "x.wav"),
        (&["--sentences", "house.yaml", "--threshold", "2", "x.wav"], "give a probability from 0 to 1"),
        (&["tune", "--sentences", "house.yaml", "--commands", "house.yaml", "--others", "."], "house.yaml:2: give a file of lines such as"),
    ];
    for (args, expected) in bad {
        let output = ossicle(args, &folder);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.lines().count() == 1 && error.contains(expected), "{args:?}: {error}");
    }
}
