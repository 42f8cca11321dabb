//! `ossicle detect` from the outside.

#[path = "../../pipelines/tests/classes/mod.rs"]
mod classes;
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, ossicle, refusal, sample, stdout};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8")
}

fn detect() -> Command {
    let mut command = ossicle();
    command.arg("detect").arg("--model").arg(models().join("yamnet"));
    command
}

/// Without a model named.
fn plain() -> Command {
    let mut command = ossicle();
    command.env("OSSICLE_MODELS", models()).arg("detect");
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
fn a_signal_ends_standard_input_and_what_was_heard_is_written() {
    let speech = fs::read(sample()).unwrap().split_off(44);
    let args = ["--classes", "Speech", "--raw", "-"];
    let mut child = detect().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds, so that the program reads; its input stays open.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&speech).unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let heard = stdout(child.wait_with_output().unwrap());
    let lines: Vec<&str> = heard.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("  Speech  (has begun, ") && lines[1].contains("  Speech  (peak "), "{heard}");
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
    let begins = |line: &&str| line.contains("\"event\":\"sound_start\"");
    for (extra, bytes) in [(&[][..], &wav[..]), (&["--raw"], &wav[data..]), (&["--starts", "never"], &wav)] {
        let mut child = detect().args(args).args(extra).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let piped = stdout(child.wait_with_output().unwrap());
        let (starts, rest): (Vec<&str>, Vec<&str>) = piped.lines().partition(begins);
        assert_eq!(rest, wanted.lines().collect::<Vec<_>>());
        assert_eq!(starts.len(), if extra.contains(&"never") { 0 } else { rest.len() - 1 });
    }
}

#[test]
fn events_of_a_file_come_as_they_begin() {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/sounds.wav");
    let folder = Folder::new("order");
    let config = folder.file("events.toml", "[default]\nthreshold = 0.1\nmerge_seconds = 1.0\n");
    let starts = |of: &[&str], input: Stdio| -> Vec<f64> {
        let rows = stdout(detect().args(["--format", "tsv", "--config"]).arg(&config).args(of).stdin(input).output().unwrap());
        rows.lines().skip(1).map(|row| row.split('\t').nth(1).unwrap().parse().unwrap()).collect()
    };
    let file = starts(&[sounds.to_str().unwrap()], Stdio::null());
    let stream = starts(&["-"], fs::File::open(&sounds).unwrap().into());
    assert!(file.len() > 10 && file.is_sorted(), "{file:?}");
    // A stream's come when they are over.
    assert!(!stream.is_sorted(), "{stream:?}");
    let mut sorted = stream;
    sorted.sort_by(f64::total_cmp);
    assert_eq!(file, sorted);
}

/// On a terminal, and there alone.
#[test]
fn that_nothing_was_found_is_told_to_people() {
    let command = format!("'{}' detect '{}'", env!("CARGO_BIN_EXE_ossicle"), sample().display());
    let on_terminal = |more: &str| {
        let mut script = Command::new("script");
        script.env_remove("OSSICLE_ISA").env("OSSICLE_MODELS", models()).stdin(Stdio::null());
        script.args(["-qec", &format!("{command} {more}"), "/dev/null"]).output()
    };
    let Ok(output) = on_terminal("") else { return eprintln!("LEFT OUT: nothing was written to a terminal: there is no script") };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.ends_with("kitchen.wav: no events in 3.9 s\r\n"), "{told:?}");
    for (more, lines) in [("--format jsonl", 0), ("--classes speech", 1)] {
        let told = String::from_utf8_lossy(&on_terminal(more).unwrap().stdout).into_owned();
        assert!(!told.contains("no events in") && told.matches("  speech  ").count() == lines, "{told:?}");
    }
    let output = plain().arg(sample()).output().unwrap();
    assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
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
fn the_default_model_comes_with_its_settings() {
    // Speech is scored, but no class of the model's events.toml.
    assert_eq!(stdout(plain().arg(sample()).output().unwrap()), "");
    let tsv = stdout(plain().args(["--classes", "speech", "--format", "tsv"]).arg(sample()).output().unwrap());
    assert!(tsv.lines().count() > 1 && tsv.lines().skip(1).all(|line| line.ends_with("\tspeech")), "{tsv}");
    let top = stdout(plain().args(["--top", "1", "--format", "tsv"]).arg(sample()).output().unwrap());
    assert!(top.lines().nth(1).unwrap().contains("\t0.000\t0.040\t"), "{top}");

    let folder = Folder::new("rules");
    for name in ["config.json", "labels.txt", "near_labels.txt", "model.safetensors"] {
        fs::copy(models().join("sound-events").join(name), folder.0.join(name)).unwrap();
    }
    for (rules, expected) in [
        ("[classes.rain]\ntreshold = 1\n", "events.toml: line 2: unknown field `treshold`"),
        ("[classes.hail]\n", "events.toml: classes.hail: no label \"hail\""),
    ] {
        folder.file("events.toml", rules);
        let line = refusal(ossicle().args(["detect", "--model"]).arg(&folder.0).arg(sample()).output().unwrap());
        assert!(line.contains(expected) && !line.contains("--classes"), "{line}");
    }
    let config = folder.file("own.toml", "[classes.rain]\n");
    let line = refusal(plain().args(["--classes", "nix", "--config"]).arg(&config).arg(sample()).output().unwrap());
    assert!(line.starts_with("ossicle: cannot use the settings: --classes: no class \"nix\""), "{line}");
}

#[test]
fn the_sample_of_sounds_holds_a_clock_an_alarm_and_waves() {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/sounds.wav");
    let classes = |command: &mut Command| -> Vec<String> {
        let rows = stdout(command.args(["--format", "tsv"]).arg(&sounds).output().unwrap());
        rows.lines().skip(1).map(|row| row.rsplit('\t').next().unwrap().to_owned()).collect()
    };
    let heard = classes(&mut plain());
    assert!(heard.len() == 7 && heard[..6].iter().all(|class| class == "clock_tick") && heard[6] == "sea_waves", "{heard:?}");
    let alarm = "Smoke detector, smoke alarm";
    assert_eq!(classes(detect().args(["--classes", alarm])), [alarm]);
    // The model follows from the set; the ticks and the waves are none of its classes.
    assert_eq!(classes(plain().args(["--config", "home-sounds"])), ["beep", "smoke_alarm"]);
}

#[test]
fn a_set_of_classes_comes_with_the_program() {
    let home = || {
        let mut command = plain();
        command.args(["--config", "home-sounds"]);
        command
    };
    let listed = stdout(home().arg("--list-classes").output().unwrap());
    let rows: Vec<&str> = listed.lines().collect();
    assert!(rows.iter().any(|row| row.starts_with("  smoke_alarm ") && row.ends_with("  Smoke detector, smoke alarm")), "{listed}");
    assert_eq!(rows.iter().position(|row| *row == "labels of yamnet:"), Some(21), "{listed}");
    assert_eq!((rows[22], rows.len()), ("  Speech", 22 + 521));
    let ten = stdout(plain().arg("--list-classes").output().unwrap());
    let rooster = ten.lines().find(|row| row.starts_with("  rooster ")).unwrap();
    assert!(rooster.contains("  rooster, near Chicken, rooster; ") && rooster.contains(" at 0.02, unless Laughter; "), "{rooster}");
    let labels = stdout(detect().arg("--list-classes").output().unwrap());
    assert!(labels.lines().count() == 1 + 521 && labels.starts_with("labels of "), "{labels}");

    let line = refusal(home().args(["--classes", "smoke alarm"]).arg(sample()).output().unwrap());
    assert!(line.contains("no class \"smoke alarm\"") && line.contains("near it: \"smoke_alarm\", "), "{line}");
    let line = refusal(home().args(["--model", "sound-events"]).arg(sample()).output().unwrap());
    assert!(line.starts_with("ossicle: cannot use the settings: home-sounds: they are for the model yamnet: classes."), "{line}");
    assert_eq!(plain().output().unwrap().status.code(), Some(2));
    assert_eq!(plain().arg("--list-classes").arg(sample()).output().unwrap().status.code(), Some(2));
}

#[test]
fn classes_of_ones_own_go_with_yamnet() {
    let folder = Folder::new("own");
    let own = folder.0.join("my-sounds");
    classes::write(&own, &models().join("yamnet"), &["always"], 3.0, 1024);
    let mut with = plain();
    with.arg("--add-classes").arg(&own).arg(sample());
    let rows = stdout(with.args(["--format", "tsv", "--classes", "always,Speech"]).output().unwrap());
    let labels: Vec<&str> = rows.lines().skip(1).map(|row| row.rsplit('\t').next().unwrap()).collect();
    assert!(labels.contains(&"always") && labels.contains(&"Speech"), "{rows}");
    // Beside the ten, and beside another set; both are listened for without being named.
    let (more, labelled) = (folder.0.join("more"), |rows: String| -> Vec<String> {
        rows.lines().skip(1).map(|row| row.rsplit('\t').next().unwrap().to_owned()).collect()
    });
    classes::write(&more, &models().join("yamnet"), &["ever", "never"], 3.0, 1024);
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/sounds.wav");
    let ten = |more: &[&Path]| {
        let mut command = plain();
        command.args(["--model", "sound-events", "--format", "tsv"]).arg(&sounds);
        command.args(more.iter().flat_map(|folder| [Path::new("--add-classes"), *folder]));
        labelled(stdout(command.output().unwrap()))
    };
    let mut heard = ten(&[&own, &more]);
    assert_eq!(heard[..3], ["always", "ever", "never"]);
    assert_eq!(heard.split_off(3), ten(&[]));
    let path = folder.0.join("t");
    stdout(plain().arg("--trace").arg(&path).arg("--add-classes").arg(&own).arg(sample()).output().unwrap());
    let trace = ossicle_trace::Trace::read(fs::File::open(path).unwrap(), None).unwrap();
    let beside: Vec<_> = trace.header.beside.iter().map(|model| (model.name.as_str(), model.files.len())).collect();
    assert_eq!(beside, [("my-sounds", 3)]);
    assert!(trace.descriptors.iter().any(|descriptor| descriptor.op == "yamnet.classes.0"));
    let info = stdout(ossicle().args(["models", "info", "--model"]).arg(&own).output().unwrap());
    assert!(info.contains("yamnet-classes") && info.contains("1, by name in labels.txt"), "{info}");

    let short = folder.0.join("short");
    classes::write(&short, &models().join("yamnet"), &["always"], 3.0, 512);
    let line = refusal(plain().arg("--add-classes").arg(&short).arg(sample()).output().unwrap());
    assert!(line.contains("short: reads an embedding of 512 values, not of 1024"), "{line}");
}

#[test]
fn no_output_overwrites_another_file() {
    let folder = Folder::new("distinct");
    let config = folder.file("cfg.toml", "[classes.Speech]\n");
    let recording = folder.0.join("talk.txt");
    fs::copy(sample(), &recording).unwrap();
    let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let dotted = format!("{}/./x.png", folder.0.display());
    // Of talk.wav the events would be talk.txt.
    let talk = at("talk.wav");
    let mut cases = vec![(vec!["--output-dir", folder.0.to_str().unwrap(), &talk], "--output-dir would overwrite the recording")];
    let (x, od, cfg, trace) = (at("x.png"), at("od"), at("cfg.toml"), at("t"));
    let inside = at("od/talk.txt.txt");
    if cfg!(feature = "plot") {
        cases.push((vec!["--config", &cfg, "--plot", &cfg], "--plot would overwrite the settings"));
        cases.push((vec!["--trace", &trace, "--plot", &trace], "--plot would overwrite what --trace writes"));
        cases.push((vec!["--plot", &x, "--html", &dotted], "--html would overwrite what --plot writes"));
    }
    cases.push((vec!["--output-dir", &od, "--trace", &inside], "--trace would overwrite what --output-dir writes"));
    for (args, expected) in cases {
        let line = refusal(detect().args(&args).arg(&recording).output().unwrap());
        assert!(line.contains(expected), "{line}");
    }
    assert!(fs::read_to_string(config).unwrap().contains("Speech") && fs::read(recording).unwrap() == fs::read(sample()).unwrap());
    let mut left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["cfg.toml", "talk.txt"]);
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
    let line = refused(&["--classes", "Dogg"]);
    assert!(line.contains("no class \"Dogg\"") && line.ends_with("near it: \"Dog\" (ossicle detect --list-classes lists all)"), "{line}");
    let line = refused(&["--classes", "smoke_alarm"]);
    assert!(line.contains("\"Smoke detector, smoke alarm\""), "{line}");
    assert!(refused(&["--classes", "Dog,Baby cry, infant cry,Dog"]).contains("class \"Dog\" twice"));
    let line = refused(&["--config", config.to_str().unwrap()]);
    assert!(line.contains("events.toml") && line.contains("classes.dog: no label \"Dogg\""), "{line}");
    let line = refused(&["--config", typing.to_str().unwrap()]);
    assert!(line.contains("typo.toml: line 2: unknown field `treshold`"), "{line}");
    assert!(refused(&["--config", "missing.toml"]).contains("no such settings: missing.toml: give a file that exists, or home-sounds"));
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
    assert!(refused("--plot", &sample()).contains("--plot would overwrite the recording"));
    let several = detect().arg("--plot").arg(&plot).args([sample(), sample()]).output().unwrap();
    assert!(refusal(several).contains("2 recordings"));
    let both = detect().arg("--plot").arg(&plot).arg("--html").arg(&plot).arg(sample()).output().unwrap();
    assert!(refusal(both).contains("--html would overwrite what --plot writes"));

    // Whoever reads the events has gone, and the picture cannot be written: that is told.
    let blocked = folder.0.join("blocked.png");
    fs::create_dir(folder.0.join("blocked.png.part")).unwrap();
    let mut command = detect();
    command.args(["--classes", "Speech", "--plot"]).arg(&blocked).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(&fs::read(sample()).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("cannot create") && stderr.lines().count() == 1, "{stderr}");
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
