//! Golden files: one folder a case, a recording from the samples, and what every stage must give, bit for bit, on every instruction set and
//! number of threads. `OSSICLE_BLESS=1 cargo test --release -p ossicle-tests` writes them anew; `git diff` shows what changed.

mod said;

use std::fs;
use std::path::{Path, PathBuf};

use ossicle::audio::AudioReader;
use ossicle::classify::{Classifier, Labels};
use ossicle::embed;
use ossicle::events::{self, Detector, EncodedEvents, Event, Heard, Settings};
use ossicle::find::TextEncoder;
use ossicle::label::{self, Image, Labeller};
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle::whisper::transcript::Told;
use ossicle_kernels::simd::Isa;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn samples(name: &str) -> Vec<f32> {
    let path = root().join("samples").join(name);
    AudioReader::open(path).and_then(|mut reader| reader.read_to_end()).expect("the sample")
}

/// Digests, segments and words of one recording.
fn transcribe(samples: &[f32], options: Options) -> Value {
    let mut transcriber = Transcriber::open_folder(&root().join("models-int8/whisper-tiny.en"), options).expect("the bundled model");
    let wanted = TranscribeOptions { word_timestamps: true, digests: true, ..TranscribeOptions::default() };
    let mut segments = vec![];
    let summary = transcriber
        .transcribe(samples, &wanted, &mut |segment| {
            let words: Vec<Value> = segment
                .words
                .iter()
                .flatten()
                .map(|word| json!([word.word, format!("{:.2}", word.start), format!("{:.2}", word.end)]))
                .collect();
            segments.push(json!({ "text": segment.text, "tokens": segment.tokens, "words": words }));
        })
        .expect("transcription");
    let digests = summary.digests.expect("digests were asked for");
    json!({
        "digests": { "mel": digests.mel, "encoder": digests.encoder, "logits": digests.logits, "tokens": digests.tokens },
        "segments": segments,
    })
}

/// Digests and events of one recording, every label a class.
fn detect(model: &str, samples: &[f32], isa: Isa, threads: usize) -> Value {
    let options = events::Options { isa, threads, digests: true, ..events::Options::default() };
    let mut detector = Detector::open(&root().join("models-int8").join(model), &Settings::default(), options).expect("the bundled model");
    let mut found = vec![];
    let mut sink = |heard: Heard<'_>| {
        if let Heard::Event(event) = heard {
            found.push(event);
        }
    };
    detector.push(samples, &mut sink).expect("scores");
    detector.finish(&mut sink).expect("scores");
    json!({ "digests": detector.take_digests(), "events": written(&found) })
}

/// Events to the last bit.
fn written(events: &[Event]) -> Vec<Value> {
    let bits = |x: f32| format!("{:08x}", x.to_bits());
    events.iter().map(|e| json!([e.class, e.start, e.end, bits(e.peak), bits(e.mean)])).collect()
}

/// Digest and events of one recording by the head on Whisper's encoder, every label a class.
fn transcribe_with_events(samples: &[f32], options: Options) -> Value {
    let models = root().join("models-int8");
    let (head, whisper) = (models.join("whisper-events"), models.join("whisper-tiny.en"));
    let run = ossicle_models::Options { isa: options.isa, threads: options.threads };
    let mut events = EncodedEvents::open(&head, &whisper, &Settings::default(), &[], run).expect("the bundled head");
    let mut transcriber = Transcriber::open_folder(&whisper, options).expect("the bundled model");
    let wanted = TranscribeOptions { digests: true, ..TranscribeOptions::default() };
    let mut found = vec![];
    let mut source = samples;
    let summary = transcriber
        .transcribe_with(&mut source, &wanted, Some(&mut events), &mut |told| {
            if let Told::Event(event) = told {
                found.push(event);
            }
        })
        .expect("transcription");
    assert_eq!(summary.events, Some(found.len()));
    let digests = summary.digests.expect("digests were asked for");
    json!({ "digests": { "encoder": digests.encoder, "events": digests.events }, "events": written(&found) })
}

/// Vectors of some sentences: the digest of all bits, and the first values to look at.
fn encode(isa: Isa, threads: usize) -> Value {
    let mut encoder = TextEncoder::open(&root().join("models-int8/minilm"), isa, threads).expect("the bundled model");
    let long = "The old dog barked at the postman, then slept. ".repeat(6);
    let mut digest = Digester::default();
    let mut first = vec![];
    for text in ["rain", "A dog barking.", "glass breaking on the kitchen floor, na\u{ef}ve caf\u{e9}", &long] {
        let vector = encoder.encode(text).expect("a vector");
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{text}: length {length}");
        digest.update(vector);
        first.push(json!([text, format!("{:08x}", vector[0].to_bits())]));
    }
    json!({ "digest": digest.finish(), "first": first })
}

/// SHA-256 of values.
#[derive(Default)]
struct Digester(Vec<u8>);

impl Digester {
    fn update(&mut self, values: &[f32]) {
        values.iter().for_each(|x| self.0.extend(x.to_le_bytes()));
    }

    fn finish(self) -> String {
        ossicle_trace::hex(&Sha256::digest(&self.0))
    }
}

/// The file of a case.
fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// What a case has to give, made anew if asked.
fn expected(name: &str, make: impl Fn(Isa, usize) -> Value) -> Value {
    let file = case(name);
    if std::env::var_os("OSSICLE_BLESS").is_some() {
        fs::write(&file, serde_json::to_string_pretty(&make(Isa::detect(), 1)).expect("JSON") + "\n").expect("write");
    }
    serde_json::from_str(&fs::read_to_string(&file).expect("the golden file")).expect("JSON")
}

/// Compares a case on every instruction set, with one thread and with two; returns what it has to give.
fn everywhere(name: &str, make: impl Fn(Isa, usize) -> Value) -> Value {
    let expected = expected(name, &make);
    for isa in Isa::available() {
        for threads in [1, 2] {
            assert_eq!(make(isa, threads), expected, "{name}: {isa} with {threads} threads");
        }
    }
    expected
}

#[test]
fn sentences_give_the_recorded_bits_everywhere() {
    everywhere("sentences/minilm.json", encode);
}

/// Digest of a picture's scores, and the five largest to the last bit.
fn label(image: &Image, isa: Isa, threads: usize) -> Value {
    let options = label::Options { isa, threads };
    let mut labeller = Labeller::open(&root().join("models-int8/efficientnet-lite0"), options).expect("the bundled model");
    let scores = labeller.image(image).expect("scores").to_vec();
    let mut hash = Sha256::new();
    scores.iter().for_each(|score| hash.update(score.to_le_bytes()));
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let top: Vec<Value> = order[..5].iter().map(|&at| json!([labeller.labels()[at], format!("{:08x}", scores[at].to_bits())])).collect();
    let words = Labels::new(["cat", "dog", "car"].map(str::to_owned).to_vec());
    let options = embed::Options { isa, threads, ..embed::Options::default() };
    let mut classifier = Classifier::open(&root().join("models-int8/efficientnet-lite0"), &words, options).expect("the bundled model");
    let by_words: Vec<String> =
        classifier.classify(image).expect("scores").iter().map(|score| format!("{:08x}", score.to_bits())).collect();
    json!({ "scores": digest, "top": top, "by_words": by_words })
}

#[test]
fn a_picture_gives_the_recorded_bits_everywhere() {
    let image = Image::read(&root().join("samples/cat.jpg")).expect("the sample");
    let expected = everywhere("cat/expected.json", |isa, threads| label(&image, isa, threads));
    assert!(expected["top"].as_array().is_some_and(|top| top.iter().any(|entry| entry[0] == "tabby")));
}

#[test]
fn events_beside_text_give_the_recorded_bits_everywhere() {
    let samples = samples("kitchen.wav");
    let make = |isa, threads| transcribe_with_events(&samples, Options { isa, threads });
    let expected = everywhere("kitchen/whisper-events.json", make);
    assert!(expected["events"].as_array().is_some_and(|events| events.iter().any(|event| event[0] == "speech")));
}

#[test]
fn sound_events_give_the_recorded_bits_everywhere() {
    let samples = samples("kitchen.wav");
    for (model, file) in [("yamnet", "kitchen/events.json"), ("sound-events", "kitchen/sound-events.json")] {
        let expected = everywhere(file, |isa, threads| detect(model, &samples, isa, threads));
        assert!(expected["events"].as_array().is_some_and(|events| !events.is_empty()));
    }
}

#[test]
fn every_stage_gives_the_recorded_bits_everywhere() {
    let samples = samples("kitchen.wav");
    let expected = expected("kitchen/expected.json", |isa, threads| transcribe(&samples, Options { isa, threads }));
    for name in Isa::NAMES {
        let Ok(isa) = Isa::from_name(name) else {
            println!("SKIPPED: this CPU lacks {name}");
            continue;
        };
        // The scalar twin takes minutes on emulated cores.
        let threads: &[usize] = match (std::env::var_os("OSSICLE_QUICK").is_some(), *name == "scalar") {
            (true, true) => &[1],
            (true, false) => &[1, 4],
            (false, true) => &[1, 2],
            (false, false) => &[1, 2, 3, 4],
        };
        for &threads in threads {
            let got = transcribe(&samples, Options { isa, threads });
            for stage in ["mel", "encoder", "logits", "tokens"] {
                assert_eq!(got["digests"][stage], expected["digests"][stage], "{stage} on {name} with {threads} threads");
            }
            assert_eq!(got, expected, "{name} with {threads} threads");
        }
    }
}
