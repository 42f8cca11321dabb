//! `ossicle detect` from the outside.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, ossicle, refusal, sample, stdout};

fn detect() -> Command {
    let mut command = ossicle();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/yamnet");
    command.arg("detect").arg("--model").arg(model);
    command
}

#[test]
fn speech_is_heard_in_every_format() {
    let run = |format: &str| stdout(detect().args(["--classes", "Speech", "--format", format]).arg(sample()).output().unwrap());
    let text = run("text");
    assert!(text.lines().count() == 1 && text.contains("  Speech  (peak "), "{text}");
    let tsv = run("tsv");
    let (header, row) = tsv.split_once('\n').unwrap();
    assert_eq!(header, "filename\tonset\toffset\tevent_label");
    let fields: Vec<&str> = row.trim_end().split('\t').collect();
    assert_eq!((fields.len(), fields[3]), (4, "Speech"), "{tsv}");
    assert!(fields[1].parse::<f64>().unwrap() < fields[2].parse::<f64>().unwrap());
    assert!(run("jsonl").starts_with("{\"file\":"));
    assert!(run("audacity").ends_with("\tSpeech\n"));
    assert!(run("raven").starts_with("Selection\tView"));
}

#[test]
fn a_pipe_gives_what_the_file_gives() {
    let wav = fs::read(sample()).unwrap();
    let data = wav.windows(4).position(|window| window == b"data").unwrap() + 8;
    let args = ["--format", "jsonl", "--digests"];
    let file = stdout(detect().args(args).arg(sample()).output().unwrap());
    // Of the file's output, only the name is another.
    let name = serde_json::json!(sample().to_str().unwrap()).to_string();
    let wanted = file.replace(&name, "\"-\"");
    assert!(wanted != file && wanted.lines().any(|line| line.contains("\"class\":\"Speech\"")), "{file}");
    for (extra, bytes) in [(&[][..], &wav[..]), (&["--raw"], &wav[data..])] {
        let mut child = detect().args(args).args(extra).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let piped = stdout(child.wait_with_output().unwrap());
        assert_eq!(piped, wanted);
    }
}

#[test]
fn the_largest_scores_of_each_hop() {
    let text = stdout(detect().args(["--top", "2", "--format", "tsv", "--hop", "0.48"]).arg(sample()).output().unwrap());
    assert_eq!(text.lines().next().unwrap(), "filename\tonset\toffset\tevent_label\tscore");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert!(rows.len() >= 4 && rows.len().is_multiple_of(2));
    for pair in rows.chunks(2) {
        assert_eq!(pair[0][1..3], pair[1][1..3]);
        assert!(pair[0][4] >= pair[1][4], "{pair:?}");
    }
    assert!(rows.iter().any(|row| row[3] == "Speech"));
}

#[test]
fn several_recordings_and_one_that_is_bad() {
    let folder = Folder::new("several");
    let bad = folder.file("bad.wav", "no audio");
    let output = detect().args(["--classes", "Speech", "--format", "tsv"]).arg(sample()).arg(&bad).arg(sample()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().count() == 1 && stderr.contains("bad.wav"), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[1] == lines[2], "the second recording is not heard as the first: {text}");
    let text = stdout(detect().args(["--classes", "Speech"]).args([sample(), sample()]).output().unwrap());
    assert!(text.lines().count() == 2 && text.lines().all(|line| line.starts_with(&format!("{}: ", sample().display()))), "{text}");
    let out = folder.0.join("labels");
    stdout(detect().args(["--format", "audacity", "--output-dir"]).arg(&out).arg(sample()).output().unwrap());
    assert!(fs::read_to_string(out.join("kitchen.txt")).unwrap().contains("\tSpeech"));
}

#[test]
fn traces_agree_between_instruction_sets() {
    let folder = Folder::new("trace");
    let traces: Vec<_> = ossicle_kernels::simd::Isa::available()
        .map(|isa| {
            let path = folder.0.join(isa.name());
            stdout(detect().args(["--hop", "0.96", "--isa", isa.name(), "--trace"]).arg(&path).arg(sample()).output().unwrap());
            ossicle_trace::Trace::read(fs::File::open(path).unwrap(), None).unwrap()
        })
        .collect();
    assert!(traces[0].steps.iter().any(|step| step.stage == "hop") && traces[0].records.len() > 30);
    for trace in &traces {
        assert!(trace.records == traces[0].records && trace.descriptors == traces[0].descriptors);
    }
}

#[test]
fn bad_usage_is_one_line() {
    let folder = Folder::new("usage");
    let config = folder.file("events.toml", "[classes.dog]\nlabels = [\"Dogg\"]\n");
    let typing = folder.file("typo.toml", "[default]\ntreshold = 1\n");
    let refused = |args: &[&str]| refusal(detect().args(args).arg(sample()).output().unwrap());
    assert!(refused(&["--classes", "Dogg"]).contains("no class \"Dogg\""));
    assert!(refused(&["--classes", "Dog,Baby cry, infant cry,Dog"]).contains("class \"Dog\" twice"));
    let line = refused(&["--config", config.to_str().unwrap()]);
    assert!(line.contains("events.toml") && line.contains("classes.dog: no label \"Dogg\""), "{line}");
    let line = refused(&["--config", typing.to_str().unwrap()]);
    assert!(line.contains("typo.toml: line 2: unknown field `treshold`"), "{line}");
    assert!(refused(&["--config", "missing.toml"]).contains("missing.toml"));
    assert!(refused(&["--hop", "0.25"]).contains("steps of 0.02"));
    assert!(refused(&["--digests"]).contains("--format jsonl"));
    assert!(refused(&["--top", "3", "--format", "raven"]).contains("--top"));
    let mut other = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    let output = other.args(["detect", "--model", "no-such-model"]).arg(sample()).output().unwrap();
    assert!(refusal(output).contains("model no-such-model not found"));
    assert!(refusal(detect().args(["--format", "raven"]).args([sample(), sample()]).output().unwrap()).contains("--output-dir"));
    assert!(refusal(detect().arg("missing.wav").output().unwrap()).contains("no such file: missing.wav"));
}

#[test]
fn a_reader_that_leaves_ends_it() {
    for extra in [&["--top", "1"][..], &["--classes", "Speech"]] {
        let mut child =
            detect().args(["--raw", "--format", "jsonl", "-"]).args(extra).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (mut stdin, start) = (child.stdin.take().unwrap(), Instant::now());
        let mut speech = fs::read(sample()).unwrap().split_off(44);
        speech.resize(speech.len().next_multiple_of(2) + 64_000, 0);
        while stdin.write_all(&speech).is_ok() {
            assert!(start.elapsed() < Duration::from_secs(60), "it detects on");
        }
        assert!(child.wait().unwrap().success());
    }
}

#[cfg(feature = "plot")]
#[test]
fn picture_and_page_are_written() {
    let folder = Folder::new("show");
    let (plot, html) = (folder.0.join("out.png"), folder.0.join("out.html"));
    let events =
        stdout(detect().args(["--classes", "Speech", "--plot"]).arg(&plot).arg("--html").arg(&html).arg(sample()).output().unwrap());
    assert_eq!(events, stdout(detect().args(["--classes", "Speech"]).arg(sample()).output().unwrap()));
    assert!(fs::read(&plot).unwrap().starts_with(b"\x89PNG"));
    let page = fs::read_to_string(&html).unwrap();
    assert_eq!(page.matches("class=\"event\"").count(), events.lines().count());
    assert!(page.contains("<td>Speech</td>") && page.contains("id=\"wav\""));

    let refused = |option: &str, path: &Path| refusal(detect().arg(option).arg(path).arg(sample()).output().unwrap());
    assert!(refused("--plot", &folder.0).contains("--plot cannot be written"));
    assert!(refused("--html", &folder.0.join("no/such.html")).contains("--html cannot be written"));
    assert!(refused("--plot", &sample()).contains("would overwrite the recording"));
    let several = detect().arg("--plot").arg(&plot).args([sample(), sample()]).output().unwrap();
    assert!(refusal(several).contains("2 recordings"));
    let both = detect().arg("--plot").arg(&plot).arg("--html").arg(&plot).arg(sample()).output().unwrap();
    assert!(refusal(both).contains("one file for both"));
}

/// Writes silence until `seen` or too long has passed.
#[cfg(unix)]
fn feed(child: &mut Child, mut seen: impl FnMut() -> bool) {
    let start = Instant::now();
    let mut stdin = child.stdin.take().unwrap();
    while !seen() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happened");
        stdin.write_all(&[0; 3200]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    child.stdin = Some(stdin);
}

#[cfg(unix)]
#[test]
fn settings_are_read_again_while_it_listens() {
    let folder = Folder::new("reload");
    let config = folder.file("events.toml", "[classes.talk]\nlabels = [\"Speech\"]\n");
    let errors = folder.0.join("stderr");
    let mut child = detect()
        .args(["--raw", "--format", "tsv", "-", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let told = |text: &str| fs::read_to_string(&errors).unwrap().contains(text);
    // Speech, then enough silence for it to be over: an event shows that the first settings have been read.
    let mut speech = fs::read(sample()).unwrap().split_off(44);
    speech.resize(speech.len().next_multiple_of(2) + 96_000, 0);
    child.stdin.as_mut().unwrap().write_all(&speech).unwrap();
    let mut heard = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    heard.read_line(&mut line).unwrap();
    assert!(line.starts_with("filename"), "{line}");
    line.clear();
    heard.read_line(&mut line).unwrap();
    assert!(line.ends_with("\ttalk\n"), "{line}");
    // Newer than the file by more than the clock's grain.
    std::thread::sleep(Duration::from_millis(50));
    fs::write(&config, "[classes.quiet]\nlabels = [\"Silence\"]\nlimit = 1\n").unwrap();
    feed(&mut child, || told("unknown field `limit`") && told("the old ones stay"));
    std::thread::sleep(Duration::from_millis(50));
    fs::write(&config, "[classes.quiet]\nlabels = [\"Silence\"]\n").unwrap();
    feed(&mut child, || told("read again"));
    child.stdin.as_mut().unwrap().write_all(&[0; 64_000]).unwrap();
    drop(child.stdin.take());
    line.clear();
    heard.read_to_string(&mut line).unwrap();
    assert!(line.lines().count() == 1 && line.ends_with("\tquiet\n"), "{line}");
    assert!(child.wait().unwrap().success());
}
