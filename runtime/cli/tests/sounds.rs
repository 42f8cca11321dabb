//! Sounds of a stream are told while they last: how late, and that what is told then is what a file has.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::{Folder, ossicle, refusal, sample, stdout};
use ossicle::events::{SETS, Settings};
use serde_json::Value;

const RATE: usize = 16_000;

/// When the alarm of [`alarm`] begins, in seconds.
const BEGINS: f64 = 2.0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A quiet room, a smoke alarm's tone of 3.1 kHz for so many seconds, the room again.
fn alarm(seconds: f64) -> Vec<u8> {
    let sounding = BEGINS..BEGINS + seconds;
    let mut room = 1u32;
    let mut sample = |n: usize| {
        room = room.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(room >> 16) / 65_536.0 - 0.5;
        let t = n as f64 / RATE as f64;
        let tone = if sounding.contains(&t) { 9000.0 * (TAU * 3100.0 * t).sin() } else { 0.0 };
        (tone + 110.0 * noise) as i16
    };
    (0..((BEGINS + seconds + 2.5) * RATE as f64) as usize).flat_map(|n| sample(n).to_le_bytes()).collect()
}

/// A program that hears a stream: its input, and the lines it writes with the moment they came.
struct Live {
    child: Child,
    input: ChildStdin,
    lines: Receiver<(Instant, Value)>,
}

impl Live {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let line = serde_json::from_str(&line.unwrap()).unwrap();
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take().unwrap(), child, lines }
    }

    /// The next line that `wanted` wants. Nothing more is written until it comes.
    fn wait(&self, wanted: impl Fn(&Value) -> bool) -> (Instant, Value) {
        loop {
            let (at, line) = self.lines.recv_timeout(Duration::from_secs(60)).expect("nothing is told of what is in the pipe");
            if wanted(&line) {
                return (at, line);
            }
        }
    }

    /// Ends the stream; what else was told.
    fn end(self) -> Vec<Value> {
        let Self { mut child, input, lines } = self;
        drop(input);
        let rest = lines.iter().map(|(_, line)| line).collect();
        assert!(child.wait().unwrap().success());
        rest
    }
}

fn detect(more: &[&str]) -> Command {
    let mut command = ossicle();
    command.env("OSSICLE_MODELS", root().join("models-int8")).args(["detect", "--format", "jsonl"]).args(more);
    command
}

fn is_start(line: &Value) -> bool {
    line["event"] == "sound_start"
}

/// Within 1.5 s at the stream's own pace, by `detect` and by `listen`.
#[test]
fn an_alarm_is_told_while_it_sounds() {
    let mut listen = ossicle();
    listen.env("OSSICLE_MODELS", root().join("models-int8"));
    listen.args(["listen", "-", "--model", "whisper-tiny.en", "--json", "--events", "--config", "home-sounds"]);
    let programs = [detect(&["--raw", "--config", "home-sounds", "-"]), listen];
    std::thread::scope(|scope| {
        for mut command in programs {
            scope.spawn(move || {
                let mut live = Live::start(&mut command);
                let sound = alarm(3.0);
                // The model is there once the first line is.
                let ahead = (0.5 * RATE as f64) as usize * 2;
                live.input.write_all(&sound[..ahead]).unwrap();
                std::thread::sleep(Duration::from_millis(500));
                let begun = Instant::now();
                for (i, block) in sound[ahead..].chunks(2 * RATE / 50).enumerate() {
                    let due = begun + Duration::from_millis(20) * i as u32;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    live.input.write_all(block).unwrap();
                }
                let sounded = begun + Duration::from_secs_f64(BEGINS - 0.5);
                let (at, start) = live.wait(|line| is_start(line) && line["class"] == "smoke_alarm");
                let late = at.saturating_duration_since(sounded).as_secs_f64();
                assert!(late < 1.5, "{late} s after it began: {start}");
                let end = live.end().into_iter().find(|line| line["class"] == "smoke_alarm" && line.get("end").is_some());
                let end = end.expect("the alarm's end");
                assert_eq!((&end["start"], end["end"].as_f64().unwrap() > BEGINS + 2.5), (&start["start"], true), "{end}");
            });
        }
    });
}

/// In the stream's own time, whatever the machine's: what has been in the pipe for so long is told before more is.
#[test]
fn each_class_is_told_within_its_time() {
    let sounds = fs::read(root().join("samples/sounds.wav")).unwrap().split_off(44);
    // Scores of the head are late by 1.4 s, those of a patch by the half of it and a hop.
    for (settings, stream, late) in [("", sounds, 1.4), ("home-sounds", alarm(8.0), 0.75)] {
        let more = if settings.is_empty() { vec![] } else { vec!["--config", settings] };
        let rules = match SETS.iter().find(|set| set.name == settings) {
            Some(set) => set.settings().unwrap(),
            None => Settings::of_model(&root().join("models-int8/sound-events")).unwrap(),
        };
        let folder = Folder::new("sounds");
        let file = folder.file("stream.raw", &stream);
        let wanted = stdout(detect(&more).arg("--raw").arg(&file).output().unwrap());
        let wanted: Vec<Value> = wanted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!wanted.is_empty());
        let start = |line: &Value| line["start"].as_f64().unwrap();
        // When each has to be told, in samples; behind the end there is nothing to wait for.
        let mut due = BTreeMap::new();
        for event in &wanted {
            let told = start(event) + rules.rules(event["class"].as_str().unwrap()).unwrap().min_seconds + late + 0.2;
            *due.entry((told * RATE as f64) as usize * 2).or_insert(0) += 1;
        }
        let mut live = Live::start(detect(&more).args(["--raw", "-"]));
        let (mut written, mut told, mut expected) = (0, vec![], 0);
        for (at, count) in due {
            if at > stream.len() {
                break;
            }
            live.input.write_all(&stream[written..at]).unwrap();
            (written, expected) = (at, expected + count);
            while told.iter().filter(|line| is_start(line)).count() < expected {
                told.push(live.wait(|_| true).1);
            }
        }
        assert!(expected > 0, "{settings}: nothing to wait for");
        live.input.write_all(&stream[written..]).unwrap();
        told.extend(live.end());
        // What was told is what the file has.
        let (starts, mut events): (Vec<Value>, Vec<Value>) = told.into_iter().partition(is_start);
        let key = |line: &Value| (line["class"].as_str().unwrap().to_owned(), line["start"].to_string());
        events.iter_mut().for_each(|event| event["file"] = wanted[0]["file"].clone());
        let sorted = |lines: &[Value]| {
            let mut keys: Vec<_> = lines.iter().map(key).collect();
            keys.sort();
            keys
        };
        assert_eq!(sorted(&starts), sorted(&wanted), "{settings}");
        assert!(events.len() == wanted.len() && wanted.iter().all(|event| events.contains(event)), "{settings}: {events:?}");
    }
}

#[test]
fn what_goes_on_is_told_again() {
    let folder = Folder::new("repeat");
    let config =
        folder.file("events.toml", "[default]\nrepeat_seconds = 1.0\nthreshold = 0.5\n[classes.\"Smoke detector, smoke alarm\"]\n");
    let stream = folder.file("alarm.raw", alarm(5.0));
    let lines = |more: &[&str]| {
        let mut command = detect(&["--model", "yamnet", "--raw", "--config"]);
        stdout(command.arg(&config).args(more).arg(&stream).output().unwrap())
    };
    let kinds: Vec<String> = lines(&["--starts", "always"])
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap_or("over").to_owned())
        .collect();
    assert!(kinds.len() > 4 && kinds[0] == "sound_start" && kinds.last().unwrap() == "over", "{kinds:?}");
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| kind == "sound_repeat"), "{kinds:?}");
    assert_eq!(lines(&[]).lines().count(), 1);
    let line = refusal(ossicle().args(["detect", "--starts", "always", "--format", "tsv"]).arg(sample()).output().unwrap());
    assert!(line.contains("--starts: only events of text and jsonl have them"), "{line}");
}
