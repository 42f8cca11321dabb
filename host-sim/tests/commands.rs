//! The binary, on traces of the sample recording.

#[path = "../../runtime/pipelines/tests/classes/mod.rs"]
mod classes;
#[path = "../../runtime/models/tests/toy/mod.rs"]
mod toy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use ossicle::trace;
use ossicle::whisper::options::{Quality, TranscribeOptions};
use ossicle::whisper::window::Window;
use ossicle_kernels::simd::Isa;
use ossicle_sim::replay::{Verdict, record, replay as again};
use ossicle_sim::subject::Subject;
use ossicle_trace::{Key, Pattern, Step, Tap, Tensor, Trace, Values, Writer, WriterOptions};
use serde_json::json;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ossicle-sim-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/kitchen.wav")
}

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models-int8").join(name)
}

fn model() -> PathBuf {
    bundled("whisper-tiny.en")
}

/// The sample in short windows and texts, which keep the scalar twin's time in bounds.
fn subject() -> Subject {
    let options = TranscribeOptions {
        window: Window::Seconds(3),
        timestamps: false,
        word_timestamps: true,
        max_new_tokens: 4,
        quality: Quality::off(),
        ..TranscribeOptions::default()
    };
    Subject::new(&sample(), model().to_str().unwrap(), &options).unwrap()
}

/// Changes one value of one tensor on its way into a trace.
#[derive(Debug)]
struct Spoil {
    writer: Arc<Writer<Vec<u8>>>,
    op: &'static str,
}

impl Tap for Spoil {
    fn step(&self, step: Step<'_>) {
        self.writer.step(step);
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        match tensor.values {
            Values::F32(values) if tensor.op == self.op => {
                let mut values = values.to_vec();
                values[1000] += 1.0;
                self.writer.tensor(&Tensor { values: Values::F32(&values), ..*tensor });
            }
            _ => self.writer.tensor(tensor),
        }
    }
}

/// A trace's bytes; the tensors of operator `spoilt` have one wrong value.
fn traced(options: WriterOptions, spoilt: &'static str) -> Vec<u8> {
    let (subject, isa) = (subject(), Isa::detect());
    let writer = Arc::new(Writer::new(Vec::new(), &subject.header(isa, 1).unwrap(), options).unwrap());
    subject.run(isa, 1, Arc::new(Spoil { writer: writer.clone(), op: spoilt }), &|| false).unwrap();
    Arc::into_inner(writer).unwrap().finish().unwrap()
}

fn sim(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle-sim"));
    command.args(arguments).args(paths).stdin(Stdio::null()).output().unwrap()
}

fn replay(trace: &Path, input: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle-sim"));
    command.arg("replay").arg(trace).arg("--input").arg(input).arg("--model").arg(model()).args(more).output().unwrap()
}

#[track_caller]
fn stdout(output: &Output, status: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    out.into_owned()
}

/// The one line on stderr of a refusal.
#[track_caller]
fn refusal(output: &Output) -> String {
    let (out, err) = (stdout(output, 2), String::from_utf8_lossy(&output.stderr));
    assert!(out.is_empty() && err.lines().count() == 1 && err.starts_with("ossicle-sim: "), "{out}{err}");
    err.into_owned()
}

#[test]
fn every_instruction_set_and_number_of_threads_gives_the_same_records() {
    let subject = subject();
    let reference = record(&subject, Isa::detect(), 1).unwrap();
    assert!(reference.complete && reference.records.len() > 500);
    for op in ["audio", "mel", "encoder.conv", "decoder.logits", "decoder.align", "text.tokens", "segment.times"] {
        assert!(reference.descriptors.iter().any(|descriptor| descriptor.op == op), "{op} is not traced");
    }
    for isa in Isa::available() {
        for threads in [1, 2] {
            let other = record(&subject, isa, threads).unwrap();
            assert_eq!(other.header.isa, isa.name());
            assert_eq!(other.steps, reference.steps, "{isa}, {threads} threads");
            let differing = other.records.iter().zip(&reference.records).find(|(a, b)| a != b);
            assert!(differing.is_none(), "{isa}, {threads} threads: {}", other.descriptor(differing.unwrap().0));
            assert_eq!((other.records.len(), &other.descriptors), (reference.records.len(), &reference.descriptors));
        }
    }
}

#[test]
fn what_runs_beside_a_model_is_repeated() {
    let folder = Folder::new("beside");
    let own = folder.0.join("my-sounds");
    classes::write(&own, &bundled("yamnet"), &["always"], 3.0, 1024);
    let (own, yamnet, input) = (own.to_str().unwrap(), bundled("yamnet"), sample());
    let detection =
        Subject::with(&input, yamnet.to_str().unwrap(), trace::DETECT, json!({"hop_frames": 96})).unwrap().beside(&[own]).unwrap();
    let transcription = subject().beside(&[bundled("whisper-events").to_str().unwrap()]).unwrap();
    for (subject, op, name) in [(&detection, "yamnet.classes.0", "detect"), (&transcription, "events.scores", "transcribe")] {
        let reference = record(subject, Isa::detect(), 1).unwrap();
        let count = reference.records.iter().filter(|record| reference.descriptor(record).op == op).count();
        assert!(count > 2, "{op} is traced {count} times");
        for isa in Isa::available() {
            assert!(record(subject, isa, 2).unwrap().records == reference.records, "{name} on {isa}");
        }
        let writer = Arc::new(Writer::new(Vec::new(), &subject.header(Isa::detect(), 1).unwrap(), WriterOptions::default()).unwrap());
        subject.run(Isa::detect(), 1, writer.clone(), &|| false).unwrap();
        folder.file(name, &Arc::into_inner(writer).unwrap().finish().unwrap());
    }
    let replay = |name: &str, beside: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle-sim"));
        command.arg("replay").arg(folder.0.join(name)).arg("--input").arg(&input);
        command.args(beside.iter().flat_map(|name| ["--beside", name])).output().unwrap()
    };
    for output in [replay("transcribe", &[]), replay("transcribe", &["whisper-events"]), replay("detect", &[own])] {
        assert!(stdout(&output, 0).starts_with("identical\n"));
    }
    assert!(stdout(&sim(&["show"], &[&folder.0.join("detect")]), 0).contains("\nbeside    my-sounds/model.safetensors "));
    let line = refusal(&replay("detect", &[]));
    assert!(line.contains("model my-sounds not found") && line.contains("--beside"), "{line}");
    assert!(refusal(&replay("detect", &[own, own])).contains("--beside: 2 given for a model beside the traced one: give my-sounds"));
    assert!(refusal(&replay("transcribe", &[own])).contains("another model than the traced whisper-events"));
    let plain = folder.file("plain", &traced(WriterOptions::default(), ""));
    let line = refusal(&replay("plain", &[own]));
    assert!(line.contains("the trace has no models beside its own, not 1: leave --beside out"), "{line}");
    let mut header = transcription.header(Isa::detect(), 1).unwrap();
    header.beside.push(header.beside[0].clone());
    folder.file("two", &Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap().finish().unwrap());
    assert!(refusal(&replay("two", &[])).contains("a trace with 2 models beside its own, where 1 can be"));
    let line = refusal(&sim(&["diff"], &[&plain, &folder.0.join("transcribe")]));
    assert!(line.contains("0 and 1 models beside whisper-tiny.en"), "{line}");
}

#[test]
fn a_true_trace_is_identical() {
    let folder = Folder::new("true");
    let bytes = traced(WriterOptions::default(), "");
    let trace = folder.file("a.trace", &bytes);
    let out = stdout(&replay(&trace, &sample(), &[]), 0);
    let tensors = Trace::read(&bytes[..], None).unwrap().records.len();
    assert!(out.starts_with("identical\n") && out.contains(&format!("{tensors} tensors in ")), "{out}");
    let out = stdout(&sim(&["verify"], &[&trace]), 0);
    assert!(out.starts_with("intact, ") && out.contains("not forgery"), "{out}");
    let steps = Trace::read(&bytes[..], None).unwrap().steps;
    let segments: Vec<_> = steps.iter().filter(|step| step.stage == "segment").collect();
    assert!(!segments.is_empty() && segments.iter().enumerate().all(|(i, step)| step.at == i as u64 && step.count > 1), "{segments:?}");
    let out = stdout(&sim(&["diff"], &[&trace, &trace]), 0);
    assert!(out.starts_with("identical\n"), "{out}");
    let out = stdout(&sim(&["show", "--only", "*.layers.3.ffn"], &[&trace]), 0);
    assert!(out.contains("encoder.layers.3.ffn (FeedForward), f32 [150, 384]\n") && !out.contains("(ConvStem)"), "{out}");
}

#[test]
fn a_wrong_value_in_a_trace_is_found_and_shown() {
    let folder = Folder::new("wrong");
    let values = Some(Pattern::new("encoder.layers.2.ffn"));
    let good = folder.file("good.trace", &traced(WriterOptions { key: None, values: values.clone() }, ""));
    let out = stdout(&sim(&["show", "--only", "*.ffn"], &[&good]), 0);
    assert!(out.contains("encoder.layers.2.ffn (FeedForward), f32 [150, 384] with values\n"), "{out}");
    assert!(out.contains("encoder.layers.1.ffn (FeedForward), f32 [150, 384]\n"), "{out}");
    let bad = folder.file("bad.trace", &traced(WriterOptions { key: None, values }, "encoder.layers.2.ffn"));
    let mute = folder.file("mute.trace", &traced(WriterOptions::default(), "encoder.layers.2.ffn"));
    for output in [sim(&["diff"], &[&bad, &good]), replay(&bad, &sample(), &[])] {
        let out = stdout(&output, 1);
        assert!(out.starts_with("differs"), "{out}");
        assert!(out.contains("first differing tensor: encoder.layers.2.ffn (FeedForward), f32 [150, 384]\n"), "{out}");
        assert!(out.contains("layer 2 of the encoder") && out.contains("1 of 57600 values differs"), "{out}");
        assert!(out.contains("the first at [2, 232] (0.04 s into the window)") && out.contains("  > [2, 232]"), "{out}");
    }
    // Without values in the trace, and the right ones on every instruction set here, the traced machine is at fault.
    let out = stdout(&replay(&mute, &sample(), &[]), 1);
    assert!(
        out.contains("first differing tensor: encoder.layers.2.ffn ") && out.contains("--trace-values 'encoder.layers.2.ffn'"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_line() {
    let folder = Folder::new("refused");
    let bytes = traced(WriterOptions::default(), "");
    let trace = folder.file("a.trace", &bytes);

    let mut wav = fs::read(sample()).unwrap();
    *wav.last_mut().unwrap() ^= 1;
    let other = folder.file("other.wav", &wav);
    let line = refusal(&replay(&trace, &other, &[]));
    assert!(line.contains("another recording than the traced one") && line.contains("give kitchen.wav"), "{line}");

    let other_model = folder.0.join("model");
    fs::create_dir(&other_model).unwrap();
    for entry in fs::read_dir(model()).unwrap().flatten() {
        fs::copy(entry.path(), other_model.join(entry.file_name())).unwrap();
    }
    let config = fs::read_to_string(model().join("generation_config.json")).unwrap() + "\n";
    fs::write(other_model.join("generation_config.json"), config).unwrap();
    let output = sim(&["replay", "--input"], &[&sample(), &trace, Path::new("--model"), &other_model]);
    let line = refusal(&output);
    assert!(line.contains("another model than the traced whisper-tiny.en") && line.contains("differs in generation_config.json"), "{line}");

    let mut garbled = bytes.clone();
    garbled[bytes.len() / 2] ^= 4;
    let garbled = folder.file("garbled.trace", &garbled);
    let line = refusal(&replay(&garbled, &sample(), &[]));
    assert!(line.contains("damaged") && line.contains("garbled.trace"), "{line}");
    let out = stdout(&sim(&["verify"], &[&garbled]), 1);
    assert!(out.contains("damaged"), "{out}");
    // In the header, whose first bytes are the name of its first key.
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    for (name, damaged, expected) in
        [("flipped.trace", &flipped[..], "damaged header: missing field `program`"), ("cut.trace", &bytes[..30], "ends within its header")]
    {
        let damaged = folder.file(name, damaged);
        let out = stdout(&sim(&["verify"], &[&damaged]), 1);
        assert!(out.starts_with(expected), "{out}");
        assert!(refusal(&replay(&damaged, &sample(), &[])).contains(expected));
    }

    // A trace does not choose which folders are looked into.
    let mut header = subject().header(Isa::detect(), 1).unwrap();
    header.model.name = "../whisper-tiny.en".into();
    let path = folder.file("path.trace", &Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap().finish().unwrap());
    let line = refusal(&sim(&["replay", "--input"], &[&sample(), &path]));
    assert!(line.contains("the trace names a path as its model: \"../whisper-tiny.en\": name the model's folder with --model"), "{line}");

    for (output, expected) in [
        (replay(&sample(), &sample(), &[]), "not a trace: "),
        (replay(Path::new("missing.trace"), &sample(), &[]), "cannot read the trace: "),
        (replay(&folder.0, &sample(), &[]), "a folder, not a trace: "),
        (replay(&trace, Path::new("missing.wav"), &[]), "missing.wav"),
        (replay(&trace, &sample(), &["--isa", "mmx"]), "no such instruction set: mmx: give one of scalar"),
        (sim(&["compare", "--isa", "scalar", "--input"], &[&sample()]), "nothing to compare with"),
        (sim(&["verify", "--key"], &[&trace, &trace]), "made without a key"),
        (sim(&["plan-nothing"], &[]), "unrecognized subcommand"),
        (sim(&[], &[]), "no command: give one of replay, compare, diff, verify, show, plan, calibrate: "),
        (sim(&["calibrate", "--error", "NaN"], &[]), "give 0 to 1"),
        (sim(&["calibrate", "--error=-0.1"], &[]), "give 0 to 1"),
    ] {
        let line = refusal(&output);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn a_trace_that_ends_early_is_read_as_far_as_it_goes() {
    let folder = Folder::new("early");
    let bytes = traced(WriterOptions::default(), "");
    let short = folder.file("short.trace", &bytes[..bytes.len() * 2 / 3]);
    let output = replay(&short, &sample(), &[]);
    let out = stdout(&output, 0);
    assert!(out.starts_with("identical (the trace ends early"), "{out}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("short.trace: ends early, after "));
    assert!(stdout(&sim(&["verify"], &[&short]), 1).starts_with("ends early, after "));
}

#[test]
fn a_key_vouches_for_a_trace() {
    let folder = Folder::new("keys");
    let secret = b"thirty-two bytes nobody else has";
    let trace = folder.file("a.trace", &traced(WriterOptions { key: Some(Key::new(secret.to_vec()).unwrap()), values: None }, ""));
    let right = folder.file("right.key", secret);
    let wrong = folder.file("wrong.key", b"thirty-two bytes somebody has...");
    assert!(stdout(&sim(&["verify", "--key"], &[&right, &trace]), 0).contains("the key's owner wrote it"));
    assert!(stdout(&sim(&["verify", "--key"], &[&wrong, &trace]), 1).contains("another key"));
    assert!(stdout(&sim(&["verify"], &[&trace]), 1).contains("not checked"));
    let short = folder.file("short.key", b"short");
    assert!(refusal(&sim(&["verify", "--key"], &[&short, &trace])).contains("a key of 5 bytes, less than 16"));
}

#[test]
fn help_shows_examples() {
    for command in ["replay", "compare", "diff", "verify", "show", "plan", "calibrate"] {
        let out = stdout(&sim(&[command, "--help"], &[]), 0);
        assert!(out.contains(&format!("Examples:\n  ossicle-sim {command} ")), "{out}");
    }
    assert!(stdout(&sim(&["--help"], &[]), 0).contains("Exit status: 0 identical"));
}

#[test]
fn sounds_from_text_are_made_again_from_their_descriptions() {
    let (folder, model) = (Folder::new("sounds"), toy::sounds::folder());
    let prompts = folder.file("prompts.txt", b"a dog barks\n\n dog\n");
    let settings = json!({"seconds": 0.1, "seed": 3, "guidance": 2.0, "temperature": 1.0, "top_k": 5, "top_p": 0.0});
    let subject = Subject::with(&prompts, model.0.to_str().unwrap(), trace::GENERATE, settings).unwrap();
    let all: Vec<Isa> = Isa::available().collect();
    let trace = record(&subject, all[all.len() - 1], 1).unwrap();
    // The encoder of descriptions, the language model and the codec, of both lines.
    for part in ["t5.", "audiogen.", "encodec."] {
        assert!(trace.descriptors.iter().any(|descriptor| descriptor.op.starts_with(part)), "no tensor of {part}");
    }
    for isa in all {
        assert!(matches!(again(&trace, &subject, isa, 2).unwrap(), Verdict::Identical { .. }), "{isa}");
    }
    // Another description is another input, another encoder another model.
    fs::write(&prompts, "a dog barks\na dog\n").unwrap();
    assert!(Subject::of(&trace.header, &prompts, model.0.to_str(), &[]).is_err());
    fs::write(&prompts, "a dog barks\n\n dog\n").unwrap();
    assert!(Subject::of(&trace.header, &prompts, model.0.to_str(), &[]).is_ok());
    fs::write(model.0.join("text/tokenizer.json"), "{}").unwrap();
    let error = Subject::of(&trace.header, &prompts, model.0.to_str(), &[]).unwrap_err().to_string();
    assert!(error.contains("text/tokenizer.json"), "{error}");
}
