//! The short windows that a model was taught.

use ossicle_frontend::mel::WINDOW_FRAMES;
use serde::Deserialize;

/// Frames a second.
pub const FRAMES_PER_SECOND: usize = 100;

/// The shortest window, in frames.
const SHORTEST_FRAMES: usize = 100;

/// What a model says of itself that was taught to hear short windows: `short_windows` in `generation_config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ShortWindowsFile")]
pub struct ShortWindows {
    /// Silence needed behind the audio, in seconds, 0 to 30.
    pub margin_seconds: f32,
    /// Windows are multiples of this many frames, even, at least 2.
    step_frames: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortWindowsFile {
    margin_seconds: f32,
    step_seconds: f32,
}

impl TryFrom<ShortWindowsFile> for ShortWindows {
    type Error = String;

    fn try_from(file: ShortWindowsFile) -> Result<Self, String> {
        let ShortWindowsFile { margin_seconds, step_seconds } = file;
        if !(0.0..=30.0).contains(&margin_seconds) {
            return Err(format!("short_windows: margin_seconds {margin_seconds} is not 0 to 30"));
        }
        if !(0.02..=30.0).contains(&step_seconds) {
            return Err(format!("short_windows: step_seconds {step_seconds} is not 0.02 to 30"));
        }
        // Two frames are one position of the encoder.
        Ok(Self { margin_seconds, step_frames: 2 * (step_seconds * FRAMES_PER_SECOND as f32 / 2.0).round() as usize })
    }
}

impl ShortWindows {
    /// The shortest window for `left` frames of audio and a margin.
    pub(super) fn frames(&self, left: usize, margin_seconds: f32) -> usize {
        let margin = (margin_seconds * FRAMES_PER_SECOND as f32).round() as usize;
        (left + margin).max(SHORTEST_FRAMES).next_multiple_of(self.step_frames).min(WINDOW_FRAMES)
    }
}
