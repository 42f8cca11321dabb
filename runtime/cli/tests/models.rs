//! `ossicle models` and `ossicle bench network` on every model of the repository, and on kinds that nobody knows.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Folder, ossicle, refusal, stdout};
use serde_json::Value;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8")
}

#[test]
fn every_bundled_model_is_listed_described_and_run() {
    let list = |args: &[&str]| stdout(ossicle().env("OSSICLE_MODELS", models()).args(["models", "list"]).args(args).output().unwrap());
    let rows: Vec<Value> = list(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = list(&[]);
    for name in ["effects", "efficientnet-lite0", "hibari", "minilm", "sound-events", "whisper-events", "whisper-tiny.en", "yamnet"] {
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not listed"));
        let gives = row["gives"].as_str().unwrap();
        assert!(text.lines().any(|line| line.starts_with(name) && line.contains(gives)), "{text}");
        let info = |args: &[&str]| stdout(ossicle().args(["models", "info"]).args(args).arg(models().join(name)).output().unwrap());
        assert!(info(&[]).contains(&format!("gives        {gives}\n")), "{}", info(&[]));
        let value: Value = serde_json::from_str(&info(&["--json"])).unwrap();
        let memory = value["memory"].as_object().unwrap();
        // What encodes descriptions is let go before sounds are made.
        let counted = |part: &str| part != "total" && (name, part) != ("effects", "text");
        let sum: u64 = memory.iter().filter(|(part, _)| counted(part)).map(|(_, bytes)| bytes.as_u64().unwrap()).sum();
        assert_eq!(memory["total"], sum);
        assert!(memory["weights"].as_u64() > Some(0) && memory["program"].as_u64() > Some(0), "{memory:?}");
        let mut bench = ossicle();
        bench.args(["bench", "network", "--rounds", "1", "--threads", "1", "--tokens", "8", "--layers", "--json"]);
        let row: Value = serde_json::from_str(&stdout(bench.arg(models().join(name)).output().unwrap())).unwrap();
        let layers = row["layers"].as_array().unwrap();
        let products: f64 = layers.iter().map(|layer| layer["multiplications"].as_f64().unwrap()).sum();
        assert!(products > 0.0 && row["min"].as_f64() > Some(0.0), "{name}: {row}");
    }
}

#[test]
fn what_is_not_known_is_one_line() {
    let folder = Folder::new("kinds");
    folder.file("config.json", r#"{"kind": "dance", "numerics_version": 1}"#);
    for command in [&["models", "info"][..], &["models", "verify"], &["bench", "network"]] {
        let line = refusal(ossicle().args(command).arg(&folder.0).output().unwrap());
        assert!(line.contains("a model of kind \"dance\", this version knows whisper, yamnet"), "{line}");
    }
    let line = refusal(ossicle().args(["bench", "network", "--graph", "waltz"]).arg(models().join("whisper-tiny.en")).output().unwrap());
    assert!(line.contains("no graph \"waltz\": give encoder or token"), "{line}");
    let line = refusal(ossicle().args(["models", "info", "--memory", "3MB"]).arg(models().join("yamnet")).output().unwrap());
    assert!(line.contains("the plan needs ") && line.contains("weights"), "{line}");
    let more = Folder::new("more-kinds");
    fs::create_dir_all(more.0.join("new")).unwrap();
    fs::copy(folder.0.join("config.json"), more.0.join("new/config.json")).unwrap();
    let text = stdout(ossicle().env("OSSICLE_MODELS", &more.0).args(["models", "list"]).output().unwrap());
    assert!(text.lines().any(|line| line.starts_with("new ") && line.contains("not known here")), "{text}");
}
