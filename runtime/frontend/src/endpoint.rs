//! Endpointing: from probabilities of speech to utterances with their first and last sample.
//!
//! A state machine with hysteresis. An utterance begins when speech has been likely for [`Config::min_speech_ms`] without a break and counts
//! from [`Config::pre_roll_ms`] before that; it ends after [`Config::hangover_ms`] in which speech was unlikely, or where it was unlikeliest
//! when it grows too long. Utterances never overlap. Samples are counted from the stream's start at 16 kHz; all offsets are whole hops but the last.
//!
//! ```
//! use ossicle_frontend::endpoint::{Config, Endpointer, Event};
//!
//! let mut endpointer = Endpointer::new(Config::default())?;
//! let mut events = Vec::new();
//! for hop in 0..300 {
//!     events.extend(endpointer.push(if (100..180).contains(&hop) { 0.9 } else { 0.1 }));
//! }
//! assert_eq!(events, [Event::SpeechStart { sample: 66 * 160 }, Event::SpeechEnd { sample: 196 * 160 }]);
//! # Ok::<(), ossicle_frontend::endpoint::ConfigError>(())
//! ```

use core::fmt;

use heapless::Vec;

use crate::SAMPLE_RATE;
use crate::mel::HOP_SAMPLES;
use crate::vad::LOOKAHEAD_HOPS;

const HOP: u64 = HOP_SAMPLES as u64;
const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;
/// Too long an utterance is cut in its last part: one quarter.
const CUT_PART: u64 = 4;

/// When speech begins and ends. Times are rounded up to whole hops of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// From this probability on a hop may begin an utterance; above `end` and at most 1.
    pub start: f32,
    /// Below this probability a hop inside an utterance is silence; above 0.
    pub end: f32,
    /// Speech without a break that begins an utterance; at least 10 ms.
    pub min_speech_ms: u32,
    /// Silence that ends an utterance; at least 50 ms.
    pub hangover_ms: u32,
    /// What belongs to an utterance before its first speech.
    pub pre_roll_ms: u32,
    /// What belongs to it after its last, at most the hangover.
    pub tail_ms: u32,
    /// Longest utterance: 1 s to 10 minutes, three quarters of it longer than `min_speech_ms`, `hangover_ms` and `pre_roll_ms` together.
    pub max_ms: u32,
}

/// Half a second of silence ends an utterance of at most 28 s.
impl Default for Config {
    fn default() -> Self {
        Self { start: 0.8, end: 0.35, min_speech_ms: 120, hangover_ms: 500, pre_roll_ms: 300, tail_ms: 200, max_ms: 28_000 }
    }
}

/// Why there is no endpointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// Not `0 < end <= start <= 1`.
    Thresholds,
    /// `min_speech_ms` is 0.
    MinSpeech,
    /// `hangover_ms` is below 50.
    Hangover,
    /// `tail_ms` is more than `hangover_ms`.
    Tail,
    /// `max_ms` is not within 1 s to 10 minutes, or three quarters of it are not above pre-roll, minimum and hangover together.
    Max,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thresholds => "thresholds of speech must be above 0 and at most 1, the one for its end not above the one for its start",
            Self::MinSpeech => "the least speech must be 10 ms or more",
            Self::Hangover => "the silence that ends an utterance must be 50 ms or more",
            Self::Tail => "what is kept behind an utterance must not be longer than the silence that ends it",
            Self::Max => {
                "the longest utterance must be 1 s to 10 minutes, three quarters of it longer than pre-roll, least speech and ending silence together"
            }
        })
    }
}

impl core::error::Error for ConfigError {}

/// What happened. Samples count from the stream's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// An utterance has begun.
    SpeechStart {
        /// Its first sample.
        sample: u64,
    },
    /// It has ended.
    SpeechEnd {
        /// The first sample behind it.
        sample: u64,
    },
}

/// Events of one hop: two when a long utterance is cut.
pub type Events = Vec<Event, 2>;

/// Probabilities in, events out. Less than 100 bytes.
#[derive(Clone, Debug)]
pub struct Endpointer {
    config: Config,
    /// Probabilities taken.
    hops: u64,
    /// Where the last utterance ended.
    free_from: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nobody speaks; so many hops in a row that might begin an utterance.
    Quiet { run: u64 },
    /// Somebody speaks.
    Speech {
        /// First sample.
        start: u64,
        /// Hop behind the last speech.
        silent_from: u64,
        /// Of the last part of the longest utterance, the hop behind the unlikeliest speech, and how likely that was.
        weakest: Option<(u64, f32)>,
    },
}

impl Endpointer {
    /// A stream at its start.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let Config { start, end, min_speech_ms, hangover_ms, pre_roll_ms, tail_ms, max_ms } = config;
        // NaN fails too.
        if !(0.0 < end && end <= start && start <= 1.0) {
            return Err(ConfigError::Thresholds);
        }
        if min_speech_ms == 0 {
            return Err(ConfigError::MinSpeech);
        }
        if hangover_ms < 50 {
            return Err(ConfigError::Hangover);
        }
        if tail_ms > hangover_ms {
            return Err(ConfigError::Tail);
        }
        let parts = [min_speech_ms, hangover_ms, pre_roll_ms].map(u64::from).iter().sum::<u64>();
        // A cut in the last part must leave room for what follows.
        if !(1000..=600_000).contains(&max_ms) || u64::from(max_ms) <= parts + u64::from(max_ms) / CUT_PART {
            return Err(ConfigError::Max);
        }
        Ok(Self { config, hops: 0, free_from: 0, state: State::Quiet { run: 0 } })
    }

    /// Samples before the last one pushed at which an utterance may begin that is not known yet: what a caller has to keep.
    pub fn lookback_samples(&self) -> u64 {
        (hops(self.config.min_speech_ms) + hops(self.config.pre_roll_ms) + LOOKAHEAD_HOPS + 1) * HOP
    }

    /// Most samples of an utterance.
    pub fn max_samples(&self) -> u64 {
        hops(self.config.max_ms) * HOP
    }

    /// Whether somebody speaks.
    pub fn in_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// Takes the probability that came with one more hop ([`Vad`](crate::vad::Vad); it speaks about [`LOOKAHEAD_HOPS`] hops before).
    pub fn push(&mut self, probability: f32) -> Events {
        let mut events = Events::new();
        self.hops += 1;
        // The hop spoken about, and the one behind it.
        let Some(hop) = (self.hops - 1).checked_sub(LOOKAHEAD_HOPS) else { return events };
        let behind = hop + 1;
        match &mut self.state {
            State::Quiet { run } => {
                *run = if probability >= self.config.start { *run + 1 } else { 0 };
                if *run >= hops(self.config.min_speech_ms) {
                    let first = (behind - *run).saturating_sub(hops(self.config.pre_roll_ms));
                    let start = (first * HOP).max(self.free_from);
                    self.state = State::Speech { start, silent_from: behind, weakest: None };
                    put(&mut events, Event::SpeechStart { sample: start });
                }
            }
            State::Speech { start, silent_from, weakest } => {
                if probability >= self.config.end {
                    *silent_from = behind;
                }
                let max = hops(self.config.max_ms) * HOP;
                let length = behind * HOP - *start;
                if length > max - max / CUT_PART && weakest.is_none_or(|(_, least)| probability <= least) {
                    *weakest = Some((behind, probability));
                }
                if behind - *silent_from >= hops(self.config.hangover_ms) {
                    let sample = (*silent_from + hops(self.config.tail_ms)) * HOP;
                    self.end(sample, &mut events);
                } else if length >= max {
                    let cut = weakest.map_or(behind, |(cut, _)| cut);
                    let spoken = *silent_from > cut;
                    let silent_from = *silent_from;
                    self.end(cut * HOP, &mut events);
                    if spoken {
                        self.state = State::Speech { start: cut * HOP, silent_from, weakest: None };
                        put(&mut events, Event::SpeechStart { sample: cut * HOP });
                    }
                }
            }
        }
        events
    }

    /// Ends the stream after `samples` samples: an utterance that has not ended does so there, or where its tail does. Then starts anew.
    pub fn finish(&mut self, samples: u64) -> Option<Event> {
        let end = match self.state {
            State::Quiet { .. } => None,
            // The hops behind the last probability may have held speech.
            State::Speech { start, silent_from, .. } => {
                let tail = hops(self.config.tail_ms).max(LOOKAHEAD_HOPS + 1);
                let sample = ((silent_from + tail) * HOP).min(samples).min(start + self.max_samples());
                Some(Event::SpeechEnd { sample: sample.max(start) })
            }
        };
        (self.hops, self.free_from, self.state) = (0, 0, State::Quiet { run: 0 });
        end
    }

    fn end(&mut self, sample: u64, events: &mut Events) {
        self.free_from = sample;
        self.state = State::Quiet { run: 0 };
        put(events, Event::SpeechEnd { sample });
    }
}

/// A hop has two events at most, so there is room.
fn put(events: &mut Events, event: Event) {
    let _ = events.push(event);
}

/// Whole hops, rounded up.
fn hops(ms: u32) -> u64 {
    (u64::from(ms) * SAMPLES_PER_MS).div_ceil(HOP)
}
