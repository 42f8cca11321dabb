use super::super::fake::{Fake, Script};
use super::super::options::Quality;
use super::super::specials::tests::small;
use super::super::transcript::{Segment, Summary};
use super::super::window::Window;
use super::*;

/// `[0..10)` are " w0".." w9"; the rest of the small vocabulary has no text.
fn tokenizer_json() -> String {
    let pieces: Vec<String> = (0..10).map(|i| format!("\"Ġw{i}\": {i}")).collect();
    format!("{{\"model\": {{\"vocab\": {{{}}}}}}}", pieces.join(", "))
}

pub(crate) fn pipeline(scripts: Vec<Script>) -> Pipeline<Fake> {
    let config = GenerationConfig { suppress_tokens: vec![], begin_suppress_tokens: vec![], ..small() };
    Pipeline::with_config(Fake::new(scripts), config, tokenizer_json()).unwrap()
}

pub(crate) fn noise(seconds: f64) -> Vec<f32> {
    (0..(seconds * 16000.0) as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

struct Run {
    pipeline: Pipeline<Fake>,
    segments: Vec<Segment>,
    summary: Summary,
}

fn run(scripts: Vec<Script>, seconds: f64, options: &TranscribeOptions) -> Run {
    let samples = noise(seconds);
    let mut pipeline = pipeline(scripts);
    let mut segments = Vec::new();
    let summary = pipeline.transcribe(&mut &samples[..], options, &mut |segment| segments.push(segment)).unwrap();
    Run { pipeline, segments, summary }
}

/// The scripts speak whatever is heard, so nothing is taken for a pause.
fn auto() -> TranscribeOptions {
    TranscribeOptions { vad: None, ..TranscribeOptions::default() }
}

fn full() -> TranscribeOptions {
    TranscribeOptions { window: Window::Full, ..auto() }
}

/// Tokens of text between two timestamps, in hundredths of a second.
pub(crate) fn said(start: u32, words: &[u32], end: u32) -> Vec<u32> {
    [&[60 + start / 2], words, &[60 + end / 2]].concat()
}

fn spans(run: &Run) -> Vec<(f64, f64, &str)> {
    run.segments.iter().map(|s| (s.start, s.end, s.text.as_str())).collect()
}

#[test]
fn a_short_recording_is_one_window() {
    let run = run(vec![Script::says(&said(20, &[1, 2], 240))], 3.0, &full());
    assert_eq!(spans(&run), [(0.2, 2.4, " w1 w2")]);
    assert_eq!(run.pipeline.engine().frames, [3000]);
    assert_eq!(run.summary.language.as_deref(), Some("en"));
    assert_eq!((run.summary.duration, run.summary.segments, run.summary.stats.windows), (3.0, 1, 1));
    assert_eq!(run.segments[0].tokens, said(20, &[1, 2], 240));
    assert_eq!(run.summary.digests, None);
}

#[test]
fn long_recordings_are_sought_by_timestamps() {
    let first = [said(0, &[1], 1000), said(1000, &[2], 2500), said(2500, &[3], 2900), vec![60 + 1450, 4]].concat();
    let second = [said(100, &[4, 5], 2000), said(2000, &[6], 2800)].concat();
    let third = said(0, &[7], 300);
    let scripts = [first, second, third].iter().map(|tokens| Script::says(tokens)).collect();
    let run = run(scripts, 65.0, &full());
    assert_eq!(
        spans(&run),
        [(0.0, 10.0, " w1"), (10.0, 25.0, " w2"), (25.0, 29.0, " w3"), (30.0, 49.0, " w4 w5"), (49.0, 57.0, " w6"), (59.0, 62.0, " w7"),]
    );
    let seeks: Vec<u64> = run.segments.iter().map(|s| s.seek).collect();
    assert_eq!(seeks, [0, 0, 0, 2900, 2900, 5900]);
    assert_eq!(run.segments.iter().map(|s| s.id).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn segments_end_inside_the_recording() {
    let run = run(vec![Script::says(&said(0, &[1], 500))], 2.5, &full());
    assert_eq!(spans(&run), [(0.0, 2.5, " w1")]);
}

#[test]
fn a_small_window_that_loops_gives_way_to_the_next() {
    let looping = Script::says(&[vec![60], [1, 2, 3].repeat(80)].concat());
    let good = Script::says(&said(0, &[1, 2, 3], 100));
    let scripts = vec![looping.clone(), good];
    let ok = run(scripts, 0.8, &auto());
    assert_eq!(ok.pipeline.engine().frames, [600, 800]);
    assert_eq!(spans(&ok), [(0.0, 0.8, " w1 w2 w3")]);
    assert_eq!((ok.summary.stats.window_retries, ok.summary.stats.fallbacks), (1, 0));

    let one_more = run(vec![looping.clone()], 0.8, &auto());
    assert_eq!(one_more.pipeline.engine().frames, [600, 800], "only one retry");
    let never = TranscribeOptions { window: Window::Seconds(5), ..auto() };
    assert_eq!(run(vec![looping], 0.8, &never).pipeline.engine().frames, [500], "a given window stays");
}

#[test]
fn unlikely_text_is_tried_at_each_temperature_and_then_the_likeliest_kept() {
    let options = full();
    let run = run(vec![Script::says(&said(0, &[1, 2, 3], 100)).confidence(2.0)], 3.0, &options);
    assert_eq!(run.summary.stats.fallbacks, 5);
    assert_eq!(run.segments[0].temperature, 0.0, "greedy was the likeliest of all");
}

#[test]
fn text_that_stays_far_from_likely_is_dropped() {
    // Its mean is between -2 and -1.
    let script = Script::says(&said(0, &[1, 2, 3], 100)).confidence(2.0);
    for (least, segments) in [(-1.0, 1), (-0.5, 0)] {
        let mut options = full();
        options.quality.min_avg_logprob = least;
        let run = run(vec![script.clone()], 3.0, &options);
        assert_eq!((run.segments.len(), run.summary.stats.fallbacks), (segments, 5), "{least}");
    }
}

#[test]
fn of_retried_windows_the_surest_silence_counts() {
    let looping = Script::says(&[vec![60], [1, 2, 3].repeat(80)].concat());
    let unlikely = Script::says(&said(0, &[1, 2, 3], 100)).confidence(2.0);
    let heard = |first: Script| {
        let run = run(vec![first, unlikely.clone()], 0.8, &auto());
        (run.segments.len(), run.summary.stats.window_retries, run.summary.stats.fallbacks)
    };
    assert_eq!(heard(looping.clone().no_speech(30.0)), (0, 1, 0));
    assert_eq!(heard(looping), (1, 1, 5));
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let options = TranscribeOptions { digests: true, ..full() };
    let script = || vec![Script::says(&said(0, &[1, 2, 3], 100)).confidence(2.0)];
    let (a, b) = (run(script(), 3.0, &options), run(script(), 3.0, &options));
    assert_eq!(a.summary.digests, b.summary.digests);
    assert!(a.summary.digests.is_some());
    let mut other = options.clone();
    other.quality.seed = 7;
    assert_ne!(run(script(), 3.0, &other).summary.digests, a.summary.digests);
}

#[test]
fn silence_says_nothing() {
    let words = said(0, &[1, 2, 3, 4], 100);
    let unlikely = Script::says(&words).confidence(2.0).no_speech(11.0);
    let run1 = run(vec![unlikely], 3.0, &full());
    assert_eq!((run1.segments.len(), run1.summary.stats.fallbacks), (0, 0), "unlikely and no speech: no further attempts");

    let likely = run(vec![Script::says(&words).confidence(4.0).no_speech(10.0)], 3.0, &full());
    assert_eq!(likely.segments.len(), 1, "a no-speech probability of 0.5 is not enough against likely text");
    let certain = run(vec![Script::says(&words).confidence(4.0).no_speech(20.0)], 3.0, &full());
    assert_eq!(certain.segments.len(), 0, "but one near 1 is");

    let off = TranscribeOptions { quality: Quality::off(), ..full() };
    assert_eq!(run(vec![Script::says(&words).confidence(2.0).no_speech(20.0)], 3.0, &off).segments.len(), 1);
}

#[test]
fn digital_silence_never_reaches_the_model() {
    let mut samples = vec![0.0; 16000 * 45];
    samples[16000 * 35..].fill(0.3);
    let mut pipeline = pipeline(vec![Script::says(&said(50, &[1], 600))]);
    let mut segments = Vec::new();
    let summary = pipeline.transcribe(&mut &samples[..], &full(), &mut |s| segments.push(s)).unwrap();
    assert_eq!((summary.stats.silent_windows, summary.stats.windows), (1, 1));
    assert_eq!((segments[0].start, segments[0].end), (30.5, 36.0));
}

#[test]
fn words_take_their_times_from_attention() {
    let options = TranscribeOptions { word_timestamps: true, refine_words: false, ..full() };
    let run = run(vec![Script::says(&said(0, &[1, 2, 3], 100))], 20.0, &options);
    let words = run.segments[0].words.as_ref().unwrap();
    let found: Vec<_> = words.iter().map(|w| (w.word.as_str(), w.start, w.end)).collect();
    // Prompt: sot, en, transcribe, notimestamps. The path enters rows 4.. at positions 40, 50, ...
    assert_eq!(found, [(" w1", 0.0, 0.8), (" w2", 0.8, 1.0), (" w3", 1.0, 1.2)]);
    assert!(words.iter().all(|w| w.probability > 0.9));
    assert_eq!((run.segments[0].start, run.segments[0].end), (0.0, 1.2));
}

#[test]
fn language_is_detected_once_or_given() {
    let script = |language| Script::says(&said(0, &[1], 100)).language(language);
    let detected = run(vec![script(53), script(52)], 40.0, &full());
    assert_eq!(detected.summary.language.as_deref(), Some("de"));
    assert_eq!(detected.pipeline.engine().fed()[..3], [51, 53, 55]);
    let given = TranscribeOptions { language: Some("English".into()), task: Task::Translate, ..full() };
    assert_eq!(run(vec![script(53)], 3.0, &given).pipeline.engine().fed()[..3], [51, 52, 54]);
}

#[test]
fn a_prompt_stands_before_every_window() {
    let options = TranscribeOptions { initial_prompt: Some("w3 w4".into()), timestamps: false, ..full() };
    let mut config = small();
    config.suppress_tokens.clear();
    let json = r#"{"model": {"vocab": {"Ġ": 0, "w": 1, "3": 2, "4": 3, "Ġw": 4}}}"#.to_owned();
    let mut pipeline = Pipeline::with_config(Fake::new(vec![Script::says(&[4, 2])]), config, json).unwrap();
    let samples = noise(40.0);
    let mut texts = Vec::new();
    pipeline.transcribe(&mut &samples[..], &options, &mut |s| texts.push(s.text)).unwrap();
    assert_eq!(pipeline.engine().fed(), [57, 4, 2, 4, 3, 51, 52, 55, 59, 4, 2]);
    assert_eq!(texts, [" w3", " w3"]);
}

#[test]
fn options_must_fit_the_model() {
    let english = GenerationConfig { is_multilingual: false, lang_to_id: Default::default(), ..small() };
    let mut pipeline = Pipeline::with_config(Fake::new(vec![Script::says(&[])]), english, tokenizer_json()).unwrap();
    let samples = noise(1.0);
    let mut refused = |options: TranscribeOptions| match pipeline.transcribe(&mut &samples[..], &options, &mut |_| ()) {
        Err(TranscribeError::Option(error)) => error,
        other => panic!("{other:?}"),
    };
    let translate = TranscribeOptions { task: Task::Translate, ..full() };
    assert_eq!(refused(translate), OptionError::CannotTranslate);
    let german = TranscribeOptions { language: Some("de".into()), ..full() };
    assert_eq!(refused(german), OptionError::EnglishOnly { language: "de".into() });
    let window = TranscribeOptions { window: Window::Seconds(40), ..full() };
    assert_eq!(refused(window), OptionError::Window { seconds: 40 });
}

#[test]
fn nothing_in_nothing_out() {
    for samples in [0, 1, 159] {
        let samples = vec![0.5; samples];
        let mut pipeline = pipeline(vec![Script::says(&said(0, &[1], 100))]);
        let summary = pipeline.transcribe(&mut &samples[..], &full(), &mut |_| panic!("nothing was said")).unwrap();
        assert_eq!((summary.segments, summary.stats.windows), (0, 0));
    }
}

#[test]
fn alignment_heads_must_be_the_decoders() {
    let config = GenerationConfig { alignment_heads: vec![(0, 1), (1, 0)], ..small() };
    let error = Pipeline::with_config(Fake::new(vec![Script::says(&[])]), config, tokenizer_json()).err().unwrap();
    assert_eq!(error.to_string(), "generation_config.json: alignment head [1, 0], but the decoder has 1 layers of 2 heads");
}
