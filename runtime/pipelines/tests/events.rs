//! The detector with the real YAMNet: events do not depend on chunks, on instruction sets or on what was heard before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ossicle::audio::AudioReader;
use ossicle::events::{Detector, Digests, Event, EventsError, Heard, Options, Settings};
use ossicle_kernels::simd::Isa;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/yamnet")
}

/// Speech, a pause, a chirp that falls, a pause.
fn scene() -> Vec<f32> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav");
    let mut samples = AudioReader::open(sample).unwrap().read_to_end().unwrap();
    samples.resize(samples.len() + 24_000, 0.0);
    samples.extend((0..30_000).map(|n| {
        let t = f64::from(n) / 16_000.0;
        (0.3 * (6000.0 * t - 1200.0 * t * t).sin()) as f32
    }));
    samples.resize(samples.len() + 10_001, 0.0);
    samples
}

fn settings() -> Settings {
    Settings::parse("[default]\nthreshold = 0.2\nmerge_seconds = 0.3\nmin_seconds = 0.1\n", Path::new("test")).unwrap()
}

fn detector(isa: Isa, threads: usize, hop_frames: usize) -> Detector {
    let options = Options { isa, threads, hop_frames: Some(hop_frames), digests: true, ..Options::default() };
    Detector::open(&model(), &settings(), options).expect("the bundled model")
}

/// Events, each with a start that was told before.
fn events(detector: &mut Detector, samples: &[f32], chunk: usize) -> (Vec<Event>, Digests) {
    let (mut events, mut until, mut open) = (vec![], 0.0, BTreeMap::new());
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Start(on) => {
            // What is told lies behind.
            assert!(on.start < on.at && on.at <= until, "{on:?} at {until}");
            assert_eq!(open.insert(on.class.to_owned(), on.start), None, "{on:?}");
        }
        Heard::Repeat(on) => panic!("{on:?} by settings that repeat nothing"),
        Heard::Event(event) => {
            assert_eq!(open.remove(&event.class), Some(event.start), "{event:?}");
            events.push(event);
        }
        Heard::Scores(scores) => {
            assert_eq!(scores.start, until, "hops follow each other");
            until = scores.end;
        }
    };
    for chunk in samples.chunks(chunk) {
        detector.push(chunk, &mut sink).unwrap();
    }
    detector.finish(&mut sink).unwrap();
    assert!(open.is_empty(), "{open:?}");
    (events, detector.take_digests().unwrap())
}

#[test]
fn a_stream_has_the_events_of_the_file() {
    let samples = scene();
    for hop in [24, 48, 10] {
        let mut stream = detector(Isa::detect(), 1, hop);
        let whole = events(&mut stream, &samples, samples.len());
        let length = samples.len() as f64 / 16_000.0;
        assert!(whole.0.iter().any(|event| event.class == "Speech" && event.start < 1.0), "no speech in {:?}", whole.0);
        for Event { class, start, end, peak, mean } in &whole.0 {
            assert!(start + 0.1 <= *end && *end <= length, "{class} from {start} to {end} of {length}");
            assert!(mean <= peak && (0.2..=1.0).contains(peak), "{class}: mean {mean}, peak {peak}");
        }
        for chunk in [160, 1000, 15_600, 15_601, 40_000] {
            // The same detector goes on with the next recording.
            assert_eq!(events(&mut stream, &samples, chunk), whole, "chunks of {chunk}, hop {hop}");
        }
    }
}

fn head(isa: Isa, threads: usize) -> Detector {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/sound-events");
    let settings = Settings::parse("[default]\nthreshold = 0.2\nmerge_seconds = 0.16\n", Path::new("test")).unwrap();
    let options = Options { isa, threads, digests: true, ..Options::default() };
    Detector::open(&folder, &settings, options).expect("the bundled model")
}

#[test]
fn a_head_hears_the_same_in_a_stream_and_scores_every_cell() {
    let samples = scene();
    let mut stream = head(Isa::detect(), 1);
    assert_eq!(stream.hop_frames(), 32);
    let whole = events(&mut stream, &samples, samples.len());
    assert!(whole.0.iter().any(|event| event.class == "speech" && event.start < 1.0), "no speech in {:?}", whole.0);
    let length = samples.len() as f64 / 16_000.0;
    assert!(whole.0.iter().all(|event| event.start < event.end && event.end <= length), "{:?}", whole.0);
    for chunk in [160, 1000, 5121, 40_000] {
        assert_eq!(events(&mut stream, &samples, chunk), whole, "chunks of {chunk}");
    }
    for isa in Isa::available() {
        assert_eq!(events(&mut head(isa, 2), &samples, 4000), whole, "{isa}");
    }
    for len in [0, 1, 640, 641, 15_600, 20_001] {
        let (mut cells, mut end) = (0, 0.0);
        let mut sink = |heard: Heard<'_>| {
            if let Heard::Scores(scores) = heard {
                (cells, end) = (cells + 1, scores.end);
            }
        };
        stream.push(&vec![0.1; len], &mut sink).unwrap();
        stream.finish(&mut sink).unwrap();
        assert_eq!((cells, end), (len.div_ceil(640), len as f64 / 16_000.0), "{len} samples");
    }
}

/// Events by the rules of [`settings`] in plain loops: stretches of hops that begin at the threshold and stay above the release, joined
/// across small gaps, short ones dropped.
fn expected(hops: &[(f64, f64, f32)], end: f64) -> Vec<(f64, f64, f32)> {
    let (threshold, release) = (0.2, 0.2 * (2.0 / 3.0f32));
    let mut stretches: Vec<(f64, f64, f32)> = vec![];
    let mut open = false;
    for &(start, until, score) in hops {
        match stretches.last_mut() {
            Some(last) if open && score >= release => (last.1, last.2) = (until, last.2.max(score)),
            _ => {
                open = score >= threshold;
                if open {
                    stretches.push((start, until, score));
                }
            }
        }
    }
    if let Some(last) = stretches.last_mut().filter(|_| open) {
        last.1 = end;
    }
    let mut joined: Vec<(f64, f64, f32)> = vec![];
    for next in stretches {
        match joined.last_mut() {
            Some(last) if next.0 - last.1 <= 0.3 => (last.1, last.2) = (next.1, last.2.max(next.2)),
            _ => joined.push(next),
        }
    }
    joined.retain(|event| event.1 - event.0 >= 0.1);
    joined
}

#[test]
fn events_are_what_the_scores_say() {
    let samples = scene();
    let mut detector = detector(Isa::detect(), 1, 24);
    let (mut hops, mut events) = (vec![vec![]; detector.labels().len()], vec![]);
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Scores(heard) => {
            for (label, &score) in heard.scores.iter().enumerate() {
                hops[label].push((heard.start, heard.end, score));
            }
        }
        Heard::Event(event) => events.push(event),
        Heard::Start(_) | Heard::Repeat(_) => {}
    };
    detector.push(&samples, &mut sink).unwrap();
    detector.finish(&mut sink).unwrap();
    let end = samples.len() as f64 / 16_000.0;
    let mut count = 0;
    for (label, hops) in detector.labels().iter().zip(&hops) {
        let own: Vec<_> = events.iter().filter(|event| event.class == *label).map(|event| (event.start, event.end, event.peak)).collect();
        assert_eq!(own, expected(hops, end), "{label}");
        count += own.len();
    }
    assert!(count == events.len() && count > 3, "{events:?}");
}

#[test]
fn every_isa_and_any_threads_have_the_same_bits() {
    let samples = &scene()[..40_000];
    let wanted = events(&mut detector(Isa::from_name("scalar").unwrap(), 1, 48), samples, 4000);
    assert!(!wanted.0.is_empty());
    for isa in Isa::available() {
        for threads in [1, 2] {
            assert_eq!(events(&mut detector(isa, threads, 48), samples, 4000), wanted, "{isa}, {threads} threads");
        }
    }
}

#[test]
fn short_recordings_are_scored_once() {
    for len in [1, 399, 15_599, 15_600] {
        let (mut hops, mut end) = (0, 0.0);
        // Every label with any score is an event, which lasts as long as the recording.
        let anything = Settings::parse("[default]\nthreshold = 1e-6\n", Path::new("test")).unwrap();
        let mut detector = Detector::open(&model(), &anything, Options::default()).unwrap();
        let mut sink = |heard: Heard<'_>| match heard {
            Heard::Scores(_) => hops += 1,
            Heard::Event(event) => {
                assert_eq!(event.start, 0.0);
                end = event.end.max(end);
            }
            Heard::Start(_) | Heard::Repeat(_) => {}
        };
        detector.push(&vec![0.1; len], &mut sink).unwrap();
        detector.finish(&mut sink).unwrap();
        assert_eq!((hops, end), (1, len as f64 / 16_000.0), "{len} samples");
    }
    let mut nothing = detector(Isa::detect(), 1, 24);
    nothing.finish(&mut |_| panic!("something is heard in no samples")).unwrap();
}

#[test]
fn settings_change_while_it_listens() {
    let samples = scene();
    let mut detector = detector(Isa::detect(), 1, 24);
    let mut classes = vec![];
    let half = samples.len() / 4;
    detector.push(&samples[..half], &mut |_| {}).unwrap();
    let only = Settings::parse("[classes.talk]\nlabels = [\"Speech\"]\n", Path::new("test")).unwrap();
    let mut ended = vec![];
    detector
        .set_settings(&only, &mut |heard| {
            if let Heard::Event(event) = heard {
                ended.push(event);
            }
        })
        .unwrap();
    assert!(ended.iter().any(|event| event.class == "Speech"), "{ended:?}");
    assert!(ended.iter().all(|event| event.end <= half as f64 / 16_000.0));
    let mut sink = |heard: Heard<'_>| {
        if let Heard::Event(event) = heard {
            classes.push(event.class);
        }
    };
    detector.push(&samples[half..], &mut sink).unwrap();
    detector.finish(&mut sink).unwrap();
    assert_eq!(classes, ["talk"]);
    let wrong = Settings::parse("[classes.talk]\nlabels = [\"Talking\"]\n", Path::new("test")).unwrap();
    assert!(detector.set_settings(&wrong, &mut |_| {}).unwrap_err().to_string().contains("Talking"));
}

#[test]
fn what_cannot_be_used_is_refused() {
    let open = |folder: &Path, hop_frames| {
        Detector::open(folder, &Settings::default(), Options { hop_frames: Some(hop_frames), ..Options::default() })
    };
    for hop in [0, 1, 25, 98] {
        assert!(matches!(open(&model(), hop), Err(EventsError::Hop { frames }) if frames == hop));
    }
    let head = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/sound-events");
    assert!(matches!(open(&head, 24), Err(EventsError::HeadHop { frames: 24, only: 32 })));
    let whisper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/whisper-tiny.en");
    let Err(error) = open(&whisper, 24) else { panic!("a Whisper is no YAMNet") };
    assert!(error.to_string().contains("kind is \"whisper\", not \"yamnet\""), "{error}");
}
