//! What a program of somebody else's writes, with names of the root alone.

use ossicle::events::{Heard, Settings};
use ossicle::{Audio, Commands, Detector, Options, TranscribeOptions, Transcriber, Voice, models};

/// Where `samples` and `models-int8` lie.
fn at_the_root() {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("the workspace");
}

#[test]
fn segments_are_those_of_the_callback() {
    at_the_root();
    let mut transcriber = Transcriber::open("whisper-tiny.en-short", Options::default().threads(2)).expect("the bundled model");
    let samples = Audio::open("samples/kitchen.wav").expect("the sample").read_to_end().expect("samples");
    // Longer than a window, so that there is something to stop before.
    let long = [samples.as_slice(), &vec![0.0; 16_000 * 40], &samples].concat();
    let options = TranscribeOptions::default();
    let mut told = vec![];
    let summary = transcriber.transcribe(&long, &options, &mut |segment| told.push(segment)).expect("text");
    assert!(told.len() >= 2, "{told:?}");

    let mut source = &long[..];
    let mut segments = transcriber.segments(&mut source, &options).expect("fitting options");
    let first = segments.next().expect("a segment").expect("text");
    assert_eq!((&first, segments.summary().is_none()), (&told[0], true));
    // What nobody asks for is not computed: much of the recording has not been read.
    drop(segments);
    assert!(source.len() > 16_000, "{} samples left", source.len());

    let mut source = &long[..];
    let mut segments = transcriber.segments(&mut source, &options).expect("fitting options");
    let all: Vec<_> = segments.by_ref().map(|segment| segment.expect("text")).collect();
    assert_eq!(all, told);
    let own = segments.summary().expect("the end was reached");
    assert_eq!((own.duration, own.language.as_deref()), (summary.duration, summary.language.as_deref()));
    assert!(segments.next().is_none());

    let not_finite = vec![f32::NAN; 16_000];
    let mut source = &not_finite[..];
    let mut segments = transcriber.segments(&mut source, &options).expect("fitting options");
    assert!(segments.next().expect("an error").is_err() && segments.next().is_none());
}

#[test]
fn sounds_are_those_of_the_callback() {
    at_the_root();
    let model = models::find("sound-events").expect("the bundled model");
    let settings = Settings::of_model(&model).expect("its settings");
    let mut detector = Detector::open(&model, &settings, ossicle::events::Options::default()).expect("a detector");
    let samples = Audio::open("samples/sounds.wav").expect("the sample").read_to_end().expect("samples");
    let mut told = vec![];
    let mut keep = |heard: Heard<'_>| {
        if let Heard::Event(event) = heard {
            told.push(event);
        }
    };
    detector.push(&samples, &mut keep).expect("scores");
    detector.finish(&mut keep).expect("the end");
    assert!(!told.is_empty());
    // One that is dropped leaves nothing behind.
    assert!(detector.events(&mut &samples[..]).next().is_some());
    let all: Vec<_> = detector.events(&mut &samples[..]).map(|event| event.expect("an event")).collect();
    assert_eq!(all, told);
}

#[test]
fn commands_come_from_packs_and_files() {
    at_the_root();
    let mut commands = Commands::open("whisper-tiny.en-short", "home", Options::default()).expect("the pack");
    let mut heard = |file: &str| commands.recognise(&mut Audio::open(file).expect("the sample")).expect("a recognition");
    let command = heard("samples/lights.wav").command.expect("a command");
    assert_eq!(command.meaning.name, "HassTurnOff");
    assert!(heard("samples/sounds.wav").command.is_none());
    let hour = vec![0.0; 16_000 * 31];
    assert_eq!(commands.recognise(&mut &hour[..]).expect_err("31 s").to_string(), "longer than 30 s");
    for (sentences, wanted) in [("no-such.yaml", "no-such.yaml: "), ("samples/cat.jpg", "samples/cat.jpg: not a text")] {
        let error = Commands::open("whisper-tiny.en-short", sentences, Options::default()).map(drop).expect_err(wanted).to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
    let error = Commands::open("no-such-model", "home", Options::default()).map(drop).expect_err("no model").to_string();
    assert!(error.starts_with("model no-such-model not found in"), "{error}");
}

#[test]
fn a_voice_speaks_by_name() {
    at_the_root();
    let mut voice = Voice::open(&models::find("hibari").expect("the bundled voice"), Options::default()).expect("a voice");
    let speech = voice.speak("The light is on.", ossicle::speak::Settings::default()).expect("phonemes");
    let samples: usize = speech.map(|samples| samples.expect("samples").len()).sum();
    assert!((12_000..60_000).contains(&samples), "{samples}");
}
