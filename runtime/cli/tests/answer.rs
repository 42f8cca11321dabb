//! `ossicle listen --answer`: commands are answered aloud, and nothing is heard meanwhile.
#![cfg(unix)]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{Folder, ossicle, refusal};
use ossicle::speak::wav_header;
use serde_json::Value;

/// Samples a second, 16 bits each, of all recordings here.
const RATE: usize = 24_000;

fn spoken(text: &str) -> Vec<u8> {
    let output = ossicle().args(["speak", text]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn quiet(seconds: f64) -> Vec<u8> {
    (0..(RATE as f64 * seconds) as usize).flat_map(|n| (((n * 7919) % 31) as i16 - 15).to_le_bytes()).collect()
}

fn seconds(bytes: usize) -> f64 {
    bytes as f64 / (2 * RATE) as f64
}

fn listen(args: &[&str]) -> Command {
    let mut command = ossicle();
    command.arg("listen");
    if !args.contains(&"--sentences") {
        command.args(["--sentences", "home"]);
    }
    command.args(args);
    command
}

fn lines(output: &[u8]) -> Vec<Value> {
    output.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn good(output: &Output) -> &Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_command_is_answered_and_nothing_is_heard_meanwhile() {
    let folder = Folder::new("answer");
    let (command, other) = (spoken("Turn off the kitchen lights."), spoken("Set a timer for ten minutes."));
    let answer = spoken("The kitchen lights are off.");
    // The second order falls into the answer to the first one, the third comes behind it.
    let parts = [&quiet(0.5), &command, &quiet(0.9), &other, &quiet(2.0), &other, &quiet(1.5)];
    let samples: Vec<u8> = parts.into_iter().flatten().copied().collect();
    let recording = folder.file("orders.wav", [&wav_header(RATE as u32, samples.len() as u64)[..], &samples].concat());
    let (recording, raw) = (recording.to_str().unwrap().to_owned(), folder.0.join("answers.raw"));
    // All that is said in the second one is over before the ear opens again.
    let tail = format!("{:.2}", 0.9 + seconds(other.len()) - seconds(answer.len()) - 0.2);
    let options = ["--json", "--answer", "--answer-tail", &tail, "--answer-output", raw.to_str().unwrap(), &recording];
    let events = lines(&good(&listen(&options).output().unwrap()).stdout);
    let intents: Vec<&Value> = of(&events, "final").iter().map(|event| &event["intent"]["name"]).collect();
    assert_eq!(intents, ["HassTurnOff", "HassStartTimer"], "{events:?}");
    let answers = of(&events, "answer");
    let texts: Vec<&str> = answers.iter().map(|answer| answer["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["The kitchen lights are off.", "A timer of 10 minutes is set."]);
    let at = |event: &Value, key: &str| event[key].as_f64().unwrap();
    let lasts = at(answers[0], "end") - at(answers[0], "start");
    assert!((lasts - seconds(answer.len()) - tail.parse::<f64>().unwrap()).abs() < 0.01, "{lasts}");
    let second = of(&events, "final")[1];
    assert!(at(answers[0], "end") < at(second, "start") && at(answers[0], "start") > 0.5 + seconds(command.len()));
    assert_eq!(fs::read(&raw).unwrap(), [answer.clone(), spoken("A timer of 10 minutes is set.")].concat());

    // A pipe that is faster than sound is heard as the recording is.
    let mut piped =
        listen(&["-", "--rate", "24000", "--json", "--answer", "--answer-tail", &tail, "--answer-output", raw.to_str().unwrap()]);
    let mut child = piped.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &samples).unwrap());
    assert_eq!(lines(&good(&child.wait_with_output().unwrap()).stdout), events);
    writer.join().unwrap();

    // Without an answer all three are heard; to standard output, the lines are told on standard error.
    let events = lines(&good(&listen(&["--json", &recording]).output().unwrap()).stdout);
    assert_eq!((of(&events, "final").len(), of(&events, "answer").len()), (3, 0), "{events:?}");
    let options = ["--json", "--answer", "--answer-tail", &tail, "--answer-output", "-", &recording];
    let output = listen(&options).output().unwrap();
    assert_eq!(of(&lines(&good(&output).stderr), "answer").len(), 2);
    assert_eq!(output.stdout[..answer.len()], answer);
}

#[test]
fn what_is_answered_is_understood() {
    let folder = Folder::new("answer-heard");
    // It ends within the silence that ends an utterance.
    let samples = [quiet(0.5), spoken("Turn on the bedroom lights."), quiet(0.2)].concat();
    let recording = folder.file("order.wav", [&wav_header(RATE as u32, samples.len() as u64)[..], &samples].concat());
    let wav = folder.0.join("answer.wav");
    let output = listen(&["--json", "--answer", "--answer-output", wav.to_str().unwrap(), recording.to_str().unwrap()]).output().unwrap();
    let events = lines(&good(&output).stdout);
    let last: Vec<&Value> = events.iter().rev().take(2).map(|event| &event["event"]).collect();
    assert_eq!(last, ["end", "answer"], "{events:?}");
    let output = ossicle().arg("transcribe").arg(&wav).output().unwrap();
    let text = String::from_utf8(good(&output).stdout.clone()).unwrap().to_lowercase();
    assert!(text.contains("bedroom lights are on"), "{text}");
}

#[test]
fn what_cannot_be_answered_is_one_line() {
    let folder = Folder::new("answer-refused");
    let recording = folder.file("quiet.wav", [&wav_header(RATE as u32, 48_000)[..], &quiet(1.0)].concat());
    let recording = recording.to_str().unwrap();
    let file = |name: &str, response: &str| {
        let text = format!(
            "language: en\nintents: {{A: {{data: [{{sentences: [\"it is {{x}}\"], response: \"{response}\"}}]}}}}\nlists: {{x: {{values: [on]}}}}\n"
        );
        folder.file(name, text).to_str().unwrap().to_owned()
    };
    let (jinja, slot) = (file("jinja.yaml", "it is {{ slots.x }}"), file("slot.yaml", "it is {y}"));
    for (args, expected) in [
        (&["--answer", "--answer-output", "a.mp3", recording][..], "give a name that ends in .wav, .flac, .raw or .pcm"),
        (&["--answer", "--answer-output", "/nowhere/a.wav", recording], "cannot write"),
        (&["--answer", "--answer-output", "a.wav", "--voice", "nobody", recording], "model nobody not found"),
        (&["--answer", "--answer-output", "a.wav", "--answer-tail", "11", recording], "give 0 to 10 seconds"),
        (&["--answer", "--answer-output", "a.wav", "--memory", "20MB", recording], "--memory"),
        #[cfg(not(feature = "microphone"))]
        (&["--answer", recording], "nowhere to speak"),
        (&["--answer-output", "a.wav", recording], "--answer"),
        (&["--sentences", "coffee", "--answer", "--answer-output", "a.wav", recording], "no answers in it: coffee"),
    ] {
        let line = refusal(listen(args).output().unwrap());
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    for (sentences, expected) in [(jinja, "an answer has {slot} with the name of a slot"), (slot, "the answer's slot y: no sentence has")] {
        let line = refusal(
            ossicle().args(["listen", "--answer", "--answer-output", "a.wav", recording, "--sentences", &sentences]).output().unwrap(),
        );
        assert!(line.contains(expected), "{line}");
    }
}
