//! `ossicle find`, and `ossicle detect --find`, from the outside.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, ossicle, refusal, stdout};
use ossicle_kernels::simd::Isa;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn program(command: &str) -> Command {
    let mut program = ossicle();
    program.env("OSSICLE_MODELS", root().join("models-int8")).arg(command);
    program
}

fn copy(folder: &Folder, sample: &str, name: &str) {
    fs::copy(root().join("samples").join(sample), folder.0.join(name)).unwrap();
}

/// The files of the hits, the best first.
fn files(output: &str) -> Vec<String> {
    let name = |line: &str| {
        let hit: Value = serde_json::from_str(line).unwrap();
        Path::new(hit["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    };
    output.lines().map(name).collect()
}

fn find(folder: &Folder, words: &str) -> Vec<String> {
    files(&stdout(program("find").args([words, "--format", "jsonl"]).arg(&folder.0).output().unwrap()))
}

#[test]
fn an_index_follows_its_folder() {
    let folder = Folder::new("find");
    copy(&folder, "kitchen.wav", "a-voice.wav");
    copy(&folder, "sounds.wav", "b-sounds.wav");
    folder.file("notes.txt", "no recording");
    assert_eq!(find(&folder, "someone is speaking")[0], "a-voice.wav");
    let index = folder.0.join(".ossicle-index");
    let first = fs::read(&index).unwrap();
    assert_eq!(find(&folder, "a person talking").len(), 2);
    assert_eq!(fs::read(&index).unwrap(), first, "nothing was new");

    // Moved ones are known again without being listened to: what they hold is no recording any more.
    fs::rename(folder.0.join("a-voice.wav"), folder.0.join("c-moved.wav")).unwrap();
    assert_eq!(find(&folder, "someone is speaking")[0], "c-moved.wav");
    fs::remove_file(folder.0.join("c-moved.wav")).unwrap();
    assert_eq!(find(&folder, "someone is speaking"), ["b-sounds.wav"]);

    // What cannot be read is told each time, until it can.
    folder.file("d-broken.wav", "no audio");
    let output = program("find").args(["--index"]).arg(&folder.0).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && line.contains("d-broken.wav") && line.ends_with("tried again next time\n"), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert!(output.stdout.is_empty());
    copy(&folder, "lights.wav", "d-broken.wav");
    let mut found = find(&folder, "someone is speaking");
    found.sort();
    assert_eq!(found, ["b-sounds.wav", "d-broken.wav"]);

    let lines = stdout(program("find").args(["speech", "--no-update", "--format", "tsv"]).arg(&folder.0).output().unwrap());
    assert!(lines.starts_with("file\tscore\tstart\tend\twindow_score\tkind\n") && lines.lines().count() > 2, "{lines}");
    let json: Value =
        serde_json::from_str(&stdout(program("find").args(["speech", "--format", "json"]).arg(&folder.0).output().unwrap())).unwrap();
    assert_eq!((json["words"].as_str(), json["hits"].as_array().map(Vec::len)), (Some("speech"), Some(2)));
}

#[test]
fn damaged_foreign_and_locked_indexes_are_refused() {
    let folder = Folder::new("find-bad");
    copy(&folder, "lights.wav", "a.wav");
    let run = |arguments: &[&str]| program("find").args(arguments).arg(&folder.0).output().unwrap();
    stdout(run(&["--index"]));
    let index = folder.0.join(".ossicle-index");
    let whole = fs::read(&index).unwrap();
    for length in [0, 7, 8, 200, whole.len() - 1] {
        fs::write(&index, &whole[..length]).unwrap();
        let line = refusal(run(&["speech"]));
        assert!(line.contains(".ossicle-index") && line.contains("anew with --rebuild"), "{length}: {line}");
    }
    // Of an earlier format.
    let format = whole.windows(14).position(|bytes| bytes == b"ossicle-find 3").unwrap() + 13;
    let mut old = whole.clone();
    old[format] = b'1';
    fs::write(&index, &old).unwrap();
    assert!(refusal(run(&["speech"])).contains("is not an index of this version"));
    // The format before pictures holds the same of sounds.
    old[format] = b'2';
    fs::write(&index, &old).unwrap();
    assert!(stdout(run(&["speech"])).contains("a.wav"));
    assert_eq!(fs::read(&index).unwrap(), old, "nothing was new");
    // Made by other models.
    let digest = whole.windows(10).position(|bytes| bytes == b"\"sounds\":\"").unwrap() + 10;
    let mut other = whole.clone();
    other[digest] = if other[digest] == b'0' { b'1' } else { b'0' };
    fs::write(&index, &other).unwrap();
    let line = refusal(run(&["speech"]));
    assert!(line.contains("other models made this index") && line.contains("--rebuild"), "{line}");
    assert!(stdout(run(&["speech", "--rebuild"])).contains("a.wav"));

    let lock = fs::File::options().write(true).open(folder.0.join(".ossicle-index.lock")).unwrap();
    lock.lock().unwrap();
    copy(&folder, "kitchen.wav", "b.wav");
    assert!(refusal(run(&["speech"])).contains("another process is writing this index"));
    assert!(stdout(run(&["speech", "--no-update"])).contains("a.wav"));
    drop(lock);
    assert!(stdout(run(&["speech"])).contains("b.wav"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 4, "two recordings, the index and its lock");
}

#[test]
fn pictures_lie_beside_sounds() {
    let folder = Folder::new("find-pictures");
    copy(&folder, "kitchen.wav", "a.wav");
    copy(&folder, "cat.jpg", "b.JPG");
    folder.file("c.ppm", picture(0));
    let run = |arguments: &[&str]| {
        let lines = stdout(program("find").args(arguments).args(["--format", "jsonl"]).arg(&folder.0).output().unwrap());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let names = |hits: &[Value]| -> Vec<String> {
        let name = |hit: &Value| Path::new(hit["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
        hits.iter().map(name).collect()
    };
    let both = run(&["a cat"]);
    assert_eq!(names(&both), ["a.wav", "b.JPG", "c.ppm"]);
    let kinds: Vec<_> = both.iter().map(|hit| hit["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["sound", "picture", "picture"]);
    assert!(both[0]["windows"].is_array() && both[1]["windows"].is_null());
    assert_eq!(names(&run(&["a cat", "--kind", "pictures", "--top", "1"])), ["b.JPG"]);
    assert_eq!(names(&run(&["a cat", "--kind", "sounds"])), ["a.wav"]);

    // A picture is like a copy of it, and itself left out.
    let like = root().join("samples/cat.jpg");
    let found = run(&["--like", like.to_str().unwrap()]);
    assert_eq!(names(&found), ["b.JPG", "c.ppm"]);
    assert!(found[0]["score"].as_f64().unwrap() > 0.999 && found[1]["score"].as_f64().unwrap() < 0.9, "{found:?}");
    assert_eq!(names(&run(&["--like", folder.0.join("b.JPG").to_str().unwrap()])), ["c.ppm"]);

    // Moved and copied pictures are known again, those that are gone forgotten, and sounds kept meanwhile.
    fs::rename(folder.0.join("b.JPG"), folder.0.join("d.jpg")).unwrap();
    fs::copy(folder.0.join("d.jpg"), folder.0.join("e.jpg")).unwrap();
    fs::remove_file(folder.0.join("c.ppm")).unwrap();
    assert_eq!(names(&run(&["a cat", "--kind", "pictures"])), ["d.jpg", "e.jpg"]);
    assert_eq!(names(&run(&["a cat", "--no-update"])), ["a.wav", "d.jpg", "e.jpg"]);
    let tsv = stdout(program("find").args(["a cat", "--format", "tsv", "--kind", "pictures"]).arg(&folder.0).output().unwrap());
    let line = tsv.lines().nth(1).unwrap();
    assert!(line.split('\t').count() == 6 && line.ends_with("\t\t\t\tpicture"), "{tsv}");
    let text = stdout(program("find").args(["a cat", "--top", "1"]).arg(&folder.0).output().unwrap());
    assert!(text.contains("  sound    ") && text.contains("  picture  "), "{text}");

    // What cannot be read is told, and so are kinds that are not.
    folder.file("f.png", "no picture");
    folder.file("g.heic", "neither");
    let output = program("find").arg("--index").arg(&folder.0).output().unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{lines}");
    assert!(lines.contains("1 pictures of kinds that are not read") && lines.contains("f.png: not an image that is known here"), "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    fs::remove_file(folder.0.join("f.png")).unwrap();
    fs::remove_file(folder.0.join("g.heic")).unwrap();

    // Other models made the pictures: they alone are made anew.
    let index = folder.0.join(".ossicle-index");
    run(&["a cat"]);
    let mut other = fs::read(&index).unwrap();
    let digest = other.windows(12).position(|bytes| bytes == b"\"pictures\":\"").unwrap() + 12;
    other[digest] = if other[digest] == b'0' { b'1' } else { b'0' };
    fs::write(&index, &other).unwrap();
    let line = refusal(program("find").args(["a cat", "--kind", "pictures"]).arg(&folder.0).output().unwrap());
    assert!(line.contains("other models made this index's pictures") && line.contains("--rebuild --kind pictures"), "{line}");
    assert_eq!(names(&run(&["a cat", "--kind", "sounds"])), ["a.wav"]);
    assert_eq!(names(&run(&["a cat", "--kind", "pictures", "--rebuild"])), ["d.jpg", "e.jpg"]);
    assert_eq!(names(&run(&["a cat", "--no-update"])), ["a.wav", "d.jpg", "e.jpg"]);
}

/// A small picture of stripes.
fn picture(phase: u8) -> Vec<u8> {
    let mut file = b"P6 40 30 255\n".to_vec();
    file.extend((0..40 * 30 * 3).map(|i| (i % 251) as u8 ^ phase));
    file
}

#[test]
fn an_index_that_is_written_again_and_again_is_whole_after_a_kill() {
    let folder = Folder::new("find-kill");
    for i in 0..60 {
        folder.file(&format!("{i:02}.ppm"), picture(i));
    }
    for _ in 0..4 {
        let mut child = program("find").arg("--index").arg(&folder.0).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150));
        child.kill().unwrap();
        child.wait().unwrap();
        let index = folder.0.join(".ossicle-index");
        if index.exists() {
            stdout(program("find").args(["stripes", "--no-update"]).arg(&folder.0).output().unwrap());
        }
    }
    let lines = stdout(program("find").args(["stripes", "--top", "100", "--format", "jsonl"]).arg(&folder.0).output().unwrap());
    assert_eq!(lines.lines().count(), 60);
}

#[test]
fn an_index_has_the_same_bytes_on_all_instruction_sets() {
    let folder = Folder::new("find-isa");
    copy(&folder, "lights.wav", "a.wav");
    copy(&folder, "sounds.wav", "b.wav");
    copy(&folder, "cat.jpg", "c.jpg");
    let index = |isa: &str| {
        let file = folder.0.join(isa);
        stdout(program("find").args(["--index", "--isa", isa, "--index-file"]).arg(&file).arg(&folder.0).output().unwrap());
        let bytes = fs::read(file).unwrap();
        // Behind the header, whose entries come in any order.
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    let scalar = index("scalar");
    let others: Vec<&str> = Isa::available().map(Isa::name).filter(|&isa| isa != "scalar").collect();
    assert!(!others.is_empty(), "no other instruction set to try");
    for isa in others {
        assert!(index(isa) == scalar, "{isa}");
    }
}

#[test]
fn bad_usage_is_one_line() {
    let folder = Folder::new("find-usage");
    let run = |arguments: &[&str]| refusal(program("find").args(arguments).current_dir(&folder.0).output().unwrap());
    assert!(run(&["a dog"]).contains("no folder"));
    assert!(run(&["a dog", "nowhere"]).contains("nowhere"));
    assert!(run(&["a dog", ".", "."]).contains("--index-file"));
    assert!(run(&["  ", "."]).contains("there is no word in it"));
    assert!(run(&["a dog", ".", "--no-update"]).contains("no index"));
    assert!(run(&[&"dog ".repeat(600), "."]).contains("tokens too many"));
    assert!(run(&["a dog", ".", "--model", "sound-events"]).contains("sound"));
    assert!(run(&["a dog", ".", "--model", "minilm"]).contains("finds nothing"));
    assert!(run(&["a dog", ".", "--model", "yamnet", "--model", "yamnet"]).contains("given already"));
    assert!(run(&["--like", "nowhere.jpg", "."]).contains("nowhere.jpg"));
    assert!(run(&["--like", "nowhere.jpg", ".", "--kind", "sounds"]).contains("--like finds pictures"));
    assert!(fs::read_dir(&folder.0).unwrap().next().is_none(), "nothing was written");
}

#[test]
fn words_are_classes_of_detect() {
    let sample = root().join("samples/kitchen.wav");
    let run = |isa: &str, format: &str| {
        let words = ["--find", "a person talking", "--find", "glass breaking", "--format", format, "--isa", isa];
        stdout(program("detect").args(words).arg(&sample).output().unwrap())
    };
    let jsonl = run("scalar", "jsonl");
    let events: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!events.is_empty() && events.iter().all(|event| event["class"] == "a person talking"), "{jsonl}");
    assert_eq!(run(ossicle_kernels::simd::Isa::detect().name(), "jsonl"), jsonl);
    for format in ["text", "tsv", "audacity", "raven"] {
        assert!(run("scalar", format).contains("a person talking"), "{format}");
    }
    let refused = |arguments: &[&str]| refusal(program("detect").args(arguments).arg(&sample).output().unwrap());
    assert!(refused(&["--find", "a dog", "--model", "sound-events"]).contains("use --model yamnet"));
    assert!(refused(&["--find", "a\tdog"]).contains("control characters"));
    assert!(refused(&["--find", "a dog", "--find", "a dog"]).contains("twice"));
    assert!(refused(&["--find", "a dog", "--find-model", "yamnet"]).contains("config.json"));
}
