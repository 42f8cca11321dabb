//! `ossicle-sim plan` through the binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[path = "../../runtime/models/tests/toy/mod.rs"]
mod toy;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `ossicle-sim plan` with the repository's model.
fn plan(args: &[&str]) -> (Option<i32>, String, String) {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    plan_of(&model, args)
}

/// Of a model in a folder of its own.
fn plan_of(model: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ossicle-sim")).arg("plan").arg("--model").arg(model).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(args: &[&str]) -> Value {
    let (code, stdout, stderr) = plan(&[args, &["--json"]].concat());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn slower_boards_take_longer() {
    let whole = |board: &str| json(&["--board", board])["whole_ms"].as_f64().unwrap();
    let boards = ["pi-zero-2w", "pi3b-plus", "pi4", "pi5", "host"];
    let times: Vec<f64> = boards.into_iter().map(whole).collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{boards:?}: {times:?}");
}

#[test]
fn times_follow_length_and_threads() {
    let short = json(&["--board", "pi4", "--seconds", "3", "--threads", "1"]);
    let long = json(&["--board", "pi4", "--seconds", "11", "--threads", "1"]);
    let full = json(&["--board", "pi4", "--seconds", "11", "--threads", "1", "--full-window"]);
    let four = json(&["--board", "pi4", "--seconds", "11", "--threads", "4"]);
    assert_eq!([&short, &long, &full].map(|plan| plan["window_seconds"].as_f64().unwrap()), [6.0, 15.0, 30.0]);
    let encoder = |plan: &Value| plan["ms"]["encoder"].as_f64().unwrap();
    assert!(encoder(&short) < encoder(&long) && encoder(&long) < encoder(&full));
    let gain = encoder(&long) / encoder(&four);
    assert!((3.0..4.0).contains(&gain), "{gain}");
    // A retry may take the longest window, so memory does not depend on the recording.
    assert_eq!(short["memory"]["total"], full["memory"]["total"]);
    assert_eq!(short["memory"]["fits"], true);
    let most = json(&["--board", "pi4", "--threads", "8"]);
    let more = json(&["--board", "pi4", "--threads", "18446744073709551615"]);
    assert_eq!((&more["threads"], &more["memory"]), (&8.into(), &most["memory"]));
}

#[test]
fn the_table_has_ranges_and_a_verdict() {
    let (code, text, _) = plan(&["--board", "pi-zero-2w"]);
    assert_eq!(code, Some(0));
    for expected in ["of 167.8 MB: fits", "stated error 60 %", "seconds a second", "never compared with a board"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn bad_input_is_one_line() {
    for (args, expected) in [
        (&["--board", "pi17"][..], "unknown board: pi17"),
        (&["--board", "pi4", "--seconds", "40"], "0.1 to 30"),
        (&["--board", "pi4", "--threads", "0"], "--threads"),
        (&["--board", "pi4", "--tokens", "0"], "0 is not in 1..=448"),
        (&["--board", "pi4", "--prompt", "449"], "449 is not in 1..=448"),
        (&[], "--board"),
    ] {
        let (code, stdout, stderr) = plan(args);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn models_of_every_kind_are_planned() {
    let bundled = |name: &str| root().join("models-int8").join(name);
    let sounds = toy::sounds::folder();
    let (codec, text, spectral) = (sounds.0.join("codec"), sounds.0.join("text"), toy::spectral::folder());
    for (model, kind, phases, sound) in [
        (bundled("yamnet"), "yamnet", &["features", "patch"][..], true),
        (bundled("sound-events"), "yamnet", &["features", "patch"], true),
        (bundled("whisper-events"), "whisper-events", &["step"], true),
        (bundled("efficientnet-lite0"), "network", &["network"], false),
        (bundled("minilm"), "minilm", &["sentence"], false),
        (bundled("hibari"), "hibari", &["chunk", "clause"], true),
        (sounds.0.clone(), "audiogen", &["decoder", "description", "step", "text"], true),
        (codec, "encodec", &["decoder"], true),
        (spectral.0.clone(), "spectral", &["decoder"], true),
        (text, "t5", &["text"], false),
    ] {
        let (code, stdout, stderr) = plan_of(&model, &["--board", "pi4", "--json"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{kind}");
        let plan: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(plan["kind"], kind);
        let names: Vec<_> = plan["ms"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, phases, "{kind}");
        let sum: f64 = phases.iter().map(|name| plan["ms"][name].as_f64().unwrap() * plan["runs"][name].as_f64().unwrap()).sum();
        let whole = plan["whole_ms"].as_f64().unwrap();
        // Times of short phases are rounded to a microsecond.
        assert!(whole > 0.0 && (sum - whole).abs() < 0.6, "{kind}: {sum}, {whole}");
        assert_eq!(plan["real_time_factor"].is_number(), sound, "{kind}");
        assert!(plan["memory"]["total"].as_u64() > plan["memory"]["parts"]["program"].as_u64(), "{kind}");
        let table = plan_of(&model, &["--board", "pi4"]).1;
        assert!(phases.iter().all(|name| table.contains(&format!("\n{name} "))) && table.contains("stated error"), "{table}");
    }
}

#[test]
fn longer_sounds_and_texts_take_longer() {
    let sounds = toy::sounds::folder();
    let whole = |args: &[&str]| {
        let (_, stdout, stderr) = plan_of(&sounds.0, &[args, &["--board", "pi4", "--json"]].concat());
        let plan: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
        (plan["whole_ms"].as_f64().unwrap(), plan["memory"]["total"].as_u64().unwrap())
    };
    let (short, long, wordy) = (whole(&["--seconds", "0.5"]), whole(&["--seconds", "5"]), whole(&["--seconds", "0.5", "--tokens", "60"]));
    assert!(short.0 < wordy.0 && wordy.0 < long.0 && short.1 < wordy.1, "{short:?} {wordy:?} {long:?}");
}

#[test]
fn what_cannot_be_planned_is_one_line() {
    let folder = toy::t5::folder();
    let refused = |args: &[&str]| {
        let (code, stdout, stderr) = plan_of(&folder.0, &[&["--board", "pi4"], args].concat());
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        stderr
    };
    assert!(refused(&["--tokens", "71"]).contains("71 tokens: 1 to 70 are possible"));
    std::fs::write(folder.0.join("config.json"), r#"{"kind": "dance"}"#).unwrap();
    assert!(refused(&[]).contains("a model of kind \"dance\", this version knows whisper, "));
}
