use std::path::Path;

use super::super::fake::Script;
use super::super::pipeline::tests::{pipeline, said};
use super::super::transcript::{DropReason, Dropped};
use super::*;
use crate::audio::AudioReader;

/// Real speech of 3.9 s: the detector does not take noise for it.
fn kitchen() -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav");
    let mut reader = AudioReader::open(&path).unwrap();
    let (mut samples, mut block) = (vec![], [0.0; 4096]);
    while let n @ 1.. = reader.read(&mut block).unwrap() {
        samples.extend_from_slice(&block[..n]);
    }
    samples
}

fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; (16000.0 * seconds) as usize]
}

struct Run {
    /// Of each encoder run.
    frames: Vec<usize>,
    segments: Vec<Segment>,
    dropped: Vec<Dropped>,
    summary: Summary,
}

fn run_with(mut pipeline: Pipeline<super::super::fake::Fake>, parts: &[Vec<f32>], options: &TranscribeOptions) -> Run {
    let samples = parts.concat();
    let (mut segments, mut dropped) = (vec![], vec![]);
    let mut tell = |told| match told {
        Told::Segment(segment) => segments.push(segment),
        Told::Dropped(text) => dropped.push(text),
        Told::Event(event) => panic!("{event:?}"),
    };
    let summary = pipeline.transcribe_with(&mut &samples[..], options, None, &mut tell).unwrap();
    Run { frames: pipeline.engine().frames.clone(), segments, dropped, summary }
}

fn run(scripts: Vec<Script>, parts: &[Vec<f32>]) -> Run {
    run_with(pipeline(scripts), parts, &TranscribeOptions::default())
}

/// Each start lies within a fifth of a second of what is expected.
fn assert_starts(run: &Run, expected: &[f64]) {
    let starts: Vec<f64> = run.segments.iter().map(|segment| segment.start).collect();
    let near = starts.len() == expected.len() && starts.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.2);
    assert!(near, "{starts:?}, not {expected:?}");
}

#[test]
fn a_window_begins_shortly_before_speech_and_its_times_with_it() {
    let run = run(vec![Script::says(&said(0, &[1, 2], 360))], &[silence(12.0), kitchen(), silence(40.0)]);
    assert_starts(&run, &[12.0]);
    assert_eq!((run.frames.len(), run.summary.stats.windows), (1, 1));
    assert!(run.frames[0] <= 1000, "{:?}", run.frames);
    assert!((1170..1200).contains(&run.segments[0].seek), "{}", run.segments[0].seek);
    assert!((run.summary.duration - 55.9).abs() < 0.1);
}

#[test]
fn speech_after_a_long_pause_has_a_window_of_its_own_wherever_it_lies() {
    let scripts = || vec![Script::says(&said(0, &[1, 2], 360))];
    for pause in [2.5, 22.0, 27.0, 28.5, 31.0] {
        let run = run(scripts(), &[kitchen(), silence(pause), kitchen(), silence(pause), kitchen()]);
        assert_starts(&run, &[0.1, 4.0 + pause, 7.9 + 2.0 * pause]);
        assert!(run.frames.iter().all(|&frames| frames <= 1000), "{pause}: {:?}", run.frames);
    }
}

#[test]
fn what_a_text_does_not_reach_is_heard_again() {
    let short = Script::says(&said(0, &[1, 2], 360));
    let again = run(vec![short.clone(), short], &[kitchen(), silence(1.2), kitchen()]);
    assert_starts(&again, &[0.1, 5.1]);
    let whole = Script::says(&[said(0, &[1, 2], 360), said(520, &[3, 4], 860)].concat());
    let reached = run(vec![whole], &[kitchen(), silence(1.2), kitchen()]);
    assert_eq!((reached.segments.len(), reached.frames.len()), (2, 1));
}

#[test]
fn a_window_whose_text_repeats_itself_is_parted_in_a_pause() {
    let looping = Script::says(&[vec![60], [1, 2, 3].repeat(80)].concat());
    let good = Script::says(&said(0, &[1, 2, 3], 360));
    let run = run(vec![looping, good.clone(), good], &[kitchen(), silence(0.8), kitchen()]);
    assert_eq!(run.frames.len(), 3, "{:?}", run.frames);
    assert!(run.frames[1] < run.frames[0] && run.frames[2] < run.frames[0], "{:?}", run.frames);
    assert_eq!((run.segments.len(), run.summary.stats.fallbacks), (2, 0));
}

#[test]
fn a_sentence_said_twice_is_kept_and_one_written_twice_is_not() {
    let sentence = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let twice = [said(0, &sentence, 160), said(160, &sentence, 360)].concat();
    let texts = |attends: fn(usize) -> usize| {
        let mut pipeline = pipeline(vec![Script::says(&twice), Script::says(&[])]);
        pipeline.engine_mut().attends = attends;
        let run = run_with(pipeline, &[kitchen()], &TranscribeOptions::default());
        run.segments.into_iter().map(|segment| segment.text).collect::<Vec<_>>()
    };
    let [one, other] = [" w1 w2 w3 w4 w5 w6 w7 w8 w9"; 2];
    assert_eq!(texts(|token| token), [one, other]);
    // The prompt has four tokens, so the first of the text is predicted by the fourth.
    assert_eq!(texts(|token| if token < 12 { token } else { token - 9 }), [one]);
}

/// Speech without a pause, in which a phrase is said over and over.
fn over_and_over(times: usize, attends: fn(usize) -> usize, options: &TranscribeOptions) -> Run {
    let text = [vec![60], [1, 2, 3, 4, 5, 6].repeat(times), vec![60 + 180]].concat();
    let mut pipeline = pipeline(vec![Script::says(&text)]);
    pipeline.engine_mut().attends = attends;
    run_with(pipeline, &long_enough(), options)
}

/// Each token of the fake's lies 0.2 s after the one before it.
fn long_enough() -> [Vec<f32>; 4] {
    [kitchen(), kitchen(), kitchen(), kitchen()]
}

/// The window is not parted, nor tried again in another size.
fn without_pauses() -> TranscribeOptions {
    TranscribeOptions { vad: None, window_retries: 0, ..TranscribeOptions::default() }
}

#[test]
fn what_is_said_over_and_over_is_written_as_often() {
    // Ten times: the decoder's guard stops it after five, and it starts anew.
    let run = over_and_over(10, |token| token, &without_pauses());
    let [segment] = &run.segments[..] else { panic!("{:?}", run.segments) };
    assert_eq!(segment.text.matches(" w1").count(), 10);
    assert!(segment.compression_ratio > 2.4, "kept although it compresses well");
    assert_eq!((run.summary.stats.fallbacks, run.dropped.len(), run.frames.len()), (0, 0, 1));
}

#[test]
fn what_the_decoder_says_over_and_over_by_itself_is_not_kept_so() {
    // Each copy lies where the first one does. The fake says the same at every temperature.
    let run = over_and_over(10, |token| 4 + (token + 2) % 6, &without_pauses());
    assert_eq!(run.summary.stats.fallbacks, 5);
    // Six times were said, the other four repeat the sixth: the next window begins there.
    let cut = over_and_over(10, |token| if token < 39 { token } else { 33 + (token - 3) % 6 }, &without_pauses());
    assert!(cut.segments[1].seek >= 700, "{}", cut.segments[1].seek);
    assert_eq!(cut.segments[0].text.matches(" w1").count(), 6, "{}", cut.segments[0].text);
}

#[test]
fn a_prompt_stands_before_the_second_attempt_too() {
    let prompt = TranscribeOptions { initial_prompt: Some("w3 w4".into()), ..without_pauses() };
    let text = [vec![60], [1, 2, 3, 4, 5, 6].repeat(10), vec![60 + 180]].concat();
    let mut pipeline = pipeline(vec![Script::says(&text)]);
    pipeline.transcribe(&mut &long_enough().concat()[..], &prompt, &mut |_| ()).unwrap();
    // The alignment of what came of it was the last thing but the prompt, which what follows would go on from.
    assert_eq!(pipeline.engine().fed(), [57, 51, 52, 55]);
}

#[test]
fn what_is_dropped_is_told() {
    let doubtful = Script::says(&said(0, &[1, 2, 3, 4], 360)).confidence(2.0).no_speech(11.0);
    let run1 = run(vec![doubtful], &[silence(12.0), kitchen()]);
    let [dropped] = &run1.dropped[..] else { panic!("{:?}", run1.dropped) };
    assert_eq!((dropped.reason, dropped.text.as_str(), run1.summary.dropped), (DropReason::NoSpeech, " w1 w2 w3 w4", 1));
    assert!((dropped.start - 12.1).abs() < 0.2 && dropped.end > 14.0 && dropped.avg_logprob < -1.0, "{dropped:?}");
    assert_eq!(run1.segments, []);
    let wordless = Script::says(&[]).no_speech(20.0);
    assert_eq!(run(vec![wordless], &[kitchen()]).dropped, [], "no words were lost");
}

#[test]
fn without_the_detector_windows_tile_the_recording() {
    let options = TranscribeOptions { vad: None, window: super::super::window::Window::Full, ..TranscribeOptions::default() };
    let mut samples = silence(45.0);
    samples.extend(kitchen());
    let run = run_with(pipeline(vec![Script::says(&said(0, &[1], 360))]), &[samples], &options);
    assert_eq!((run.summary.stats.silent_windows, run.frames), (1, vec![3000]));
    assert_eq!(run.segments[0].start, 30.0);
}
