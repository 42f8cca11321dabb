//! `ossicle classify tune` from the outside, with the model that comes with the program and pictures of patterns.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, ossicle, refusal, stdout};
use serde_json::Value;

const SIDE: usize = 112;

fn program(arguments: &[&str]) -> Command {
    let mut program = ossicle();
    program.env("OSSICLE_MODELS", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8")).args(arguments);
    program
}

/// Pictures that the model knows, and a gradient, which is nothing.
#[derive(Clone, Copy)]
enum Pattern {
    Crossword,
    Clock,
    Gradient,
}

/// Numbers that look random.
fn draw(seed: usize) -> impl FnMut() -> usize {
    let mut state = (seed as u32).wrapping_mul(2_654_435_761).wrapping_add(12_345);
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    }
}

/// A face with twelve marks and two hands, `x` and `y` from its middle.
fn clock(x: f64, y: f64, index: f64) -> [u8; 3] {
    let (distance, angle) = (x.hypot(y), y.atan2(x).to_degrees().rem_euclid(30.0));
    let hand = |towards: f64, wide: f64, long: f64| {
        let (sin, cos) = towards.sin_cos();
        distance < long && (x * sin - y * cos).abs() < wide && x * cos + y * sin > 0.0
    };
    let mark = distance > 33.0 && !(4.0..=26.0).contains(&angle);
    match distance {
        44.0.. => [180, 140 - 5 * index as u8, 100],
        _ if distance > 40.0 || mark || hand(0.3 * index + 1.0, 1.5, 30.0) || hand(index, 2.0, 20.0) => [20; 3],
        _ => [250, 250, 245],
    }
}

/// The `index`th picture of a pattern.
fn picture(pattern: Pattern, index: usize) -> Vec<u8> {
    let cell = 11 + index % 2;
    let mut next = draw(4);
    let black: Vec<bool> = (0..12 * 12).map(|_| next() % 100 < 28).collect();
    let of_cell = |x: usize, y: usize| x.is_multiple_of(cell) || y.is_multiple_of(cell) || black[y / cell * 12 + x / cell];
    let pixel = |x: usize, y: usize| match pattern {
        Pattern::Crossword if of_cell(x + index, y + 2 * index) => [20; 3],
        Pattern::Crossword => [245 - 3 * index as u8; 3],
        Pattern::Clock => clock(x as f64 - 56.0 - index as f64, y as f64 - 56.0, index as f64),
        Pattern::Gradient => [((x + 2 * y) / 3) as u8, 40 * (index % 6) as u8, (y + 20 * index) as u8],
    };
    let pixels = (0..SIDE * SIDE).flat_map(|at| pixel(at % SIDE, at / SIDE));
    format!("P6 {SIDE} {SIDE} 255\n").into_bytes().into_iter().chain(pixels).collect()
}

fn write(folder: &Path, pattern: Pattern, range: std::ops::Range<usize>) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let file = |index| {
        let path = folder.join(format!("{index}.ppm"));
        fs::write(&path, picture(pattern, index)).unwrap();
        path
    };
    range.map(file).collect()
}

/// A folder of pictures for each label, one of nothing, and others to be told apart.
struct Pictures {
    folder: Folder,
    others: [Vec<PathBuf>; 3],
}

impl Pictures {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let at = |name: &str| folder.0.join(name);
        write(&at("labels/clock"), Pattern::Clock, 0..5);
        write(&at("labels/crossword puzzle"), Pattern::Crossword, 0..5);
        write(&at("nothing"), Pattern::Gradient, 0..5);
        let others = [("crossword", Pattern::Crossword), ("clock", Pattern::Clock), ("gradient", Pattern::Gradient)];
        let others = others.map(|(name, pattern)| write(&at(&format!("others/{name}")), pattern, 5..8));
        Self { others, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn tune(&self) -> String {
        let mut command = program(&["classify", "tune"]);
        command.arg(self.at("labels")).arg("--nothing").arg(self.at("nothing"));
        stdout(command.arg("-o").arg(self.at("tuned.json")).output().unwrap())
    }
}

#[test]
fn what_is_there_is_told_from_nothing() {
    let pictures = Pictures::new("tune");
    let told = pictures.tune();
    assert!(told.contains("     5       5        0     0   crossword puzzle\n"), "{told}");
    assert!(told.ends_with("15 of 15 right\n"), "{told}");
    let tuned: Value = serde_json::from_str(&fs::read_to_string(pictures.at("tuned.json")).unwrap()).unwrap();
    assert_eq!(tuned["labels"], serde_json::json!(["clock", "crossword puzzle"]));
    for (files, label) in pictures.others.iter().zip(["crossword puzzle", "clock", "none of these"]) {
        let mut command = program(&["classify", "--format", "jsonl", "--tuned"]);
        command.arg(pictures.at("tuned.json")).args(files);
        let lines = stdout(command.output().unwrap());
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let best = &line["top"][0];
            assert!(best["label"] == label && best["score"].as_f64().unwrap() >= 0.5, "{line}");
            assert_eq!(line["top"].as_array().unwrap().len(), 3);
        }
        assert_eq!(lines.lines().count(), 3);
    }
}

#[test]
fn a_camera_sees_what_was_tuned() {
    let pictures = Pictures::new("tune-look");
    pictures.tune();
    let frames =
        [&pictures.others[2], &pictures.others[0], &pictures.others[2]].map(|files| files.iter().map(|file| fs::read(file).unwrap()));
    let frames: Vec<u8> = frames.into_iter().flatten().flatten().collect();
    let stream = pictures.folder.file("frames.ppm", &frames);
    let mut command = program(&["look", "--rate", "1", "--motion", "0", "--format", "tsv", "--tuned"]);
    command.arg(pictures.at("tuned.json")).arg(&stream);
    let told = stdout(command.output().unwrap());
    assert_eq!(told, format!("{}\t3.000\t6.000\tcrossword puzzle\n", stream.display()));
}

#[test]
fn a_list_does_as_well_as_folders() {
    let pictures = Pictures::new("tune-list");
    let told = pictures.tune();
    let by_folders = fs::read(pictures.at("tuned.json")).unwrap();
    let mut list = String::new();
    for (folder, label) in [("labels/clock", "clock"), ("labels/crossword puzzle", "crossword puzzle"), ("nothing", "")] {
        (0..5).for_each(|index| list += &format!("{folder}/{index}.ppm\t{label}\n"));
    }
    let list = pictures.folder.file("pictures.tsv", list.as_bytes());
    let tune = |file: &str| {
        let mut command = program(&["classify", "tune"]);
        command.arg(&list).arg("-o").arg(pictures.at(file)).arg("--scores").arg(pictures.at("scores.jsonl"));
        command.output().unwrap()
    };
    assert_eq!(stdout(tune("listed.json")), told);
    assert_eq!(fs::read(pictures.at("listed.json")).unwrap(), by_folders);
    let scores = fs::read_to_string(pictures.at("scores.jsonl")).unwrap();
    let first: Value = serde_json::from_str(scores.lines().next().unwrap()).unwrap();
    assert_eq!((scores.lines().count(), &first["taken_for"]), (15, &Value::from("clock")));
    // A file that is not a picture is reported, and the others go on.
    fs::write(pictures.at("labels/clock/4.ppm"), b"no picture").unwrap();
    let output = tune("less.json");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("4.ppm"));
    assert!(pictures.at("less.json").exists() && String::from_utf8_lossy(&output.stdout).ends_with("14 of 14 right\n"));
}

#[test]
fn what_cannot_be_learned_is_refused_in_a_line() {
    let pictures = Pictures::new("tune-refused");
    let tune = |labels: &Path, more: &[&str]| {
        let mut command = program(&["classify", "tune"]);
        command.arg(labels).args(more).arg("-o").arg(pictures.at("refused.json"));
        refusal(command.output().unwrap())
    };
    let nothing = pictures.at("nothing");
    let nothing = ["--nothing", nothing.to_str().unwrap()];
    let line = tune(&pictures.at("labels"), &[]);
    assert!(line.contains("0 images of nothing: give 3 at least"), "{line}");
    write(&pictures.at("labels/a third"), Pattern::Crossword, 0..2);
    let line = tune(&pictures.at("labels"), &nothing);
    assert!(line.contains("label \"a third\": 2 images: give 3 at least"), "{line}");
    let line = tune(&pictures.at("nothing"), &nothing);
    assert!(line.contains("no folders in it"), "{line}");
    let line = tune(&pictures.at("missing.tsv"), &nothing);
    assert!(line.contains("missing.tsv"), "{line}");
    write(&pictures.at("named/none of these"), Pattern::Crossword, 0..3);
    let line = tune(&pictures.at("named"), &nothing);
    assert!(line.contains("is not a label"), "{line}");
    // Images of a label that are images of nothing teach nothing.
    write(&pictures.at("same/crossword puzzle"), Pattern::Gradient, 0..5);
    let others: Vec<&str> = pictures.others[0].iter().map(|path| path.to_str().unwrap()).collect();
    let line = tune(&pictures.at("same"), &[&["--nothing"][..], &others].concat());
    assert!(line.contains("does not tell these images apart"), "{line}");
    assert!(!pictures.at("refused.json").exists());
}

#[test]
fn what_was_tuned_belongs_to_its_model() {
    let pictures = Pictures::new("tune-other");
    pictures.tune();
    let text = fs::read_to_string(pictures.at("tuned.json")).unwrap();
    let classify = |file: &Path| refusal(program(&["classify", "--tuned"]).arg(file).args(&pictures.others[0]).output().unwrap());
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["model_sha256"] = "0".repeat(64).into();
    let line = classify(&pictures.folder.file("other.json", value.to_string().as_bytes()));
    assert!(line.contains("tuned for another model"), "{line}");
    value["biases"] = serde_json::json!([1.0]);
    let line = classify(&pictures.folder.file("short.json", value.to_string().as_bytes()));
    assert!(line.contains("2 labels, 1 biases") && line.contains("short.json"), "{line}");
    let line = classify(&pictures.folder.file("cut.json", &text.as_bytes()[..text.len() / 2]));
    assert!(line.contains("cut.json") && line.contains("ossicle classify tune"), "{line}");
}
