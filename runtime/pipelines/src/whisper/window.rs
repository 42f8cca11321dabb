//! How much audio the encoder sees at once.

use ossicle_frontend::mel::WINDOW_FRAMES;
use serde::{Deserialize, Serialize};

use super::error::OptionError;
use super::short_windows::{FRAMES_PER_SECOND, ShortWindows};
use crate::exact;

/// Window lengths that [`Window::Auto`] chooses from, in seconds, unless the model knows [`ShortWindows`].
pub const SIZES_SECONDS: [u32; 6] = [6, 8, 10, 15, 20, 30];

/// Up to this length a window with timestamps does with [`SHORT_MARGIN_SECONDS`] less margin: commands lose nothing by it, longer recordings
/// would (docs/accuracy.md), and without timestamps such windows loop.
const SHORT_WINDOW_SECONDS: f32 = 8.0;

/// What a short window may lack of the margin.
const SHORT_MARGIN_SECONDS: f32 = 1.0;

/// The margin of voice commands with models that were taught short windows, in seconds: without timestamps they lose nothing by taking less
/// than for transcripts (docs/commands.md).
const COMMAND_MARGIN_SECONDS: f32 = 0.2;

/// Windows of voice commands are multiples of this many frames where the model does not say: recordings of about one length share a graph.
const COMMAND_STEP_FRAMES: usize = 20;

/// The margin of models that do not say theirs, in seconds: with it the original tiny.en loses nothing and never loops, below 2 s it loses the
/// end of the text.
pub const MARGIN_SECONDS: f32 = 4.0;

/// A window of [`ShortWindows`] that went wrong is followed by one of [`SIZES_SECONDS`] that is longer by this at least, in seconds.
const RETRY_SECONDS: usize = 3;

/// The encoder's window. Audio beyond the recording's end is silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// Always 30 s, as the models were trained.
    Full,
    /// The smallest of [`SIZES_SECONDS`] that holds the audio left and a margin, or a shorter one where the model knows [`ShortWindows`];
    /// a larger one when decoding goes wrong.
    Auto {
        /// Silence needed behind the audio, in seconds; `None` is what the model says, or 4 s.
        #[serde(with = "exact::option")]
        margin_seconds: Option<f32>,
    },
    /// This many seconds, 1 to 30.
    Seconds(u32),
}

/// As much as the model needs.
impl Default for Window {
    fn default() -> Self {
        Self::Auto { margin_seconds: None }
    }
}

impl Window {
    /// Checks the length.
    ///
    /// # Errors
    /// [`OptionError::Window`] unless a given length is 1 to 30 s.
    pub fn check(&self) -> Result<(), OptionError> {
        match *self {
            Self::Seconds(seconds) if !(1..=30).contains(&seconds) => Err(OptionError::Window { seconds }),
            _ => Ok(()),
        }
    }

    /// Frames of audio one window takes at most.
    pub fn max_frames(&self) -> usize {
        match *self {
            Self::Seconds(seconds) => (seconds as usize * FRAMES_PER_SECOND).min(WINDOW_FRAMES),
            Self::Full | Self::Auto { .. } => WINDOW_FRAMES,
        }
    }

    /// Frames to encode when `left` frames of audio are left in the window, for text with or without timestamps; `short` is what the model
    /// says of itself.
    pub fn frames(&self, left: usize, timestamps: bool, short: Option<ShortWindows>) -> usize {
        match (*self, short) {
            (Self::Auto { margin_seconds }, Some(short)) => short.frames(left, margin_seconds.unwrap_or(short.margin_seconds)),
            (Self::Auto { margin_seconds }, None) => {
                let margin_seconds = margin_seconds.unwrap_or(MARGIN_SECONDS);
                let holds = |frames: &usize| {
                    let [seconds, left] = [*frames, left].map(|frames| frames as f32 / FRAMES_PER_SECOND as f32);
                    let short = timestamps && seconds <= SHORT_WINDOW_SECONDS;
                    seconds >= left + margin_seconds - if short { SHORT_MARGIN_SECONDS } else { 0.0 }
                };
                sizes().find(holds).unwrap_or(WINDOW_FRAMES)
            }
            _ => self.max_frames(),
        }
    }

    /// The next larger window after one of `frames` went wrong, if this may grow.
    pub fn next(&self, frames: usize, short: Option<ShortWindows>) -> Option<usize> {
        let least = frames + if short.is_some() { RETRY_SECONDS * FRAMES_PER_SECOND } else { 1 };
        match self {
            Self::Auto { .. } if frames < WINDOW_FRAMES => Some(sizes().find(|&larger| larger >= least).unwrap_or(WINDOW_FRAMES)),
            _ => None,
        }
    }
}

/// Frames to encode for a voice command of `left` frames and `margin_seconds` behind it, or what the model needs.
pub fn command_frames(left: usize, margin_seconds: Option<f32>, short: Option<ShortWindows>) -> usize {
    match short {
        Some(short) => short.frames(left, margin_seconds.unwrap_or(short.margin_seconds.min(COMMAND_MARGIN_SECONDS))),
        None => {
            let margin = (margin_seconds.unwrap_or(MARGIN_SECONDS) * FRAMES_PER_SECOND as f32).round() as usize;
            (left + margin).next_multiple_of(COMMAND_STEP_FRAMES).min(WINDOW_FRAMES)
        }
    }
}

fn sizes() -> impl Iterator<Item = usize> {
    SIZES_SECONDS.into_iter().map(|seconds| seconds as usize * FRAMES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_smallest_that_holds_the_margin() {
        let auto = Window::default();
        for (left, frames) in
            [(1, 600), (300, 600), (301, 800), (500, 800), (501, 1000), (600, 1000), (601, 1500), (1100, 1500), (1101, 2000), (1601, 3000)]
        {
            assert_eq!(auto.frames(left, true, None), frames, "{left}");
        }
        for (left, frames) in [(1, 600), (200, 600), (201, 800), (400, 800), (401, 1000), (601, 1500), (3000, 3000)] {
            assert_eq!(auto.frames(left, false, None), frames, "{left}");
        }
        assert_eq!(auto.next(600, None), Some(800));
        assert_eq!(auto.next(3000, None), None);
    }

    fn short(text: &str) -> Result<ShortWindows, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_taught_short_windows_gets_them() {
        let known = Some(short(r#"{"margin_seconds": 0.3, "step_seconds": 0.5}"#).unwrap());
        let auto = Window::default();
        for (left, frames) in [(1, 100), (70, 100), (71, 150), (300, 350), (320, 350), (321, 400), (1471, 1550), (2970, 3000), (3000, 3000)]
        {
            assert_eq!(auto.frames(left, true, known), frames, "{left}");
            assert_eq!(auto.frames(left, false, known), frames, "{left}");
        }
        assert_eq!(Window::Auto { margin_seconds: Some(2.0) }.frames(300, true, known), 500);
        assert_eq!(Window::Full.frames(300, true, known), 3000);
        assert_eq!(Window::Seconds(7).frames(300, true, known), 700);
        for (failed, next) in [(100, Some(600)), (350, Some(800)), (700, Some(1000)), (701, Some(1500)), (2950, Some(3000)), (3000, None)] {
            assert_eq!(auto.next(failed, known), next, "{failed}");
        }
        assert_eq!(Window::Seconds(7).next(700, known), None);
    }

    #[test]
    fn every_step_makes_whole_positions() {
        for step in [0.02, 0.03, 0.05, 0.2, 0.333, 1.0] {
            let short = short(&format!(r#"{{"margin_seconds": 0.123, "step_seconds": {step}}}"#)).unwrap();
            for left in 1..=3000 {
                let frames = Window::default().frames(left, true, Some(short));
                assert!(frames % 2 == 0 && frames <= 3000 && (frames == 3000 || frames >= left + 12), "{step} {left} {frames}");
            }
        }
    }

    #[test]
    fn impossible_short_windows_are_refused() {
        let refused = |text| short(text).unwrap_err();
        assert!(refused(r#"{"margin_seconds": -1, "step_seconds": 0.5}"#).contains("margin_seconds -1 is not 0 to 30"));
        assert!(refused(r#"{"margin_seconds": 1, "step_seconds": 0}"#).contains("step_seconds 0 is not 0.02 to 30"));
        assert!(refused(r#"{"margin_seconds": 1, "step_seconds": 1e9}"#).contains("is not 0.02 to 30"));
        assert!(refused(r#"{"margin_seconds": 1}"#).contains("step_seconds"));
        assert!(refused(r#"{"margin_seconds": 1, "step_seconds": 1, "sizes": []}"#).contains("sizes"));
    }

    #[test]
    fn commands_take_little_margin() {
        let known = Some(short(r#"{"margin_seconds": 0.5, "step_seconds": 0.1}"#).unwrap());
        for (left, frames) in [(1, 100), (300, 320), (301, 330), (2990, 3000), (4000, 3000)] {
            assert_eq!(command_frames(left, None, known), frames, "{left}");
        }
        let sparing = Some(short(r#"{"margin_seconds": 0.1, "step_seconds": 0.1}"#).unwrap());
        assert_eq!(command_frames(300, None, sparing), 310);
        assert_eq!(command_frames(300, Some(1.0), known), 400);
        for (left, margin, frames) in [(300, None, 700), (301, None, 720), (300, Some(0.5), 360), (2700, None, 3000)] {
            assert_eq!(command_frames(left, margin, None), frames, "{left}");
        }
    }

    #[test]
    fn given_lengths_stay() {
        assert_eq!(Window::Full.frames(10, true, None), 3000);
        assert_eq!(Window::Seconds(7).frames(10, true, None), 700);
        assert_eq!(Window::Seconds(7).next(700, None), None);
        assert_eq!(Window::Seconds(31).check(), Err(OptionError::Window { seconds: 31 }));
        assert_eq!(Window::Seconds(0).check(), Err(OptionError::Window { seconds: 0 }));
        assert_eq!(Window::Seconds(30).check(), Ok(()));
    }
}
