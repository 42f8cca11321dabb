//! A fault is planted in each kernel, one bit of one value on one instruction set: the replay must name the operator it was planted in.
//!
//! Run with `cargo test --release -p ossicle-sim --features fault-injection`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ossicle::trace;
use ossicle::whisper::options::{Quality, TranscribeOptions};
use ossicle::whisper::window::Window;
use ossicle_kernels::fault::{self, Fault, KERNELS};
use ossicle_kernels::simd::Isa;
use ossicle_sim::finding::Spread;
use ossicle_sim::replay::{ValuesFrom, Verdict, record, replay};
use ossicle_sim::report::{self, Sides};
use ossicle_sim::subject::Subject;
use ossicle_trace::{Step, Tap, Tensor, Trace, Writer, WriterOptions};
use serde_json::json;

#[path = "../../runtime/models/tests/toy/mod.rs"]
mod toy;

/// Faults belong to the process.
static ALONE: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn subject() -> Subject {
    // Short windows and texts keep the scalar twin's time in bounds, whatever a fault makes of the text.
    let options = TranscribeOptions {
        window: Window::Seconds(3),
        timestamps: false,
        word_timestamps: true,
        max_new_tokens: 4,
        quality: Quality::off(),
        ..TranscribeOptions::default()
    };
    let model = root().join("models-int8/whisper-tiny.en");
    Subject::new(&root().join("samples/kitchen.wav"), model.to_str().expect("UTF-8"), &options).expect("the bundled model")
}

/// The second fastest and the fastest instruction set; the same one twice where there is no second.
fn fastest_two() -> (Isa, Isa) {
    let all: Vec<Isa> = Isa::available().collect();
    (all[all.len().saturating_sub(2)], all[all.len() - 1])
}

/// Writes a trace, and calls `then` once, after the first tensor of that name.
struct After<F> {
    writer: Arc<Writer<Vec<u8>>>,
    name: &'static str,
    then: Mutex<Option<F>>,
}

impl<F> std::fmt::Debug for After<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "After({})", self.name)
    }
}

impl<F: FnOnce() + Send> Tap for After<F> {
    fn step(&self, step: Step<'_>) {
        self.writer.step(step);
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        self.writer.tensor(tensor);
        let name = if tensor.part.is_empty() { tensor.op.to_owned() } else { format!("{}/{}", tensor.op, tensor.part) };
        if name == self.name
            && let Some(then) = self.then.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            then();
        }
    }
}

/// The trace of a run with one thread during which `then` is called after the first tensor called `name`.
fn traced(subject: &Subject, isa: Isa, name: &'static str, then: impl FnOnce() + Send + 'static) -> Arc<Trace> {
    let header = subject.header(isa, 1).expect("header");
    let writer = Arc::new(Writer::new(Vec::new(), &header, WriterOptions::default()).expect("memory"));
    let tap = Arc::new(After { writer: writer.clone(), name, then: Mutex::new(Some(then)) });
    subject.run(isa, 1, tap.clone(), &|| false).expect("run");
    let called = tap.then.lock().expect("no panic").is_none();
    assert!(called, "no tensor is called {name}");
    drop(tap);
    let bytes = Arc::into_inner(writer).expect("the run is over").finish().expect("memory");
    Arc::new(Trace::read(&bytes[..], None).expect("a trace"))
}

/// Kernel, bit of value 0, the tensor computed before, the operator that is struck.
const CASES: [(&str, u32, &str, &str); 24] = [
    ("log10", 20, "audio", "mel"),
    ("linear", 25, "mel", "encoder.conv"),
    ("gelu", 25, "mel", "encoder.conv"),
    ("quantize_rows", 5, "mel", "encoder.conv"),
    ("layer_norm_quantize_rows", 5, "encoder.conv", "encoder.layers.0.self_attn.qkv"),
    ("linear", 25, "encoder.layers.2.ffn", "encoder.layers.3.self_attn.qkv"),
    ("quantize_heads", 0, "encoder.layers.0.ffn", "encoder.layers.1.self_attn.qkv"),
    ("pack_values", 5, "encoder.layers.2.self_attn.qkv/values", "encoder.layers.2.self_attn"),
    ("softmax", 5, "encoder.layers.1.self_attn.qkv/values", "encoder.layers.1.self_attn"),
    ("exp2_softmax", 24, "encoder.layers.1.self_attn.qkv/values", "encoder.layers.1.self_attn"),
    ("attend", 0, "encoder.layers.3.self_attn.qkv/values", "encoder.layers.3.self_attn"),
    ("quantize_rows", 5, "encoder.layers.1.self_attn", "encoder.layers.1.self_attn.out_proj"),
    ("gelu", 25, "encoder.layers.1.self_attn.out_proj", "encoder.layers.1.ffn"),
    ("layer_norm_rows", 0, "encoder.layers.3.ffn", "encoder.layer_norm"),
    ("linear", 25, "decoder.layers.1.encoder_attn.kv/value_sums", "decoder.layers.2.encoder_attn.kv"),
    ("attend_causal", 0, "decoder.embed", "decoder.layers.0.self_attn"),
    ("exp2_softmax", 21, "decoder.layers.0.ffn", "decoder.layers.1.self_attn"),
    ("layer_norm_quantize_rows", 5, "decoder.layers.1.self_attn.out_proj", "decoder.layers.1.encoder_attn"),
    ("attend", 0, "decoder.layers.2.self_attn.out_proj", "decoder.layers.2.encoder_attn"),
    ("linear", 20, "decoder.layers.2.encoder_attn", "decoder.layers.2.encoder_attn.out_proj"),
    ("gelu", 25, "decoder.layers.3.encoder_attn.out_proj", "decoder.layers.3.ffn"),
    ("linear", 0, "decoder.layers.3.ffn", "decoder.logits"),
    ("exp", 30, "decoder.logits", "text.no_speech_prob"),
    ("probabilities", 20, "text.avg_logprob", "decoder.align"),
];

/// The same for sound events.
const EVENTS_CASES: [(&str, u32, &str, &str); 7] = [
    ("convolve_plane", 25, "mel", "yamnet.stem"),
    ("depthwise", 5, "yamnet.stem", "yamnet.layers.0"),
    ("linear_u8", 25, "yamnet.layers.0", "yamnet.layers.1"),
    ("mean_rows", 25, "yamnet.layers.12", "yamnet.embedding"),
    ("quantize_unsigned_rows", 5, "yamnet.embedding", "yamnet.logits"),
    ("linear_u8", 20, "yamnet.embedding", "yamnet.logits"),
    ("sigmoid_all", 20, "yamnet.logits", "yamnet.scores"),
];

/// The same for networks from ONNX.
const NETWORK_CASES: [(&str, u32, &str, &str); 15] = [
    ("multiply_rows", 25, "input", "network.first"),
    ("activate", 25, "network.stem", "network.depth"),
    ("depthwise_map", 31, "network.stem", "network.depth"),
    ("pool_map", 25, "network.depth", "network.max"),
    ("quantize_offset_rows", 5, "network.mean", "network.point"),
    ("scale_channels", 25, "network.gate", "network.scaled"),
    ("add", 25, "network.scaled", "network.sum"),
    ("multiply", 25, "network.sum", "network.product"),
    ("affine_channels", 25, "network.product", "network.affine"),
    ("layer_norm_rows", 0, "network.placed", "network.norm"),
    ("attend", 0, "network.qkv", "network.heads"),
    ("quantize_patches", 5, "network.shuffled", "network.groups"),
    ("quantize_offset_patches", 5, "network.more", "network.grouped"),
    ("linear_u8", 25, "network.grouped", "network.grouped_too"),
    ("softmax_f32", 20, "network.total", "network.scores"),
];

/// The same for a voice.
const VOICE_CASES: [(&str, u32, &str, &str); 3] = [
    ("quantize_rows", 5, "hibari.prosody.blocks.0", "hibari.prosody.blocks.1"),
    ("depthwise_map", 31, "hibari.prosody.blocks.2", "hibari.prosody.blocks.3"),
    ("log_all", 20, "hibari.prosody.blocks.5", "hibari.curves"),
];

/// The same for voices whose channels are normalised over time.
const KOKORO_CASES: [(&str, u32, &str, &str); 3] = [
    ("channel_moments", 25, "kokoro.prosody.lstm", "kokoro.pitch.0.first.affine"),
    ("normalize_channels", 25, "kokoro.pitch.0.first.affine", "kokoro.pitch.0.first"),
    ("multiply_rows", 25, "kokoro.generator.1.blocks.1.1.second", "kokoro.samples"),
];

/// The same for sounds from text.
const SOUND_CASES: [(&str, u32, &str, &str); 5] = [
    ("linear", 25, "t5.layers.0.attention", "t5.layers.0.out"),
    ("layer_norm_quantize_rows", 5, "audiogen.embed", "audiogen.layers.0.self"),
    ("linear", 25, "audiogen.layers.1.forward", "audiogen.logits"),
    ("depthwise_map", 31, "spectral.open", "spectral.decoder.slow.0"),
    ("linear", 25, "spectral.decoder.slow.0", "spectral.split"),
];

#[test]
fn the_struck_operator_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = KERNELS.iter().find(|kernel| {
        let mut cases = CASES.iter().chain(&EVENTS_CASES).chain(&NETWORK_CASES).chain(&VOICE_CASES).chain(&KOKORO_CASES);
        cases.all(|case| case.0 != **kernel)
    });
    assert_eq!(missing, None, "every kernel has a case");
    named(&subject(), &CASES);
}

#[test]
fn the_struck_operator_of_sound_events_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let model = root().join("models-int8/yamnet");
    let (input, settings) = (root().join("samples/kitchen.wav"), json!({"hop_frames": 96}));
    let subject = Subject::with(&input, model.to_str().expect("UTF-8"), trace::DETECT, settings).expect("the bundled model");
    named(&subject, &EVENTS_CASES);
}

#[test]
fn the_struck_operator_of_a_network_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = toy::Folder::new("faults", &toy::config());
    fs::write(folder.0.join("labels.txt"), "a\nb\nc\nd\ne\n").expect("labels.txt");
    let preprocessor = r#"{"rescale_factor": 0.01, "image_mean": [1.2], "image_std": [0.7]}"#;
    fs::write(folder.0.join("preprocessor_config.json"), preprocessor).expect("preprocessor_config.json");
    let image = folder.0.join("image.ppm");
    let pixels = (0..3 * 8 * 10).map(|i| (i * i % 251) as u8);
    fs::write(&image, b"P6 8 10 255\n".iter().copied().chain(pixels).collect::<Vec<u8>>()).expect("image.ppm");
    let subject = Subject::with(&image, folder.0.to_str().expect("UTF-8"), trace::LABEL, json!({})).expect("the folder");
    let trace = record(&subject, fastest_two().1, 1).expect("run");
    assert!(matches!(replay(&trace, &subject, fastest_two().0, 3).expect("replay"), Verdict::Identical { .. }));
    named(&subject, &NETWORK_CASES);
}

#[test]
fn the_struck_operator_of_a_voice_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = std::env::temp_dir().join(format!("ossicle-faults-{}.txt", std::process::id()));
    fs::write(&file, "ðə lˈIt ɪn ðə kˈɪʧᵊn ɪz ˌɔn.\nwˈʌn.\n").expect("a file");
    let (model, settings) = (root().join("models-int8/hibari"), json!({"speed": 1.0, "seed": 7}));
    let subject = Subject::with(&file, model.to_str().expect("UTF-8"), trace::SPEAK, settings).expect("the bundled voice");
    let trace = record(&subject, fastest_two().1, 1).expect("run");
    assert!(trace.descriptors.iter().any(|descriptor| descriptor.op == "hibari.samples"));
    assert!(matches!(replay(&trace, &subject, fastest_two().0, 3).expect("replay"), Verdict::Identical { .. }));
    named(&subject, &VOICE_CASES);
    fs::remove_file(&file).expect("a file");
}

#[test]
fn the_struck_operator_of_mixed_voices_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (model, file) = (toy::kokoro::folder(), std::env::temp_dir().join(format!("ossicle-mixed-{}.txt", std::process::id())));
    fs::write(&file, "kitchen lamp, on.\nten.\n").expect("a file");
    let settings = json!({"speed": 1.0, "seed": 0, "voices": "one:0.7,two:0.3"});
    let subject = Subject::with(&file, model.0.to_str().expect("UTF-8"), trace::SPEAK, settings).expect("the toy voices");
    let trace = record(&subject, fastest_two().1, 1).expect("run");
    assert!(trace.descriptors.iter().any(|descriptor| descriptor.op == "kokoro.samples"));
    assert!(matches!(replay(&trace, &subject, fastest_two().0, 3).expect("replay"), Verdict::Identical { .. }));
    named(&subject, &KOKORO_CASES);
    fs::remove_file(&file).expect("a file");
}

#[test]
fn the_struck_operator_of_a_sound_is_named() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (model, file) = (toy::sounds::of_spectra(), std::env::temp_dir().join(format!("ossicle-prompts-{}.txt", std::process::id())));
    fs::write(&file, "a dog barks\n").expect("a file");
    // A frame is 20 ms, chunks are of 16.
    let settings = json!({"seconds": 0.4, "seed": 3, "guidance": 2.0, "temperature": 0.0, "top_k": 0, "top_p": 0.0});
    let subject = Subject::with(&file, model.0.to_str().expect("UTF-8"), trace::GENERATE, settings).expect("the toy model");
    let trace = record(&subject, fastest_two().1, 1).expect("run");
    assert!(trace.descriptors.iter().any(|descriptor| descriptor.op == "spectral.samples"));
    assert!(matches!(replay(&trace, &subject, fastest_two().0, 3).expect("replay"), Verdict::Identical { .. }));
    named(&subject, &SOUND_CASES);
    fs::remove_file(&file).expect("a file");
}

fn named(subject: &Subject, cases: &[(&'static str, u32, &'static str, &'static str)]) {
    // The fault is on the one, the replay on the other, turn by turn.
    let (first, last) = fastest_two();
    for (i, &(kernel, bit, after, op)) in cases.iter().enumerate() {
        let (struck, other) = if i % 2 == 0 { (last, first) } else { (first, last) };
        let fault = Fault { kernel, isa: struck.name(), call: 0, element: 0, bit };
        let trace = traced(subject, struck, after, move || fault::plant(fault));
        assert!(fault::clear(), "{kernel} after {after} on {struck} was not struck");
        let Verdict::Differs { finding, values } = replay(&trace, subject, other, 1).expect("replay") else {
            panic!("{kernel} in {op} on {struck}: the replay on {other} found nothing");
        };
        let mut text = Vec::new();
        report::finding(&mut text, &trace, &finding, Sides { traced: "traced", here: "here" }, 16).expect("memory");
        let text = String::from_utf8(text).expect("UTF-8");
        let name = finding.name().unwrap_or_default();
        let named = name == op || name.strip_prefix(op).is_some_and(|part| part.starts_with('/'));
        assert!(named, "{kernel} was struck in {op} on {struck}, the replay on {other} names:\n{text}");
        assert!(text.starts_with(&format!("first differing tensor: {name} ")), "{text}");
        // Without the fault no instruction set here gives the traced values.
        assert_eq!(values, ValuesFrom::NotRepeated);
        println!("{kernel} on {struck}: {}", text.lines().next().unwrap_or_default());
    }
}

#[test]
fn a_fault_that_stays_shows_its_size_and_spread() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (other, struck) = fastest_two();
    if struck == other {
        println!("SKIPPED: this CPU has one instruction set, so no second one shows the difference");
        return;
    }
    let subject = subject();
    // A first run counts which call of the kernel belongs to the operator.
    let never = Fault { kernel: "gelu", isa: struck.name(), call: u64::MAX, element: 0, bit: 25 };
    fault::plant(never);
    let call = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&call);
    traced(&subject, struck, "encoder.layers.1.self_attn.out_proj", move || *seen.lock().expect("no panic") = fault::calls());
    let call = *call.lock().expect("no panic");
    assert!(call > 0 && !fault::clear());

    // It strikes each run on its instruction set in the same place, as a wrong kernel would.
    fault::plant(Fault { call, ..never });
    let trace = record(&subject, struck, 1).expect("run");
    assert!(fault::clear());
    fault::plant(Fault { call, ..never });
    let verdict = replay(&trace, &subject, other, 1).expect("replay");
    assert!(fault::clear());
    let Verdict::Differs { finding, values } = verdict else { panic!("nothing found") };
    assert_eq!(finding.name().as_deref(), Some("encoder.layers.1.ffn"));
    assert_eq!(values, ValuesFrom::Repeated);
    let first = finding.first.expect("a tensor");
    let by = |row: usize| match first.rows[row].1 {
        Spread::By(difference) => difference,
        other => panic!("row {row}: {other:?}"),
    };
    // One inner value of one position: at most that position's row differs, and the layers behind carry it to all others.
    let width = *first.rows[0].0.shape.last().expect("a width");
    assert!((1..=width).contains(&by(0).differing), "{:?}", by(0));
    assert!(by(0).ulp.expect("f32") > 0 && by(0).largest > 0.0);
    let out_proj = first.rows.iter().position(|(descriptor, _)| descriptor.op == "encoder.layers.2.self_attn.out_proj").expect("layer 2");
    assert!(by(out_proj).differing > by(0).differing, "{:?} {:?}", by(0), by(out_proj));
    assert!(first.traced.is_some() && first.here.is_some());
    let mut text = Vec::new();
    let finding = ossicle_sim::finding::Finding { first: Some(first), parting: None };
    report::finding(&mut text, &trace, &finding, Sides { traced: "traced", here: "here" }, 4).expect("memory");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("layer 1 of the encoder") && text.contains(" ulp\n"), "{text}");
    println!("{text}");
}
