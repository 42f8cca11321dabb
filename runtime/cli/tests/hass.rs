//! Folders in the layout of Home Assistant's sentences, through the binary.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::stdout;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of sentences written for these tests.
fn sentences() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/house")
}

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hass").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn ossicle(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env("OSSICLE_MODELS", root().join("models-int8")).env_remove("OSSICLE_ISA").current_dir(sentences());
    command.arg("command").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A folder that is refused is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What each line of `input` means.
fn meanings(args: &[&str], input: &str) -> Vec<Value> {
    let args = [&["match", "--format", "jsonl"], args].concat();
    let answers: Vec<Value> = stdout(ossicle(&args, input)).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), input.lines().count());
    answers
}

#[test]
fn texts_mean_what_the_templates_say() {
    let cases = [
        ("Switch off the kitchen lights", "HassTurnOff", json!({"area": "Kitchen", "domain": "light"})),
        ("turn off lights in our galley, please!", "HassTurnOff", json!({"area": "Kitchen", "domain": "light"})),
        ("would you turn off the fan", "HassTurnOff", json!({"domain": "fan"})),
        ("turn off the tea maker", "HassTurnOff", json!({"name": "Kettle"})),
        ("shut the left-blind", "HassTurnOff", json!({"name": "Left Blind"})),
        ("ceiling lamp 25%", "HassLightSet", json!({"name": "Ceiling Lamp", "brightness": 25})),
        ("the ceiling lamp to twenty-five percent", "HassLightSet", json!({"name": "Ceiling Lamp", "brightness": 25})),
        ("at maximum our ceiling lamp", "HassLightSet", json!({"name": "Ceiling Lamp", "brightness": 100})),
        ("put Oat milk on my groceries list", "HassListAddItem", json!({"name": "Groceries", "item": "Oat milk"})),
        ("2.5 minute timer", "HassStartTimer", json!({"minutes": 2.5})),
        ("five-minute timer", "HassStartTimer", json!({"minutes": 5})),
    ];
    let none = ["close the kettle", "turn off the safe", "turn off the lights outside", "put on my groceries list", "91 minute timer", ""];
    let lines: Vec<&str> = cases.iter().map(|case| case.0).chain(none).collect();
    let answers = meanings(&["--sentences", ".", "--language", "en", "--home", "home.yaml"], &(lines.join("\n") + "\n"));
    for ((text, intent, slots), answer) in cases.iter().zip(&answers) {
        assert_eq!((&answer["text"], &answer["intent"], &answer["slots"]), (&json!(text), &json!(intent), slots), "{answer}");
    }
    assert_eq!(answers[0]["response"], "lights");
    assert_eq!(answers[5]["entity_id"], "light.ceiling");
    assert_eq!(answers[8]["free_text"], json!(["item"]));
    assert!(answers[cases.len()..].iter().all(|answer| answer["intent"].is_null()), "{answers:?}");
    let here = meanings(&["--sentences", ".", "--language", "en", "--area", "Bathroom"], "turn off the light\n");
    assert_eq!(here[0]["slots"], json!({"area": "Bathroom", "domain": "light"}));
}

#[test]
fn other_languages_have_compounds_and_number_words() {
    let lines = "Küchenleuchten ausschalten\nmach bitte die KÜCHENLEUCHTE aus\nschließe Left Blind\neinen Fünf-Minuten-Wecker\n\
                 dreieinhalb Minuten Wecker\neinundzwanzig Minutenwecker\n";
    let answers = meanings(&["--sentences", ".", "--language", "de", "--home", "home.yaml"], lines);
    let lamp = json!({"name": "Küchenleuchte[n]"});
    let slots = [lamp.clone(), lamp, json!({"name": "Left Blind"}), json!({"minutes": 5}), json!({}), json!({"minutes": 21})];
    for (answer, slots) in answers.iter().zip(slots) {
        assert_eq!(answer["slots"], slots, "{answer}");
    }
}

#[test]
fn what_is_passed_over_and_left_out_is_told_once() {
    let output = ossicle(&["match", "--sentences", ".", "--language", "en"], "");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), ".: passed over: responses:\n");
    let sample = root().join("samples/lights.wav");
    let args = ["--sentences", ".", "--language", "en", "--home", "home.yaml", "--format", "json", sample.to_str().unwrap()];
    let mut lines = Vec::new();
    for isa in ossicle_kernels::simd::Isa::available() {
        let output = ossicle(&[&args[..], &["--isa", isa.name()]].concat(), "");
        let told = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(told.ends_with(".: 1 sentences with free text, which recognition leaves out\n"), "{told}");
        lines.push(stdout(output));
    }
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["intent"], &line["slots"]), (&json!("HassTurnOff"), &json!({"area": "Kitchen", "domain": "light"})), "{line}");
    assert!(line["confidence"].as_f64().unwrap() > 0.9, "{line}");
}

#[test]
fn a_house_is_read_from_the_registries() {
    let config = folder("config");
    fs::create_dir(config.join(".storage")).unwrap();
    let write = |name: &str, data: Value| fs::write(config.join(".storage").join(name), json!({"data": data}).to_string()).unwrap();
    write("core.area_registry", json!({"areas": [{"id": "k", "name": "Kitchen", "aliases": ["galley"], "floor_id": "g"}]}));
    write("core.floor_registry", json!({"floors": [{"floor_id": "g", "name": "Ground floor", "aliases": []}]}));
    write("core.device_registry", json!({"devices": [{"id": "d", "name": "Hue 1", "name_by_user": "Sink", "area_id": "k"}]}));
    let entities = json!([
        {"entity_id": "light.hue_1", "device_id": "d", "has_entity_name": true, "original_name": null, "aliases": ["basin [light]"]},
        {"entity_id": "lock.front", "original_name": "Front door", "options": {"conversation": {"should_expose": true}}},
        {"entity_id": "lock.back", "original_name": "Back door"},
    ]);
    write("core.entity_registry", json!({"entities": entities}));
    let home = config.join("home.yaml");
    let (config, home) = (config.to_str().unwrap(), home.to_str().unwrap());
    let output = ossicle(&["house", "--from-home-assistant", config, "--output", home], "");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "1 areas, 1 floors, 2 of 3 entities exposed\n");
    let text = fs::read_to_string(home).unwrap();
    assert!(
        text.contains("{name: \"Sink\", aliases: [\"basin \\\\[light\\\\]\"], id: \"light.hue_1\", domain: \"light\", area: \"k\"}"),
        "{text}"
    );
    let lines = "turn off the sink\nturn off the basin [light]\nturn off the light in the galley\nturn off front door\n";
    let answers = meanings(&["--sentences", ".", "--language", "en", "--home", home], lines);
    for (answer, slots) in
        answers.iter().zip([json!({"name": "Sink"}), json!({"name": "Sink"}), json!({"area": "Kitchen", "domain": "light"}), json!({})])
    {
        assert_eq!(answer["slots"], slots, "{answer}");
    }
    refused(&["house", "--from-home-assistant", "."], "core.area_registry: give Home Assistant's configuration folder");
}

/// One line, exit status 2.
fn refused(args: &[&str], told: &str) {
    let output = ossicle(args, "");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.contains(told), "{line}");
}

#[test]
fn hostile_folders_are_refused_in_a_line() {
    let folder = folder("hostile");
    let all = |name: &str, rest: &str| {
        let below = folder.join(name);
        fs::create_dir(&below).unwrap();
        let sentence = if rest.starts_with("lists") { "x {n}" } else { "<a>" };
        fs::write(below.join("a.yaml"), format!("language: en\nintents: {{A: {{data: [{{sentences: [\"{sentence}\"]}}]}}}}\n{rest}\n"))
            .unwrap();
        below.to_str().unwrap().to_owned()
    };
    let values = |n: usize| format!("lists: {{n: {{values: [{}]}}}}", "a,".repeat(n));
    for (name, rest, told) in [
        ("circle", "expansion_rules: {a: \"x <b>\", b: \"<a>\"}".to_owned(), "<a> inside itself: rules may not go round in circles"),
        ("undefined", "expansion_rules: {b: x}".to_owned(), "<a> is not defined"),
        ("million", values(1_000_000), "larger than 1048576 bytes"),
        ("many-values", values(100_000), "a list of 100000 values: at most 16384"),
        ("long-range", "lists: {n: {range: {from: 0, to: 900000}}}".to_owned(), "a range of 900001 numbers: at most 100001"),
        ("deep", format!("expansion_rules: {{a: \"{}x{}\"}}", "[".repeat(999), "]".repeat(999)), "brackets more than 24 deep"),
        ("open", "expansion_rules: {a: \"[x\"}".to_owned(), "a bracket that no ] closes"),
    ] {
        refused(&["match", "--sentences", &all(name, &rest)], told);
    }
    let many = folder.join("many/sentences/en");
    fs::create_dir_all(&many).unwrap();
    (0..5000).for_each(|i| fs::write(many.join(format!("{i}.yaml")), "").unwrap());
    refused(&["match", "--sentences", folder.join("many").to_str().unwrap()], "more than 4096 files and folders");
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&["match", "--sentences", empty.to_str().unwrap()], "no sentences for \"en\"");
    refused(&["match", "--sentences", "."], "2 languages, up to en");
    refused(&["match", "--sentences", "home", "--home", "home.yaml"], "--home for sentences that name no house");
}

/// Rules that double and permutations that multiply cost no more than their limits.
#[test]
fn what_multiplies_out_is_left_out_and_told() {
    let folder = folder("doubled");
    let rules: String = (1..=20).map(|i| format!(", r{i}: \"<r{j}> <r{j}>\"", j = i - 1)).collect();
    let file =
        format!("language: en\nintents: {{A: {{data: [{{sentences: [\"<r20>\"]}}]}}}}\nexpansion_rules: {{r0: \"[a] (b|c)\"{rules}}}\n");
    fs::write(folder.join("a.yaml"), file).unwrap();
    let (folder, sample) = (folder.to_str().unwrap(), root().join("samples/lights.wav"));
    assert!(meanings(&["--sentences", folder], "a b c\n")[0]["intent"].is_null());
    let output = ossicle(&["--sentences", folder, sample.to_str().unwrap()], "");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{folder}: 1 sentences beyond the limit of 524288 steps\n"));
}

/// The community's own tests of its English sentences.
#[test]
fn home_assistants_tests_pass() {
    let (script, data) = (root().join("tests/accuracy/ha_sentences.py"), root().join("../shared/data/ha_intents"));
    if !data.join("tests/en").is_dir() {
        eprintln!("SKIPPED: no Home Assistant sentences at {}", data.display());
        return;
    }
    let yaml = Command::new("python3").args(["-c", "import yaml"]).output();
    if !yaml.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no python3 with pyyaml, so Home Assistant's sentences are not asked");
        return;
    }
    let mut command = Command::new("python3");
    command.arg(script).arg(&data).args(["--language", "en", "--least", "99", "--show", "20"]);
    let output = command.env("OSSICLE", env!("CARGO_BIN_EXE_ossicle")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains(" of 11"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
