//! Golden files of what spans windows, and of what is said: a long recording, a command, a voice, a sound from a description.

use ossicle::audio::AudioReader;
use ossicle::generate::{self, Request, SoundGenerator};
use ossicle::speak::Settings;
use ossicle::whisper::transcriber::Options;
use ossicle::{Commands, Voice};
use ossicle_kernels::simd::Isa;
use serde_json::{Value, json};

use crate::{Digester, everywhere, expected, root, samples, transcribe};

/// Seconds of the pauses between sentences of the long recording.
const PAUSE: usize = 3;

#[test]
fn a_recording_of_several_windows_gives_the_recorded_bits() {
    let (kitchen, lights) = (samples("kitchen.wav"), samples("lights.wav"));
    let mut long = vec![];
    while long.len() < 36 * 16_000 {
        for part in [&kitchen, &lights] {
            long.extend_from_slice(part);
            long.resize(long.len() + PAUSE * 16_000, 0.0);
        }
    }
    let make = |isa, threads| transcribe(&long, Options { isa, threads });
    let expected = expected("long/expected.json", make);
    assert!(expected["segments"].as_array().is_some_and(|segments| segments.len() > 4));
    for isa in Isa::available() {
        // The scalar twin is compared on each window of `kitchen`, and takes a minute here.
        if isa.name() != "scalar" {
            assert_eq!(make(isa, 2), expected, "{isa}");
        }
    }
}

/// The command in a recording, and what else it might have been, with confidences to the last bit.
fn command(isa: Isa, threads: usize) -> Value {
    let model = root().join("models-int8/whisper-tiny.en-short");
    let mut commands = Commands::open(&model.to_string_lossy(), "home", Options { isa, threads }).expect("the bundled model");
    let mut recording = AudioReader::open(root().join("samples/lights.wav")).expect("the sample");
    let found = commands.recognise(&mut recording).expect("a recognition");
    let readings = found.command.iter().chain(&found.alternatives);
    let readings: Vec<Value> =
        readings.map(|reading| json!([reading.meaning.name, reading.text, format!("{:08x}", reading.confidence.to_bits())])).collect();
    json!({ "heard": found.heard, "readings": readings })
}

#[test]
fn a_command_gives_the_recorded_bits_everywhere() {
    let expected = everywhere("lights/command.json", command);
    assert_eq!(expected["readings"][0][0], "HassTurnOff");
}

/// Samples of a spoken sentence.
fn speech(isa: Isa, threads: usize) -> Value {
    let mut voice = Voice::open(&root().join("models-int8/hibari"), ossicle::speak::Options { isa, threads }).expect("the bundled voice");
    let mut speech = voice.speak("It is 9:41 on May 3rd, and the light is on.", Settings::default()).expect("a text that can be said");
    let (mut digest, mut count) = (Digester::default(), 0);
    while let Some(samples) = speech.next_chunk().expect("samples") {
        digest.update(samples);
        count += samples.len();
    }
    json!({ "samples": count, "digest": digest.finish() })
}

#[test]
fn a_voice_gives_the_recorded_bits_everywhere() {
    let expected = everywhere("speech/hibari.json", speech);
    assert!(expected["samples"].as_u64().is_some_and(|count| count > 2 * 24_000));
}

/// Samples of a sound.
fn sound(isa: Isa, threads: usize) -> Value {
    let (folder, options) = (root().join("models-int8/effects"), generate::Options { isa, threads });
    let description = generate::describe(&folder, options, &["a dog barks"]).expect("the bundled encoder").remove(0);
    let request = Request { seed: 7, ..Request::new(&folder, 0.6).expect("a length") };
    let mut generator = SoundGenerator::open(&folder, options, request, description.rows()).expect("the bundled model");
    let (mut digest, mut count) = (Digester::default(), 0);
    let mut sink = |samples: &[f32]| {
        digest.update(samples);
        count += samples.len();
    };
    generator.generate(&description, request, &mut sink, &mut |_| true).expect("a sound");
    json!({ "samples": count, "digest": digest.finish() })
}

#[test]
fn a_sound_from_a_description_gives_the_recorded_bits_everywhere() {
    let expected = everywhere("dog/sound.json", sound);
    assert_eq!(expected["samples"], 9600);
}
