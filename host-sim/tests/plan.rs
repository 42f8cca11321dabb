//! `ossicle-sim plan` through the binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `ossicle-sim plan` with the repository's model.
fn plan(args: &[&str]) -> (Option<i32>, String, String) {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
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
