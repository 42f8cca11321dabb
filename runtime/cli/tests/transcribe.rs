//! The main job on the sample in the repository, through the binary.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const SPOKEN: &str = "turn off the kitchen lights and set a timer for 10 minutes";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample() -> PathBuf {
    root().join("samples/kitchen.wav")
}

/// `ossicle transcribe` with the repository's model.
fn transcribe(args: &[&str]) -> Command {
    with_model(&["transcribe"], args)
}

/// A command that takes a model, with the repository's.
fn with_model(name: &[&str], args: &[&str]) -> Command {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").args(name).arg("--model").arg(model).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn words(text: &str) -> String {
    let letters: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn piped(mut command: Command, bytes: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_leaves_ends_a_stream() {
    let mut command = transcribe(&["--raw", "-"]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let (mut stdin, start) = (child.stdin.take().unwrap(), std::time::Instant::now());
    let speech = fs::read(sample()).unwrap().split_off(44);
    while stdin.write_all(&speech).is_ok() {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "it transcribes on");
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn text_is_the_transcript_and_nothing_else() {
    let mut command = transcribe(&[]);
    let text = stdout(&command.arg(sample()).output().unwrap());
    assert_eq!(words(&text), SPOKEN, "{text}");
}

#[test]
fn stdin_and_raw_samples_give_the_same_text() {
    let wav = fs::read(sample()).unwrap();
    let command = transcribe(&["-"]);
    assert_eq!(words(&stdout(&piped(command, &wav))), SPOKEN);
    let command = transcribe(&["--raw", "-"]);
    assert_eq!(words(&stdout(&piped(command, &wav[44..]))), SPOKEN);
}

#[test]
fn narrow_and_wide_samples_give_the_same_text() {
    let wav = fs::read(sample()).unwrap();
    let samples: Vec<i16> = wav[44..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    let header = |tag: u16, bits: u16, bytes: usize| {
        let mut header = wav[..44].to_vec();
        header[20..22].copy_from_slice(&tag.to_le_bytes());
        header[28..32].copy_from_slice(&(16_000 * u32::from(bits / 8)).to_le_bytes());
        header[32..34].copy_from_slice(&(bits / 8).to_le_bytes());
        header[34..36].copy_from_slice(&bits.to_le_bytes());
        header[40..44].copy_from_slice(&(bytes as u32).to_le_bytes());
        header
    };
    let narrow: Vec<u8> = samples.iter().map(|&x| ((x >> 8) + 128) as u8).collect();
    let wide: Vec<u8> = samples.iter().flat_map(|&x| (f32::from(x) / 32_768.0).to_le_bytes()).collect();
    for file in [[header(1, 8, narrow.len()), narrow].concat(), [header(3, 32, wide.len()), wide].concat()] {
        let command = transcribe(&["-"]);
        assert_eq!(words(&stdout(&piped(command, &file))), SPOKEN);
    }
}

#[test]
fn json_carries_the_same_digests_on_every_instruction_set() {
    let digests = |isa: &str, threads: &str| {
        let output = transcribe(&["--format", "json", "--digests", "--isa", isa, "--threads", threads]).arg(sample()).output().unwrap();
        if !output.status.success() {
            eprintln!("SKIPPED {isa}: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["schema"], "ossicle.transcript/1");
        assert_eq!(words(value["text"].as_str().unwrap()), SPOKEN);
        Some(value["digests"].clone())
    };
    let expected = digests("scalar", "1").expect("scalar code runs everywhere");
    assert!(expected["logits"].as_str().is_some_and(|digest| digest.len() == 64), "{expected}");
    for (isa, threads) in
        [("scalar", "2"), ("avx2", "1"), ("avx2", "2"), ("avx512vnni", "1"), ("avx512vnni", "2"), ("neon", "2"), ("dotprod", "2")]
    {
        if let Some(found) = digests(isa, threads) {
            assert_eq!(found, expected, "{isa}, {threads} threads");
        }
    }
}

#[test]
fn one_bad_file_among_good_ones_is_status_1() {
    let mut command = transcribe(&[]);
    let output = command.arg(sample()).arg("no-such-file.wav").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    let (name, text) = text.split_once('\n').unwrap();
    assert_eq!((name, words(text)), (format!("{}:", sample().display()).as_str(), SPOKEN.to_owned()));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

#[test]
fn of_several_recordings_in_one_output_each_is_named() {
    let (kitchen, lights) = (sample(), root().join("samples/lights.wav"));
    let run = |format: &str| transcribe(&["--format", format]).args([&kitchen, &lights]).output().unwrap();
    let text = run("text");
    let text = stdout(&text);
    let blocks: Vec<_> = text.split("\n\n").collect();
    assert!(blocks.len() == 2 && blocks[0].starts_with(&format!("{}:\n", kitchen.display())), "{text}");
    assert!(blocks[1].starts_with(&format!("{}:\n", lights.display())), "{text}");
    let tsv = stdout(&run("tsv"));
    let rows: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["file", "start", "end", "text"], "{tsv}");
    assert!(rows[1..].iter().all(|row| row.len() == 4 && [kitchen.to_str(), lights.to_str()].contains(&Some(row[0]))), "{tsv}");
    assert!(rows.len() >= 3 && rows.last().unwrap()[0] == lights.to_str().unwrap(), "{tsv}");
    let refused = run("srt");
    let line = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && line.contains("--format: subtitles of 2 recordings in one output: add --output-dir"),
        "{line}"
    );
}

/// Asks a program to stop, as Ctrl-C does.
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_ends_standard_input_and_what_was_heard_is_written() {
    let speech = fs::read(sample()).unwrap().split_off(44);
    let mut command = transcribe(&["--raw", "-"]);
    let mut child = command.spawn().unwrap();
    // More than a pipe holds, so that the program reads; its input stays open.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&speech).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(words(&stdout(&output)), SPOKEN);

    // json stands there as it comes.
    let mut child = transcribe(&["--raw", "--format", "json", "-"]).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(&[speech, vec![0; 2 * 16_000 * 30]].concat()).unwrap();
    let (mut json, mut byte) = (Vec::new(), [0]);
    while !json.ends_with(b" kitchen") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&json));
        json.extend(byte);
    }
    assert!(child.try_wait().unwrap().is_none());
    interrupt(&child);
    stdout.read_to_end(&mut json).unwrap();
    assert!(child.wait().unwrap().success());
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(
        json["duration"].as_f64().unwrap() > 33.0 && words(json["text"].as_str().unwrap()) == SPOKEN && json.get("error").is_none(),
        "{json}"
    );
    drop(stdin);
}

#[test]
fn a_signal_before_a_file_ends_writes_what_was_said_with_status_130() {
    let mut wav = fs::read(sample()).unwrap();
    // A sentence each half minute: far more than is read before the signal.
    let speech = [wav.split_off(44), vec![0; 2 * 16_000 * 27]].concat().repeat(40);
    wav[40..44].copy_from_slice(&(speech.len() as u32).to_le_bytes());
    wav[4..8].copy_from_slice(&(speech.len() as u32 + 36).to_le_bytes());
    wav.extend(speech);
    let path = std::env::temp_dir().join(format!("ossicle-stopped-{}.wav", std::process::id()));
    fs::write(&path, wav).unwrap();
    let mut child = transcribe(&["--format", "vtt"]).arg(&path).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = stdout.nth(2).unwrap();
    interrupt(&child);
    let (rest, output) = (stdout.collect::<Vec<_>>(), child.wait_with_output().unwrap());
    fs::remove_file(&path).unwrap();
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{line}");
    assert!(line.contains("stopped by a signal at ") && line.lines().count() == 1, "{line}");
    assert!(first.contains(" --> ") && rest.iter().any(|line| line.contains("kitchen")), "{first} {rest:?}");
}

#[test]
fn subtitles_have_lines_of_the_width_asked_for() {
    let args = ["--format", "srt", "--max-line-width", "20", "--max-lines", "1", "--split-on", "sentence"];
    let mut command = transcribe(&args);
    let srt = stdout(&command.arg(sample()).output().unwrap());
    let cues: Vec<Vec<&str>> = srt.trim_end().split("\n\n").map(|cue| cue.lines().collect()).collect();
    assert!(cues.len() >= 3 && cues.iter().all(|cue| cue.len() == 3 && cue[2].len() <= 20), "{srt}");
    assert_eq!(words(&cues.iter().map(|cue| cue[2]).collect::<Vec<_>>().join(" ")), SPOKEN);
    let output = transcribe(&["--max-lines", "1"]).arg(sample()).output().unwrap();
    let line = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && line.contains("--max-lines: only subtitles have lines: add --format srt or vtt"), "{line}");
}

#[test]
fn models_are_named_as_people_type_it() {
    let models = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
        command.env("OSSICLE_MODELS", root().join("models-int8")).arg("models").args(args).output().unwrap()
    };
    let named = stdout(&models(&["info", "whisper-events"]));
    assert!(named.starts_with("name         whisper-events\n"), "{named}");
    assert_eq!(named, stdout(&models(&["info", "--model", "whisper-events"])));
    assert!(stdout(&models(&["verify", "whisper-events"])).contains("every file is as recorded"));
    for args in [&["info", "whisper-events", "--model", "yamnet"][..], &["verify", "wisper"]] {
        let output = models(args);
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        assert!(
            args.len() > 2
                || line.contains("model wisper not found") && line.contains("; found: ") && line.contains("sound-events, whisper-"),
            "{line}"
        );
    }
}

#[test]
fn transcripts_go_to_files_of_their_names() {
    let folder = std::env::temp_dir().join(format!("ossicle-transcripts-{}", std::process::id()));
    let mut command = transcribe(&["--format", "srt", "--output-dir"]);
    assert_eq!(stdout(&command.arg(&folder).arg(sample()).output().unwrap()), "");
    let text = fs::read_to_string(folder.join("kitchen.srt")).unwrap();
    assert!(text.starts_with("1\n00:00:00,"), "{text}");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kitchen.srt"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_benchmark_does_what_transcribe_does_unless_it_compares() {
    let bench = |args: &[&str]| -> serde_json::Value {
        let mut command = with_model(&["bench", "whisper"], args);
        let output = command.args(["--json", "--rounds", "1"]).arg(sample()).output().unwrap();
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let greedy = bench(&[]);
    assert_eq!((&greedy["decoding"], &greedy["window"]), (&"greedy".into(), &"full".into()));
    let auto = bench(&["--window", "auto"]);
    assert_eq!(auto["decoding"], "transcribe");
    let text = stdout(&transcribe(&[]).arg(sample()).output().unwrap());
    assert_eq!(auto["text"].as_str().unwrap().trim(), text.trim());
    // Timestamps are tokens too.
    let bare = bench(&["--window", "auto", "--decoding", "greedy"]);
    assert!(auto["tokens"].as_u64() > bare["tokens"].as_u64(), "{auto} {bare}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_that_fails_leaves_a_trace_with_its_last_tensors() {
    let trace = std::env::temp_dir().join(format!("ossicle-failed-{}.trace", std::process::id()));
    let mut command = transcribe(&["--threads", "99"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.arg("--trace").arg(&trace).arg(sample()).stdout(full).output().unwrap();
    let read = ossicle_trace::Trace::read(fs::File::open(&trace).unwrap(), None);
    let _ = fs::remove_file(&trace);
    assert!(!output.status.success());
    let read = read.unwrap();
    assert!(!read.complete);
    assert_eq!(read.descriptor(read.records.last().unwrap()).op, "segment.times");
    assert_eq!(read.header.threads, 8, "as many as ran");
}

#[test]
fn a_trace_holds_the_run_and_changes_nothing() {
    let folder = std::env::temp_dir().join(format!("ossicle-trace-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key");
    fs::write(&key, [7; 32]).unwrap();
    let mut traces = vec![];
    for (name, options) in [("plain.trace", &[][..]), ("keyed.trace", &["--trace-values", "encoder.layer_norm", "--threads", "2"])] {
        let trace = folder.join(name);
        let mut command = transcribe(options);
        if name.starts_with("keyed") {
            command.arg("--trace-key").arg(&key);
        }
        let text = stdout(&command.arg("--trace").arg(&trace).arg(sample()).output().unwrap());
        assert_eq!(words(&text), SPOKEN, "{text}");
        let key = name.starts_with("keyed").then(|| ossicle_trace::Key::new(vec![7; 32]).unwrap());
        traces.push(ossicle_trace::Trace::read(fs::File::open(&trace).unwrap(), key.as_ref()).unwrap());
    }
    let _ = fs::remove_dir_all(&folder);
    let [plain, keyed] = &traces[..] else { panic!("two traces") };
    assert!(plain.complete && keyed.complete && keyed.checked && keyed.header.keyed && !plain.header.keyed);
    assert_eq!(plain.header.input.name, "kitchen.wav");
    let digest = ossicle_trace::sha256_hex(fs::File::open(sample()).unwrap()).unwrap();
    assert_eq!(plain.header.input.sha256.as_deref(), Some(digest.as_str()));
    assert_eq!(plain.header.model.name, "whisper-tiny.en");
    let sums = fs::read_to_string(root().join("models-int8/whisper-tiny.en/SHA256SUMS")).unwrap();
    for (name, sum) in &plain.header.model.files {
        assert!(sums.contains(&format!("{sum}  {name}\n")), "{name}");
    }
    assert!(plain.records.iter().map(|record| record.digest).eq(keyed.records.iter().map(|record| record.digest)));
    assert!(plain.records.iter().all(|record| record.values.is_none()));
    let valued: Vec<_> = keyed.records.iter().filter(|record| record.values.is_some()).collect();
    assert!(!valued.is_empty() && valued.iter().all(|record| keyed.descriptor(record).op == "encoder.layer_norm"));
}

#[test]
fn events_stand_beside_the_text() {
    let sample = sample();
    let sample = sample.to_str().unwrap();
    let mut command = transcribe(&["--events", "--classes", "speech,dog_bark", "--digests", "--format", "json", sample]);
    let with: serde_json::Value = serde_json::from_str(&stdout(&command.output().unwrap())).unwrap();
    let events = with["events"].as_array().unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event["class"] == "speech"), "{events:?}");
    let end = events.last().unwrap()["end"].as_f64().unwrap();
    assert!(end <= with["duration"].as_f64().unwrap(), "{end}");
    assert_eq!(with["digests"]["events"].as_str().unwrap().len(), 64);
    // The text is what it is without them.
    let plain = stdout(&transcribe(&["--digests", "--format", "json", sample]).output().unwrap());
    let plain: serde_json::Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(with["segments"], plain["segments"]);
    assert_eq!(with["digests"]["logits"], plain["digests"]["logits"]);
    assert!(plain.get("events").is_none() && plain["digests"].get("events").is_none());
    // A stream has the events of the file.
    let speech = fs::read(sample).unwrap().split_off(44);
    let streamed = transcribe(&["--events", "--classes", "speech", "--digests", "--format", "json", "--raw", "-"]);
    let streamed: serde_json::Value = serde_json::from_str(&stdout(&piped(streamed, &speech))).unwrap();
    assert_eq!((&streamed["events"], &streamed["digests"]), (&with["events"], &with["digests"]));
    let lines = transcribe(&["--events", "--classes", "speech", "--format", "jsonl", sample]);
    let lines = stdout(&piped(lines, b""));
    let told = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).filter(|line| line["class"] == "speech");
    assert_eq!(told.count(), events.len());
}

#[test]
fn events_that_cannot_be_told_are_refused() {
    let sample = sample();
    let sample = sample.to_str().unwrap();
    for (args, expected) in [
        (&["--events", sample][..], "--events: text has no place for them: use --format json or jsonl"),
        (&["--events", "--format", "srt", sample], "--events: srt has no place for them"),
        (&["--events", "--format", "json", "--event-model", "sound-events", sample], "kind is \"yamnet\", not \"whisper-events\""),
        (
            &["--events", "--format", "json", "--classes", "cat, of the house", sample],
            "cannot use the settings: --classes: no class \"cat\"",
        ),
        (&["--events", "--format", "json", "--config", "none.toml", sample], "no such settings: none.toml: "),
    ] {
        let mut command = transcribe(args);
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains(expected) && line.lines().count() == 1 && output.stdout.is_empty(), "{line}");
    }
}

/// Two channels of samples at 16 kHz: the sample on one of them, and on the other 4.5 s later.
fn call(path: &Path) {
    let spoken: Vec<i16> = fs::read(sample()).unwrap()[44..].as_chunks::<2>().0.iter().map(|&x| i16::from_le_bytes(x)).collect();
    let late = 72_000;
    let at = |n: usize| spoken.get(n).copied().unwrap_or(0);
    let frames = (0..late + spoken.len()).flat_map(|n| [n.checked_sub(late).map_or(0, at), at(n)]);
    let data: Vec<u8> = frames.flat_map(i16::to_le_bytes).collect();
    let mut file = fs::read(sample()).unwrap()[..44].to_vec();
    file[22] = 2;
    file[28..32].copy_from_slice(&64_000u32.to_le_bytes());
    file[32] = 4;
    file[40..44].copy_from_slice(&(data.len() as u32).to_le_bytes());
    fs::write(path, [file, data].concat()).unwrap();
}

#[test]
fn the_sides_of_a_call_are_told_apart() {
    let path = std::env::temp_dir().join(format!("ossicle-call-{}.wav", std::process::id()));
    call(&path);
    let name = path.to_str().unwrap();
    let text = stdout(&transcribe(&["--each-channel", name]).output().unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("2: ") && lines[1].starts_with("1: "), "{text}");
    assert!(lines.iter().all(|line| words(&line[3..]) == SPOKEN), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&transcribe(&["--each-channel", "--format", "json", name]).output().unwrap())).unwrap();
    let said: Vec<_> = json["segments"].as_array().unwrap().iter().map(|segment| (&segment["id"], &segment["channel"])).collect();
    assert_eq!(said, [(&0.into(), &2.into()), (&1.into(), &1.into())]);
    // A side alone has the same segments.
    for (channel, index) in [("2", 0), ("1", 1)] {
        let alone = stdout(&transcribe(&["--channel", channel, "--format", "json", name]).output().unwrap());
        let alone: serde_json::Value = serde_json::from_str(&alone).unwrap();
        for key in ["start", "end", "text", "tokens"] {
            assert_eq!(alone["segments"][0][key], json["segments"][index][key], "{key}");
        }
    }
    // At once, before a model is looked for.
    let refused = Command::new(env!("CARGO_BIN_EXE_ossicle"))
        .args(["transcribe", "--each-channel", "-", "--model", "nowhere"])
        .stdin(fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    let line = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && line.lines().count() == 1 && line.contains("2 channels of standard input"), "{line}");
    fs::remove_file(path).unwrap();
    // One channel is channel 1.
    let mono = stdout(&piped(transcribe(&["--each-channel", "--format", "tsv", "-"]), &fs::read(sample()).unwrap()));
    assert!(mono.starts_with("channel\tstart\tend\ttext\n1\t"), "{mono}");
}
