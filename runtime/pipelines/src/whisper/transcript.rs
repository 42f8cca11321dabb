//! What a transcription returns.

use serde::Serialize;

use crate::digest::Digests;
use crate::events::Event;

/// A word with its times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    /// The text, with the space before it.
    pub word: String,
    /// Seconds from the recording's start.
    pub start: f64,
    /// Seconds from the recording's start.
    pub end: f64,
    /// Mean probability of its tokens.
    pub probability: f32,
}

/// A segment of text with its times. Keys are those of openai-whisper.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// Counts from 0.
    pub id: usize,
    /// The frame (10 ms) where the window it was found in starts.
    pub seek: u64,
    /// Seconds from the recording's start.
    pub start: f64,
    /// Seconds from the recording's start.
    pub end: f64,
    /// The text, usually with a space before it.
    pub text: String,
    /// The tokens, timestamps included.
    pub tokens: Vec<u32>,
    /// The temperature they were chosen at; 0 is greedy.
    pub temperature: f32,
    /// Mean log-probability of the window's tokens.
    pub avg_logprob: f32,
    /// Repetitiveness of the window's text.
    pub compression_ratio: f32,
    /// The probability that nobody speaks in the window.
    pub no_speech_prob: f32,
    /// Words, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
}

/// Time spent and work done, for benchmarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Seconds in log-mel features.
    pub mel_seconds: f64,
    /// Seconds in the encoder.
    pub encode_seconds: f64,
    /// Seconds in the decoder, prompts and rules included.
    pub decode_seconds: f64,
    /// Seconds in word timestamps.
    pub align_seconds: f64,
    /// Encoder runs.
    pub windows: usize,
    /// Windows not encoded because they were silent.
    pub silent_windows: usize,
    /// Encoder runs because a smaller window failed.
    pub window_retries: usize,
    /// Attempts at a temperature above 0.
    pub fallbacks: usize,
    /// Decoder calls.
    pub decoder_steps: usize,
    /// Tokens that a search among sentences has decoded beside the free text.
    pub search_tokens: usize,
}

/// Why a text is not in the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The model finds it likelier that nobody speaks.
    NoSpeech,
    /// The text is too unlikely to be what was said.
    Unlikely,
    /// The text repeats itself without end.
    Repetition,
    /// The model gives the text no time.
    NoTime,
}

impl DropReason {
    /// `no_speech`, `unlikely`, `repetition` or `no_time`, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSpeech => "no_speech",
            Self::Unlikely => "unlikely",
            Self::Repetition => "repetition",
            Self::NoTime => "no_time",
        }
    }
}

/// Sound in which a text was found that is not in the transcript, because it is too doubtful.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// Seconds from the recording's start.
    pub start: f64,
    /// Seconds from the recording's start.
    pub end: f64,
    /// Why.
    pub reason: DropReason,
    /// The text.
    pub text: String,
    /// Mean log-probability of its tokens.
    pub avg_logprob: f32,
    /// The probability that nobody speaks.
    pub no_speech_prob: f32,
}

/// What a transcription tells as it goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A segment.
    Segment(Segment),
    /// A text that was dropped, with its place.
    Dropped(Dropped),
    /// A sound event that is over, in the order events end; about a second and a window after it did.
    Event(Event),
}

/// What is known when a recording has been transcribed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Language code; `None` when nothing was spoken and none was given.
    pub language: Option<String>,
    /// Length of the recording in seconds.
    pub duration: f64,
    /// Segments given out.
    pub segments: usize,
    /// Texts that were dropped.
    pub dropped: usize,
    /// Whether the text is so unlikely for a model of one language that another one may have been spoken.
    pub language_doubt: bool,
    /// Sound events given out, if they were listened for.
    pub events: Option<usize>,
    /// Time and work.
    pub stats: Stats,
    /// Digests, if asked for.
    pub digests: Option<Digests>,
}
