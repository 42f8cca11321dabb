//! What a transcription is asked for.

use serde::{Deserialize, Serialize};

use super::error::OptionError;
use super::window::Window;
use crate::exact;

/// What to write down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The words spoken, in their language.
    #[default]
    Transcribe,
    /// Their meaning in English; multilingual models only.
    Translate,
}

impl Task {
    /// `transcribe` or `translate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Translate => "translate",
        }
    }
}

/// When a text is good enough, and when nobody spoke.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Temperatures to try in turn; 0 is greedy.
    #[serde(with = "exact::list")]
    pub temperatures: Vec<f32>,
    /// A more repetitive text is tried again (see [`Compressor`](super::repetition::Compressor)).
    #[serde(with = "exact")]
    pub max_compression_ratio: f32,
    /// A text with a smaller mean log-probability is tried again; one that no temperature brought to at least twice this is dropped.
    #[serde(with = "exact")]
    pub min_avg_logprob: f32,
    /// A window is silent if its no-speech probability minus [`logprob_weight`](Self::logprob_weight) times the mean log-probability of
    /// its text exceeds this: the less likely the text, the less certain the model has to be that nobody speaks.
    ///
    /// With tiny.en, recordings of noise, music and silence score 1.1 to 2.1, 505 of speech at most 0.91.
    #[serde(with = "exact")]
    pub max_silence_score: f32,
    /// See [`max_silence_score`](Self::max_silence_score).
    #[serde(with = "exact")]
    pub logprob_weight: f32,
    /// With a no-speech probability up to this, no window is silent, however unlikely its text; above it, a text below
    /// [`min_avg_logprob`](Self::min_avg_logprob) is dropped, and one whose repetition no temperature mended.
    #[serde(with = "exact")]
    pub min_no_speech_prob: f32,
    /// A window whose loudest 20 ms stay below this level is silence and never reaches the model, in dB relative to full scale (RMS).
    #[serde(with = "exact")]
    pub min_level_db: f32,
    /// Whether decoding stops when the text begins to repeat itself.
    pub loop_guard: bool,
    /// Doubtful words of a greedy text, at most, that are decoded again with their second choice; the likelier text is kept.
    #[serde(default)]
    pub second_choices: usize,
    /// The seed for temperatures above 0; the same for every window.
    pub seed: u64,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            max_compression_ratio: 2.4,
            min_avg_logprob: -1.0,
            max_silence_score: 1.0,
            logprob_weight: 0.6,
            min_no_speech_prob: 0.15,
            min_level_db: -70.0,
            loop_guard: true,
            second_choices: 4,
            seed: 0,
        }
    }
}

impl Quality {
    /// Reference behaviour: one greedy attempt, nothing judged, nothing dropped.
    pub fn off() -> Self {
        Self {
            temperatures: vec![0.0],
            max_compression_ratio: f32::INFINITY,
            min_avg_logprob: f32::NEG_INFINITY,
            max_silence_score: f32::INFINITY,
            logprob_weight: 0.0,
            min_no_speech_prob: f32::INFINITY,
            min_level_db: f32::NEG_INFINITY,
            loop_guard: false,
            second_choices: 0,
            seed: 0,
        }
    }
}

/// How speech is told from pauses, by [`Vad`](ossicle_frontend::vad::Vad): windows begin and end in pauses, and what holds no speech is not
/// decoded.
///
/// The thresholds are low: what passes them by mistake is left to [`Quality`], what does not pass is never heard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadOptions {
    /// From this probability on, 10 ms of sound may begin speech; 0 to 1.
    #[serde(with = "exact")]
    pub start: f32,
    /// From this probability on, 10 ms of sound go on with speech; 0 to 1.
    #[serde(with = "exact")]
    pub end: f32,
    /// The shortest unbroken speech that counts.
    pub min_speech_ms: u32,
    /// A pause of this length ends a window: shorter ones leave the model the context it needs.
    pub max_pause_ms: u32,
    /// As [`max_pause_ms`](Self::max_pause_ms) for a window that has lasted [`long_window_ms`](Self::long_window_ms): it has context enough,
    /// and in a longer one the model may end its text at a pause.
    pub long_window_pause_ms: u32,
    /// See [`long_window_pause_ms`](Self::long_window_pause_ms).
    pub long_window_ms: u32,
    /// Silence that a window holds before its first speech, where there is any; a recording's own first second is not cut.
    pub lead_ms: u32,
    /// Silence that a window holds after its last speech, where there is any.
    pub tail_ms: u32,
    /// At least this much speech after a window's text and a pause gets a window of its own.
    pub min_missed_ms: u32,
}

impl VadOptions {
    /// Checks the ranges: `0 < end <= start <= 1`, at least 10 ms of speech, at most 10 s of lead, tail or pause.
    ///
    /// # Errors
    /// [`OptionError::Vad`] names the setting.
    pub fn check(self) -> Result<(), OptionError> {
        let most = [self.max_pause_ms, self.long_window_pause_ms, self.lead_ms, self.tail_ms].into_iter().max();
        let wrong = if !(0.0 < self.end && self.end <= self.start && self.start <= 1.0) {
            "its thresholds must be above 0 and at most 1, the one for its end not above the one for its start"
        } else if self.min_speech_ms < 10 || self.max_pause_ms < 100 || self.long_window_pause_ms < 100 {
            "speech must count from 10 ms on, and a pause from 100 ms on"
        } else if most > Some(10_000) {
            "pauses, lead and tail must be at most 10 s"
        } else {
            return Ok(());
        };
        Err(OptionError::Vad { wrong })
    }
}

impl Default for VadOptions {
    fn default() -> Self {
        Self {
            start: 0.5,
            end: 0.2,
            min_speech_ms: 60,
            max_pause_ms: 2000,
            long_window_pause_ms: 700,
            long_window_ms: 12_000,
            lead_ms: 300,
            tail_ms: 1000,
            min_missed_ms: 400,
        }
    }
}

/// Options of one transcription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranscribeOptions {
    /// A language code or English name; `None` detects it (multilingual models).
    pub language: Option<String>,
    /// What to write down.
    pub task: Task,
    /// The encoder's window.
    pub window: Window,
    /// Further windows to try when decoding a small one loops or does not end.
    pub window_retries: usize,
    /// Whether the model places timestamps; without, every window is one segment.
    pub timestamps: bool,
    /// Whether each word gets its times.
    pub word_timestamps: bool,
    /// Whether word boundaries move to where the sound starts and stops.
    pub refine_words: bool,
    /// Text that is taken to stand before every window: names, jargon, style.
    pub initial_prompt: Option<String>,
    /// Words that may well be said, at most [`MAX_HOTWORDS`](super::hotwords::MAX_HOTWORDS): they win where others sound alike.
    #[serde(default)]
    pub hotwords: Vec<String>,
    /// Tokens a window may produce.
    pub max_new_tokens: usize,
    /// Limits on quality and silence.
    pub quality: Quality,
    /// How speech is told from pauses; `None` cuts the recording without regard to them, as openai-whisper does.
    #[serde(default)]
    pub vad: Option<VadOptions>,
    /// Whether to compute digests.
    #[serde(skip)]
    pub digests: bool,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            window: Window::default(),
            window_retries: 1,
            timestamps: true,
            word_timestamps: false,
            refine_words: true,
            initial_prompt: None,
            hotwords: Vec::new(),
            max_new_tokens: 224,
            quality: Quality::default(),
            vad: Some(VadOptions::default()),
            digests: false,
        }
    }
}
