//! Listening for a long time: commands in changing noise, played as fast as they are heard. Each is one utterance with its own text and an event
//! of speech beside it, every sample is counted, and resident memory stays what it was. The same for
//! sound events alone: each command is speech, and memory stays.
//!
//! A quarter of an hour of sound by default; `cargo xtask soak --hours 24` plays a day (`OSSICLE_SOAK_HOURS`).
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

const RATE: u64 = 16_000;
/// What is written at once.
const BLOCK: usize = 16_000;
/// The command in the sample, without its quiet margins: in any case within an utterance.
const MARGIN: u64 = RATE / 2;
/// What may be added after the first quarter.
const GROWTH_KB: u64 = 4096;

/// A 64-bit generator by Marsaglia (xorshift, 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in [-1, 1).
    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }
}

/// Sound without end: a room whose noise changes now and then, thumps and hum in it, and the command at random times and levels.
struct Room {
    random: Random,
    command: Vec<f32>,
    at: u64,
    noise: f32,
    next_noise: u64,
    hum: f32,
    thump: f32,
    next_thump: u64,
    next_command: u64,
    gain: f32,
    /// Where commands were played.
    played: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Room {
    fn sample(&mut self) -> i16 {
        if self.at == self.next_noise {
            // Digital silence, too, and up to 46 dB below full scale.
            self.noise = if self.random.next().is_multiple_of(6) { 0.0 } else { 10f32.powf(self.random.float() - 3.3) };
            self.hum = if self.random.next().is_multiple_of(3) { self.noise } else { 0.0 };
            self.next_noise = self.at + self.random.between(5 * RATE, 120 * RATE);
        }
        if self.at == self.next_thump {
            self.thump = 0.2;
            self.next_thump = self.at + self.random.between(3 * RATE, 60 * RATE);
        }
        if self.at == self.next_command {
            self.gain = 0.75 + 0.5 * self.random.float();
            self.played.lock().unwrap().push((self.at, self.at + self.command.len() as u64));
        }
        self.thump *= 0.998;
        let mut x =
            self.noise * self.random.float() + self.hum * (0.039_27 * (self.at % 160_000) as f32).sin() + self.thump * self.random.float();
        if let Some(&spoken) = self.at.checked_sub(self.next_command).and_then(|n| self.command.get(n as usize)) {
            x += self.gain * spoken;
        } else if self.at > self.next_command {
            self.next_command = self.at + self.random.between(4 * RATE, 110 * RATE);
        }
        self.at += 1;
        (x * 32_767.0).clamp(-32_768.0, 32_767.0) as i16
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sample recording behind its 44 bytes of header.
fn command() -> Vec<f32> {
    let bytes = fs::read(root().join("samples/kitchen.wav")).unwrap();
    bytes[44..].as_chunks().0.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32_768.0).collect()
}

/// Kilobytes that a process has in memory.
#[derive(Clone, Copy, Debug)]
struct Resident {
    all: u64,
    /// Without files that are mapped: of the weights, ever more pages have been read.
    own: u64,
}

impl Resident {
    fn of(child: &Child) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches("kB").trim().parse().unwrap()
        };
        Self { all: kilobytes("VmRSS:"), own: kilobytes("RssAnon:") }
    }
}

/// What was heard.
#[derive(Default)]
struct Heard {
    /// Start, end, text.
    utterances: Vec<(u64, u64, String)>,
    /// Start and end of sound events.
    sounds: Vec<(u64, u64)>,
    /// The last event.
    end: Value,
}

/// Reads events until the end.
fn collect(stdout: ChildStdout) -> Heard {
    let mut heard = Heard::default();
    for line in BufReader::new(stdout).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let sample = |key: &str| event[key].as_u64().unwrap();
        match event["event"].as_str().unwrap() {
            "final" => heard.utterances.push((sample("start_sample"), sample("end_sample"), event["text"].as_str().unwrap().to_owned())),
            "nothing" => heard.utterances.push((sample("start_sample"), sample("end_sample"), String::new())),
            "sound" => heard.sounds.push((sample("start_sample"), sample("end_sample"))),
            "end" => return Heard { end: event, ..heard },
            "listening" | "speech" | "thinking" | "sound_start" => {}
            other => panic!("{other}: {event}"),
        }
    }
    panic!("no end in the events");
}

fn hours() -> f64 {
    std::env::var("OSSICLE_SOAK_HOURS").map_or(0.25, |hours| hours.parse().expect("OSSICLE_SOAK_HOURS: a number"))
}

fn room(played: &Arc<Mutex<Vec<(u64, u64)>>>) -> Room {
    Room {
        random: Random(0x9e37_79b9_7f4a_7c15),
        command: command(),
        at: 0,
        noise: 0.0,
        next_noise: 0,
        hum: 0.0,
        thump: 0.0,
        next_thump: RATE,
        next_command: 4 * RATE,
        gain: 1.0,
        played: Arc::clone(played),
    }
}

/// Writes `total` samples to the child, then ends its input; gives what is resident on the way.
fn feed(child: &mut Child, mut room: Room, total: u64) -> Vec<Resident> {
    let clock = Instant::now();
    let mut stdin = BufWriter::with_capacity(2 * BLOCK, child.stdin.take().unwrap());
    let mut resident = Vec::new();
    let step = (total / 24).max(1);
    while room.at < total {
        let block = (total - room.at).min(BLOCK as u64);
        for _ in 0..block {
            stdin.write_all(&room.sample().to_le_bytes()).unwrap();
        }
        if room.at / step > (room.at - block) / step {
            let now = Resident::of(child);
            resident.push(now);
            let fed = room.at as f64 / RATE as f64 / 3600.0;
            println!("{fed:6.2} h fed, {} kB resident, {} of its own, {:.0} s", now.all, now.own, clock.elapsed().as_secs_f64());
        }
    }
    stdin.flush().unwrap();
    resident
}

fn check_flat(resident: &[Resident]) {
    // Utterances of every length have been heard after ten minutes.
    let from = if hours() < 1.0 { resident.len() * 2 / 3 } else { resident.len() / 4 };
    let settled = &resident[from..];
    let (first, last) = (settled[0].own, settled[settled.len() - 1].own);
    assert!(last <= first + GROWTH_KB, "memory grows: {resident:?} kB");
}

#[test]
fn hours_of_sound_events_need_no_more_memory() {
    let total = (hours() * 3600.0) as u64 * RATE;
    let clock = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ossicle"))
        .env_remove("OSSICLE_ISA")
        .args(["detect", "--raw", "-", "--classes", "Speech", "--format", "tsv", "--threads", "1", "--model"])
        .arg(root().join("models-int8/yamnet"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let events = thread::spawn(move || {
        let event = |line: String| {
            let fields: Vec<&str> = line.split('\t').collect();
            [fields[1], fields[2]].map(|seconds| (seconds.parse::<f64>().unwrap() * RATE as f64) as u64)
        };
        BufReader::new(stdout).lines().skip(1).map(|line| event(line.unwrap())).collect::<Vec<_>>()
    });
    let played = Arc::new(Mutex::new(Vec::new()));
    let resident = feed(&mut child, room(&played), total);
    let events = events.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(events.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "events overlap");
    let played = played.lock().unwrap();
    let missed = played.iter().filter(|&&(from, to)| to <= total && !events.iter().any(|event| event[0] < to && from < event[1])).count();
    println!(
        "{:.2} h of sound events in {:.0} s: {} commands played, {missed} missed, {} events; resident {} to {} kB",
        hours(),
        clock.elapsed().as_secs_f64(),
        played.len(),
        events.len(),
        resident.iter().map(|now| now.all).min().unwrap(),
        resident.iter().map(|now| now.all).max().unwrap(),
    );
    assert!(missed * 50 <= played.len(), "{missed} of {} commands are no speech", played.len());
    check_flat(&resident);
}

#[test]
fn hours_of_listening_lose_nothing_and_need_no_more_memory() {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    let hours = hours();
    let total = (hours * 3600.0) as u64 * RATE;
    let clock = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ossicle"))
        .env_remove("OSSICLE_ISA")
        .args(["listen", "-", "--json", "--threads", "1", "--events", "--classes", "Speech", "--event-model"])
        .arg(root().join("models-int8/yamnet"))
        .arg("--model")
        .arg(&model)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let events = thread::spawn(move || collect(stdout));
    let played = Arc::new(Mutex::new(Vec::new()));
    // What was fed waits in the queue for a minute at most.
    let resident = feed(&mut child, room(&played), total);
    let Heard { utterances, sounds, end } = events.join().unwrap();
    assert!(child.wait().unwrap().success());

    // Every sample is in one utterance or in none.
    assert_eq!(end["samples"].as_u64(), Some(total), "{end}");
    let inside: u64 = utterances.iter().map(|(start, end, _)| end - start).sum();
    assert_eq!((end["in_utterances"].as_u64(), end["utterances"].as_u64()), (Some(inside), Some(utterances.len() as u64)));
    assert!(utterances.windows(2).all(|pair| pair[0].1 <= pair[1].0), "utterances overlap");

    // Every command that was played whole is in one utterance, whole, and understood.
    let played: Vec<_> = played.lock().unwrap().iter().copied().filter(|&(_, to)| to <= total).collect();
    let (mut split, mut misheard) = (Vec::new(), Vec::new());
    for &(from, to) in &played {
        let holds = |&&(start, end, _): &&(u64, u64, String)| start <= from + MARGIN && end >= to - MARGIN;
        match utterances.iter().find(holds) {
            None => split.push(from),
            Some((_, _, text)) if !text.to_lowercase().contains("kitchen lights") => misheard.push(text),
            Some(_) => {}
        }
    }
    let unheard: Vec<_> = played.iter().filter(|(from, to)| !sounds.iter().any(|(start, end)| start < to && end > from)).collect();
    let commands = utterances.iter().filter(|(_, _, text)| text.to_lowercase().contains("kitchen")).count();
    println!(
        "{:.2} h in {:.0} s: {} commands played, {} not whole in an utterance, {} misheard; {} utterances, {} without a command; {} events of speech, {} commands without one; resident {} to {} kB",
        hours,
        clock.elapsed().as_secs_f64(),
        played.len(),
        split.len(),
        misheard.len(),
        utterances.len(),
        utterances.len() - commands,
        sounds.len(),
        unheard.len(),
        resident.iter().map(|now| now.all).min().unwrap(),
        resident.iter().map(|now| now.all).max().unwrap(),
    );
    assert!(split.is_empty(), "commands at {split:?} are not whole in any utterance");
    assert!(misheard.len() * 100 <= played.len(), "{misheard:?}");
    assert!(unheard.len() * 100 <= played.len(), "no event for the commands at {unheard:?}");
    check_flat(&resident);
}
