//! Endpointing: each rule by itself, then promises over any probabilities.

use ossicle_frontend::endpoint::{Config, ConfigError, Endpointer, Event};
use proptest::prelude::*;

const HOP: u64 = 160;

fn start(hop: u64) -> Event {
    Event::SpeechStart { sample: hop * HOP }
}

fn end(hop: u64) -> Event {
    Event::SpeechEnd { sample: hop * HOP }
}

/// Events over probabilities given as runs `(hops, probability)`; the lookahead of four hops is made up for at the end.
fn events(config: Config, runs: &[(usize, f32)]) -> Vec<Event> {
    let mut endpointer = Endpointer::new(config).unwrap();
    let lookahead = std::iter::repeat_n(0.0, 4);
    let all = runs.iter().flat_map(|&(hops, probability)| std::iter::repeat_n(probability, hops));
    lookahead.chain(all).flat_map(|probability| endpointer.push(probability)).collect()
}

#[test]
fn an_utterance_has_its_pre_roll_and_tail() {
    assert_eq!(events(Config::default(), &[(100, 0.1), (80, 0.9), (100, 0.1)]), [start(70), end(200)]);
    // There is nothing before the stream.
    assert_eq!(events(Config::default(), &[(5, 0.1), (80, 0.9), (100, 0.1)]), [start(0), end(105)]);
}

#[test]
fn short_bursts_are_nothing_and_short_pauses_neither() {
    assert_eq!(events(Config::default(), &[(100, 0.1), (11, 0.9), (1, 0.5), (11, 0.9), (200, 0.1)]), []);
    assert_eq!(events(Config::default(), &[(100, 0.1), (20, 0.9), (49, 0.1), (20, 0.9), (80, 0.1)]), [start(70), end(209)]);
    // Hysteresis: what does not begin an utterance may keep one going.
    assert_eq!(events(Config::default(), &[(100, 0.1), (20, 0.9), (300, 0.4), (80, 0.1)]), [start(70), end(440)]);
}

#[test]
fn the_hangover_is_what_is_asked_for() {
    for hangover_ms in [200, 500, 1500] {
        let mut endpointer = Endpointer::new(Config { hangover_ms, ..Config::default() }).unwrap();
        let ended = (0..400).position(|hop| !endpointer.push(if (104..204).contains(&hop) { 0.9 } else { 0.0 }).is_empty() && hop > 204);
        assert_eq!(ended, Some(203 + hangover_ms as usize / 10));
    }
}

#[test]
fn an_utterance_begins_where_the_last_one_ended_at_the_earliest() {
    let config = Config { hangover_ms: 200, pre_roll_ms: 400, ..Config::default() };
    assert_eq!(events(config, &[(100, 0.1), (20, 0.9), (25, 0.1), (20, 0.9), (80, 0.1)]), [start(60), end(140), start(140), end(185)]);
}

#[test]
fn long_speech_is_cut_where_it_is_weakest() {
    let config = Config { max_ms: 2000, ..Config::default() };
    let runs = [(100, 0.1), (130, 0.9), (1, 0.4), (200, 0.9), (100, 0.1)];
    // Cut in its last quarter behind the hop of 0.4; then, for want of anything weaker, at the very end, where the speech ends too.
    assert_eq!(events(config, &runs), [start(70), end(231), start(231), end(431)]);
}

#[test]
fn silence_behind_the_cut_is_no_utterance() {
    let config = Config { max_ms: 2000, hangover_ms: 600, ..Config::default() };
    assert_eq!(events(config, &[(100, 0.1), (120, 0.9), (60, 0.1), (100, 0.1)]).len(), 2);
}

#[test]
fn the_stream_s_end_ends_an_utterance() {
    let run = |samples| {
        let mut endpointer = Endpointer::new(Config::default()).unwrap();
        let started: Vec<_> = (0..100).flat_map(|_| endpointer.push(0.9)).collect();
        assert_eq!(started, [start(0)]);
        endpointer.finish(samples)
    };
    // Four hops are not known yet and may be speech; the last is not whole.
    assert_eq!(run(16_099), Some(Event::SpeechEnd { sample: 16_099 }));
    assert_eq!(Endpointer::new(Config::default()).unwrap().finish(1000), None);
}

#[test]
fn settings_out_of_range_are_named() {
    let default = Config::default();
    for (config, error) in [
        (Config { end: 0.0, ..default }, ConfigError::Thresholds),
        (Config { end: 0.9, ..default }, ConfigError::Thresholds),
        (Config { start: 1.1, ..default }, ConfigError::Thresholds),
        (Config { start: f32::NAN, ..default }, ConfigError::Thresholds),
        (Config { min_speech_ms: 0, ..default }, ConfigError::MinSpeech),
        (Config { hangover_ms: 49, tail_ms: 0, ..default }, ConfigError::Hangover),
        (Config { tail_ms: 501, ..default }, ConfigError::Tail),
        (Config { max_ms: 999, ..default }, ConfigError::Max),
        (Config { max_ms: 600_001, ..default }, ConfigError::Max),
        (Config { max_ms: 1100, ..default }, ConfigError::Max),
        (Config { pre_roll_ms: u32::MAX, ..default }, ConfigError::Max),
    ] {
        assert_eq!(Endpointer::new(config).err(), Some(error), "{config:?}");
    }
}

fn any_config() -> impl Strategy<Value = Config> {
    (0.05f32..0.5, 0.0f32..0.5, 10u32..300, 50u32..900, 0u32..600, 1500u32..6000).prop_filter_map(
        "fits together",
        |(end, above, min_speech_ms, hangover_ms, pre_roll_ms, max_ms)| {
            let config = Config { start: end + above, end, min_speech_ms, hangover_ms, pre_roll_ms, tail_ms: hangover_ms / 2, max_ms };
            Endpointer::new(config).is_ok().then_some(config)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs of probabilities, as speech has them; the seed decides the levels.
    #[test]
    fn events_keep_their_promises(config in any_config(), runs in prop::collection::vec((1usize..250, 0.0f32..1.0), 1..40)) {
        let mut endpointer = Endpointer::new(config).unwrap();
        let (mut known, mut free_from, mut open) = (0, 0, None);
        let mut take = |event, known: u64, lookback: u64, max: u64| -> Result<(), TestCaseError> {
            match event {
                Event::SpeechStart { sample } => {
                    prop_assert!(open.is_none(), "two starts");
                    prop_assert!(sample >= free_from && sample <= known, "{sample} of {free_from} to {known}");
                    // What is kept reaches back far enough, unless it follows upon a cut.
                    prop_assert!(sample + lookback >= known || sample == free_from, "{sample} of {known}");
                    open = Some(sample);
                }
                Event::SpeechEnd { sample } => {
                    let start = open.take().expect("an end without a start");
                    prop_assert!(sample >= start && sample <= known && sample - start <= max, "{start} to {sample} of {known}");
                    free_from = sample;
                }
            }
            Ok(())
        };
        let (lookback, max) = (endpointer.lookback_samples(), endpointer.max_samples());
        for (hops, probability) in runs {
            for _ in 0..hops {
                known += HOP;
                for event in endpointer.push(probability) {
                    take(event, known, lookback, max)?;
                }
            }
        }
        let in_speech = endpointer.in_speech();
        let last = endpointer.finish(known + 7);
        prop_assert_eq!(last.is_some(), in_speech);
        if let Some(event) = last {
            take(event, known + 7, lookback, max)?;
        }
        prop_assert!(open.is_none());
    }
}
