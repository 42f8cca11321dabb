//! How much audio the encoder sees at once.

use ossicle_frontend::mel::WINDOW_FRAMES;
use serde::{Deserialize, Serialize};

use super::error::OptionError;
use crate::exact;

/// Window lengths that [`Window::Auto`] chooses from, in seconds.
pub const SIZES_SECONDS: [u32; 6] = [6, 8, 10, 15, 20, 30];

/// Up to this length a window with timestamps does with [`SHORT_MARGIN_SECONDS`] less margin: commands lose nothing by it, longer recordings
/// would (docs/accuracy.md), and without timestamps such windows loop.
const SHORT_WINDOW_SECONDS: f32 = 8.0;

/// What a short window may lack of the margin.
const SHORT_MARGIN_SECONDS: f32 = 1.0;

/// Frames a second.
pub const FRAMES_PER_SECOND: usize = 100;

/// The encoder's window. Audio beyond the recording's end is silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// Always 30 s, as the models were trained.
    Full,
    /// The smallest of [`SIZES_SECONDS`] that holds the audio left and a margin; the next one when decoding goes wrong.
    Auto {
        /// Silence needed behind the audio, in seconds: with 4 s the original tiny.en loses nothing and never loops, below 2 s it loses
        /// the end of the text.
        #[serde(with = "exact")]
        margin_seconds: f32,
    },
    /// This many seconds, 1 to 30.
    Seconds(u32),
}

/// Four seconds of margin.
impl Default for Window {
    fn default() -> Self {
        Self::Auto { margin_seconds: 4.0 }
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

    /// Frames to encode when `left` frames of audio are left in the window, for text with or without timestamps.
    pub fn frames(&self, left: usize, timestamps: bool) -> usize {
        match *self {
            Self::Auto { margin_seconds } => {
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
    pub fn next(&self, frames: usize) -> Option<usize> {
        match self {
            Self::Auto { .. } => sizes().find(|&larger| larger > frames),
            _ => None,
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
            assert_eq!(auto.frames(left, true), frames, "{left}");
        }
        for (left, frames) in [(1, 600), (200, 600), (201, 800), (400, 800), (401, 1000), (601, 1500), (3000, 3000)] {
            assert_eq!(auto.frames(left, false), frames, "{left}");
        }
        assert_eq!(auto.next(600), Some(800));
        assert_eq!(auto.next(3000), None);
    }

    #[test]
    fn given_lengths_stay() {
        assert_eq!(Window::Full.frames(10, true), 3000);
        assert_eq!(Window::Seconds(7).frames(10, true), 700);
        assert_eq!(Window::Seconds(7).next(700), None);
        assert_eq!(Window::Seconds(31).check(), Err(OptionError::Window { seconds: 31 }));
        assert_eq!(Window::Seconds(0).check(), Err(OptionError::Window { seconds: 0 }));
        assert_eq!(Window::Seconds(30).check(), Ok(()));
    }
}
