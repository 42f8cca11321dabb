//! `ossicle listen` as a program: streams, signals, refusals.
#![cfg(unix)]

#[path = "../../pipelines/tests/classes/mod.rs"]
mod classes;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The command.
fn listen() -> Command {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").arg("listen").arg("--model").arg(model).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
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
    let mut command = listen();
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
    let mut command = listen();
    command.arg("-");
    let output = run(command, &[quiet(3), speech(), quiet(2)].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("final")).unwrap();
    assert!(line.len() > 25 && &line[10..23] == "  final      " && line.contains("kitchen lights"), "{text}");

    let mut command = listen();
    command.args(["-", "--json"]);
    assert_eq!(names(&events(&run(command, &quiet(20)))), ["listening", "end"]);
}

#[test]
fn a_recording_is_heard_as_its_stream() {
    let (mut file, mut stream) = (listen(), listen());
    file.arg("--json").arg(root().join("samples/kitchen.wav"));
    stream.args(["--json", "-"]);
    assert_eq!(events(&run(file, &[])), events(&run(stream, &speech())));
}

#[test]
fn partial_texts_grow_into_the_final_one() {
    let mut command = listen();
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
    let mut command = listen();
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
    let mut command = listen();
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
fn a_button_counts_from_where_it_was_pressed() {
    let mut command = listen();
    // Slow, so that it is busy with the first utterance while the second is spoken.
    command.args(["-", "--json", "--push-to-talk", "--isa", "scalar"]);
    let mut live = Live::start(command);
    let pause = || std::thread::sleep(std::time::Duration::from_millis(300));
    live.say(&quiet(1));
    live.wait_for("listening");
    pause();
    live.signal("USR1");
    live.wait_for("speech");
    live.say(&speech());
    pause();
    live.signal("USR2");
    live.wait_for("thinking");
    live.say(&quiet(4));
    pause();
    live.signal("USR1");
    pause();
    live.say(&speech());
    pause();
    live.signal("USR2");
    pause();
    live.say(&quiet(2));
    let spoken = speech().len() as u64 / 2;
    let (first, second) = (live.wait_for("final"), live.wait_for("final"));
    for (text, begun) in [(&first, 16_000), (&second, 5 * 16_000 + spoken)] {
        assert!(text["text"].as_str().unwrap().contains("kitchen lights"), "{text}");
        let (start, end) = (text["start_sample"].as_u64().unwrap(), text["end_sample"].as_u64().unwrap());
        // Half a second for what lies before a press.
        assert!((begun - 8000..=begun).contains(&start) && end == begun + spoken, "{text}, pressed at {begun}");
    }
    drop(live.stdin);
    assert!(live.child.wait().unwrap().success());
}

/// Sound events of `ossicle detect`, which writes those of a file as they begin, or of a listener, which tells them as they end; as they begin:
/// class, first sample, first sample behind, peak, mean.
fn sounds(lines: &[Value]) -> Vec<(String, u64, u64, f64, f64)> {
    let samples =
        |line: &Value, key: &str| line[format!("{key}_sample")].as_u64().unwrap_or((line[key].as_f64().unwrap() * 16_000.0).round() as u64);
    let of = |line: &Value| {
        let number = |key: &str| line[key].as_f64().unwrap();
        (line["class"].as_str().unwrap().to_owned(), samples(line, "start"), samples(line, "end"), number("peak"), number("mean"))
    };
    let mut sounds: Vec<_> = lines.iter().filter(|line| line.get("class").is_some() && line.get("at").is_none()).map(of).collect();
    sounds.sort_by(|a, b| (a.1, a.2, &a.0).cmp(&(b.1, b.2, &b.0)));
    sounds
}

#[test]
fn sound_events_are_those_of_detect() {
    let mut command = listen();
    let yamnet = root().join("models-int8/yamnet");
    let folder = std::env::temp_dir().join(format!("ossicle-listen-events-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (recording, config) = (folder.join("stream.wav"), folder.join("events.toml"));
    let stream = [quiet(2), speech(), quiet(3), speech(), quiet(1)].concat();
    let head = &fs::read(root().join("samples/kitchen.wav")).unwrap()[..40];
    fs::write(&recording, [head, &(stream.len() as u32).to_le_bytes(), &stream].concat()).unwrap();
    fs::write(&config, "[default]\nthreshold = 0.05\n").unwrap();
    let mut detect = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    detect
        .env_remove("OSSICLE_ISA")
        .args(["detect", "--format", "jsonl", "--model"])
        .arg(&yamnet)
        .arg("--config")
        .arg(&config)
        .arg(&recording);
    let wanted = sounds(&events(&detect.output().unwrap()));
    assert!(wanted.len() > 3 && wanted.iter().any(|(class, ..)| class == "Speech"), "{wanted:?}");

    command.args(["-", "--json", "--events", "--event-model"]).arg(&yamnet).arg("--config").arg(&config);
    let heard = events(&run(command, &stream));
    let mut alone = listen();
    alone.args(["-", "--json"]);
    let silent = events(&run(alone, &stream));
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(sounds(&heard), wanted);
    // Each has been told when it had begun.
    let begun = |kind: &str| {
        let begun = heard.iter().filter(|line| line["event"] == kind);
        let mut begun: Vec<_> = begun.map(|line| (line["class"].as_str().unwrap(), line["start_sample"].as_u64().unwrap())).collect();
        begun.sort_unstable();
        begun
    };
    assert_eq!(begun("sound_start"), begun("sound"));
    // What is said is what it is without them, and nothing comes after the end.
    assert_eq!(heard.iter().filter(|line| line.get("class").is_none()).cloned().collect::<Vec<_>>(), silent);
    assert_eq!(heard.last().unwrap()["event"], "end");
}

#[test]
fn a_set_of_sounds_goes_by_its_name() {
    let mut command = listen();
    command.args(["-", "--json", "--events", "--config", "home-sounds"]);
    let stream = &fs::read(root().join("samples/sounds.wav")).unwrap()[44..];
    let heard = sounds(&events(&run(command, stream)));
    assert_eq!(heard.iter().map(|(class, ..)| class.as_str()).collect::<Vec<_>>(), ["beep", "smoke_alarm"]);
}

#[test]
fn classes_of_ones_own_are_heard_beside_the_ten() {
    let folder = std::env::temp_dir().join(format!("ossicle-listen-own-{}", std::process::id()));
    classes::write(&folder.join("own"), &root().join("models-int8/yamnet"), &["always"], 3.0, 1024);
    let stream = &fs::read(root().join("samples/sounds.wav")).unwrap()[44..];
    let heard_by = |own: &[&Path]| {
        let mut command = listen();
        command.args(["-", "--json", "--events", "--event-model"]).arg(root().join("models-int8/sound-events"));
        for own in own {
            command.arg("--add-classes").arg(own);
        }
        sounds(&events(&run(command, stream)))
    };
    let (mut heard, ten) = (heard_by(&[&folder.join("own")]), heard_by(&[]));
    fs::remove_dir_all(folder).unwrap();
    let of = |wanted: &str| ten.iter().filter(|(class, ..)| class == wanted).count();
    assert!(of("clock_tick") > 0 && of("sea_waves") > 0, "{ten:?}");
    let own = heard.iter().position(|(class, ..)| class == "always").map(|at| heard.remove(at));
    assert!(own.is_some_and(|(_, start, end, ..)| (start, end) == (0, 160_000)), "{heard:?}");
    assert_eq!(heard, ten);
}

#[test]
fn a_reader_that_leaves_ends_it() {
    let mut command = listen();
    command.args(["-", "--json", "--events", "--classes", "Speech", "--event-model"]).arg(root().join("models-int8/yamnet"));
    let mut live = Live::start(command);
    live.say(&quiet(1));
    live.wait_for("listening");
    let Live { mut child, mut stdin, lines } = live;
    drop(lines);
    let (speech, quiet) = (speech(), quiet(3));
    let start = std::time::Instant::now();
    // The pipe breaks once nobody reads it any more.
    while stdin.write_all(&speech).and_then(|()| stdin.write_all(&quiet)).is_ok() {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "it listens on");
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_stop_ends_the_utterance_first() {
    let mut command = listen();
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
fn a_stream_that_breaks_loses_nothing_said_before() {
    let mut command = listen();
    command.args(["-", "--json", "--format", "f32le"]);
    let samples =
        speech().chunks_exact(2).map(|sample| f32::from(i16::from_le_bytes([sample[0], sample[1]])) / 32768.0).collect::<Vec<_>>();
    let stream: Vec<u8> = [&samples[..], &[f32::NAN]].concat().iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let output = run(command, &stream);
    let (heard, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("-: every sample must be a finite number"), "{told}");
    let text = heard.lines().find(|line| line.contains("\"final\"")).unwrap_or_else(|| panic!("no text: {heard}"));
    assert!(text.contains("kitchen lights"), "{text}");
}

#[test]
fn what_cannot_be_heard_is_one_line() {
    let german = std::env::temp_dir().join(format!("ossicle-listen-{}-german.yaml", std::process::id()));
    fs::write(&german, "language: de\nintents: {A: {data: [{sentences: [stelle den timer]}]}}\n").unwrap();
    let nan: Vec<u8> = [vec![0.0; 4000], vec![f32::NAN]].concat().iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    for (args, input, expected) in [
        (&["-"][..], &[][..], "no audio in it: -"),
        (&["-", "--format", "f32le"], &nan, "-: every sample must be a finite number"),
        (&["-", "--rate", "4000"], &[0; 64], "4000"),
        (&["-", "--channels", "0"], &[0; 64], "--channels"),
        (&["-", "--channels", "33"], &[0; 64], "--channels"),
        (&["-", "--hangover", "9"], &[0; 64], "--hangover"),
        (&["-", "--longest", "2", "--hangover", "2"], &[0; 64], "--hangover and --longest"),
        (&["-", "--language", "de"], &[0; 64], "English only"),
        (&["-", "--sentences", "home", "--language", "de"], &[0; 64], "English only"),
        (&["-", "--sentences", german.to_str().unwrap()], &[0; 64], "the sentences are in German (de)"),
        (&["-", "--classes", "Dog"], &[0; 64], "--events"),
        (&["-", "--events", "--event-model", "no/such"], &[0; 64], "no/such"),
        (&["-", "--events", "--config", "no/such.toml"], &[0; 64], "no/such.toml"),
        (&["-", "--events", "--classes", "Dogg"], &[0; 64], "no class \"Dogg\""),
        (&["-", "--events", "--hop", "0.3333"], &[0; 64], "--hop"),
        (&["no/such.wav"], &[], "no/such.wav"),
        #[cfg(not(feature = "microphone"))]
        (&[], &[], "nothing to listen to"),
    ] {
        let mut command = listen();
        command.args(args);
        let output = run(command, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    fs::remove_file(german).unwrap();
}
