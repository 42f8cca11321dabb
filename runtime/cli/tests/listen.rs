//! `ossicle listen` as a program: streams, signals, refusals.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The command, or nothing and a notice where the model is absent.
fn listen() -> Option<Command> {
    let model = root().join("models-int8/whisper-tiny.en");
    if !model.join("model.safetensors").exists() {
        eprintln!("SKIPPED: whisper-tiny.en is absent from models-int8");
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").arg("listen").arg("--model").arg(model).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    Some(command)
}

/// The sample's samples, as bytes.
fn speech() -> Vec<u8> {
    fs::read(root().join("samples/kitchen.wav")).unwrap()[44..].to_vec()
}

/// A quiet room, as bytes.
fn quiet(seconds: usize) -> Vec<u8> {
    (0..16_000 * seconds).flat_map(|n| (((n * 7919) % 31) as i16 - 15).to_le_bytes()).collect()
}

fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A refused run does not read its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn events(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn a_stream_becomes_events() {
    let Some(mut command) = listen() else { return };
    command.args(["-", "--json"]);
    let stream = [quiet(3), speech(), quiet(2)].concat();
    let events = events(&run(command, &stream));
    assert_eq!(names(&events), ["listening", "speech", "thinking", "final", "listening", "end"]);
    assert_eq!((events[0]["schema"].as_str(), events[0]["rate"].as_u64()), (Some("ossicle.listen/1"), Some(16_000)));
    let find = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    let text = find("final");
    assert!(text["text"].as_str().unwrap().contains("kitchen lights"), "{text}");
    assert!((2.5..3.6).contains(&text["start"].as_f64().unwrap()), "{text}");
    assert_eq!(text["start_sample"].as_f64(), Some(text["start"].as_f64().unwrap() * 16_000.0));
    assert_eq!(find("end")["samples"].as_u64(), Some(stream.len() as u64 / 2));
}

#[test]
fn people_get_aligned_lines_and_noise_no_words() {
    let Some(mut command) = listen() else { return };
    command.arg("-");
    let output = run(command, &[quiet(3), speech(), quiet(2)].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("final")).unwrap();
    assert!(line.len() > 25 && &line[10..23] == "  final      " && line.contains("kitchen lights"), "{text}");

    let Some(mut command) = listen() else { return };
    command.args(["-", "--json"]);
    assert_eq!(names(&events(&run(command, &quiet(20)))), ["listening", "end"]);
}

#[test]
fn a_recording_is_heard_as_its_stream() {
    let (Some(mut file), Some(mut stream)) = (listen(), listen()) else { return };
    file.arg("--json").arg(root().join("samples/kitchen.wav"));
    stream.args(["--json", "-"]);
    assert_eq!(events(&run(file, &[])), events(&run(stream, &speech())));
}

#[test]
fn partial_texts_grow_into_the_final_one() {
    let Some(mut command) = listen() else { return };
    // A recording: a stream that comes faster than it is heard would lose them.
    command.args(["--json", "--partial=0.5"]).arg(root().join("samples/kitchen.wav"));
    let events = events(&run(command, &[]));
    let partials: Vec<&Value> = events.iter().filter(|event| event["event"] == "partial").collect();
    assert!(partials.len() >= 3, "{events:?}");
    let mut kept = String::new();
    for partial in partials {
        let (text, stable) = (partial["text"].as_str().unwrap(), partial["stable"].as_u64().unwrap() as usize);
        assert!(text.starts_with(&kept) && stable >= kept.chars().count(), "{partial} after {kept:?}");
        kept = text.chars().take(stable).collect();
    }
    assert!(!kept.is_empty());
}

#[test]
fn utterances_may_be_commands() {
    let Some(mut command) = listen() else { return };
    command.args(["-", "--json", "--sentences"]);
    // A file of its own, so that no pack decides this test.
    let path = std::env::temp_dir().join(format!("ossicle-listen-{}.yaml", std::process::id()));
    let sentences = "language: en\nintents:\n  Kitchen:\n    data:\n      - sentences:\n          - turn off the kitchen lights and set a timer for (10|ten) minutes\n  Other:\n    data:\n      - sentences:\n          - open the garage door\n";
    fs::write(&path, sentences).unwrap();
    command.arg(&path);
    let output = run(command, &[quiet(3), speech(), quiet(2)].concat());
    fs::remove_file(path).unwrap();
    let events = events(&output);
    let found = events.iter().find(|event| event["event"] == "final").unwrap();
    assert_eq!(found["intent"]["name"], "Kitchen", "{found}");
    assert!(found["intent"]["confidence"].as_f64() > Some(0.5), "{found}");
}

/// A listener that is spoken to while it runs.
struct Live {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Live {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stdin.write_all(bytes).unwrap();
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap().success());
    }

    fn wait_for(&mut self, name: &str) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.lines.next().expect("another event").unwrap()).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }
}

#[test]
fn signals_press_and_release() {
    let Some(mut command) = listen() else { return };
    command.args(["-", "--json", "--push-to-talk"]);
    let mut live = Live::start(command);
    live.say(&quiet(1));
    live.wait_for("listening");
    live.signal("USR1");
    live.wait_for("speech");
    live.say(&speech());
    // Enough behind it that all of it has been heard when the button is released: what is in the pipe does not count.
    live.say(&quiet(6));
    std::thread::sleep(std::time::Duration::from_secs(2));
    live.signal("USR2");
    let text = live.wait_for("final");
    assert!(text["text"].as_str().unwrap().contains("kitchen lights"), "{text}");
    drop(live.stdin);
    assert!(live.child.wait().unwrap().success());
}

#[test]
fn a_stop_ends_the_utterance_first() {
    let Some(mut command) = listen() else { return };
    command.args(["-", "--json"]);
    let mut live = Live::start(command);
    live.say(&quiet(3));
    live.say(&speech()[..64_000]);
    live.wait_for("speech");
    live.signal("TERM");
    // How much was heard until then decides whether there are words.
    live.wait_for("thinking");
    live.wait_for("end");
    assert!(live.child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_heard_is_one_line() {
    let nan: Vec<u8> = [vec![0.0; 4000], vec![f32::NAN]].concat().iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    let late: Vec<u8> = [vec![0.0; 40_000], vec![f32::NAN]].concat().iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    for (args, input, expected) in [
        (&["-"][..], &[][..], "no audio in it: -"),
        (&["-", "--format", "f32le"], &nan, "-: every sample must be a finite number"),
        (&["-", "--format", "f32le"], &late, "-: every sample must be a finite number"),
        (&["-", "--rate", "4000"], &[0; 64], "4000"),
        (&["-", "--channels", "0"], &[0; 64], "--channels"),
        (&["-", "--channels", "33"], &[0; 64], "--channels"),
        (&["-", "--hangover", "9"], &[0; 64], "--hangover"),
        (&["-", "--longest", "2", "--hangover", "2"], &[0; 64], "--hangover and --longest"),
        (&["-", "--language", "de"], &[0; 64], "English only"),
        (&["no/such.wav"], &[], "no/such.wav"),
        #[cfg(not(feature = "microphone"))]
        (&[], &[], "nothing to listen to"),
    ] {
        let Some(mut command) = listen() else { return };
        command.args(args);
        let output = run(command, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
}
