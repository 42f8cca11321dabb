//! From channels to one.

use ossicle_frontend::samples::downmix;

/// Frames that are judged together; fixed, so that how a stream arrives changes nothing.
const WINDOW_FRAMES: usize = 1024;
/// The mean of two channels has less than this part of their power where they cancel each other out (-17 dB) ...
const CANCELLED: f32 = 0.02;
/// ... until it has this part again.
const HEARD: f32 = 0.1;
/// Power per sample below which two channels are silent (-90 dB).
const SILENT: f32 = 1e-9;

/// Averages channels, or takes one of them.
pub(super) struct Mixer {
    channels: usize,
    /// The channel wanted, from 0.
    only: Option<usize>,
    cancelling: bool,
    cancelled_windows: u64,
    heard_windows: u64,
}

impl Mixer {
    pub(super) fn new(channels: usize) -> Self {
        Self { channels, only: None, cancelling: false, cancelled_windows: 0, heard_windows: 0 }
    }

    /// Takes this channel alone, or the last one of fewer.
    pub(super) fn take_only(&mut self, channel: usize) {
        self.only = Some(channel);
    }

    /// What follows has so many channels.
    pub(super) fn set_channels(&mut self, channels: usize) {
        self.channels = channels;
    }

    /// Whether most of what can be heard in the two channels cancels out in their mean.
    pub(super) fn opposite_phase(&self) -> bool {
        self.cancelled_windows > self.heard_windows
    }

    /// Moves interleaved frames to `mono`; frames that are judged with later ones stay in `block` unless these are the `last`.
    pub(super) fn mix(&mut self, block: &mut Vec<f32>, mono: &mut Vec<f32>, last: bool) {
        let frames = block.len() / self.channels.max(1);
        if self.only.is_some() || self.channels != 2 {
            self.append(block, mono);
            block.clear();
            return;
        }
        let taken = if last { frames } else { frames - frames % WINDOW_FRAMES };
        for window in block[..2 * taken].chunks(2 * WINDOW_FRAMES) {
            self.judge(window);
            if self.cancelling {
                mono.extend(window.chunks_exact(2).map(|frame| frame[0]));
            } else {
                self.append(window, mono);
            }
        }
        block.drain(..2 * taken);
    }

    fn append(&self, frames: &[f32], mono: &mut Vec<f32>) {
        if let Some(only) = self.only {
            mono.extend(frames.chunks_exact(self.channels).map(|frame| frame[only.min(frame.len() - 1)]));
            return;
        }
        let start = mono.len();
        mono.resize(start + frames.len() / self.channels.max(1), 0.0);
        downmix(frames, self.channels, &mut mono[start..]);
    }

    fn judge(&mut self, window: &[f32]) {
        let (mut mean, mut apart) = (0.0, 0.0);
        for frame in window.chunks_exact(2) {
            let middle = (frame[0] + frame[1]) / 2.0;
            mean += middle * middle;
            apart += (frame[0] * frame[0] + frame[1] * frame[1]) / 2.0;
        }
        if apart <= SILENT * (window.len() / 2) as f32 {
            return;
        }
        self.cancelling = mean < apart * if self.cancelling { HEARD } else { CANCELLED };
        *if self.cancelling { &mut self.cancelled_windows } else { &mut self.heard_windows } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(frames: &[[f32; 2]], piece: usize) -> (Vec<f32>, bool) {
        let (mut mixer, mut block, mut mono) = (Mixer::new(2), Vec::new(), Vec::new());
        for piece in frames.chunks(piece) {
            block.extend_from_slice(piece.as_flattened());
            mixer.mix(&mut block, &mut mono, false);
        }
        mixer.mix(&mut block, &mut mono, true);
        (mono, mixer.opposite_phase())
    }

    #[test]
    fn channels_that_cancel_are_not_averaged() {
        let signal = |n: usize| (n as f32 * 0.1).sin();
        let opposite: Vec<_> = (0..5000).map(|n| [signal(n), -signal(n)]).collect();
        let (mono, told) = mixed(&opposite, 5000);
        assert!(told && mono.iter().zip(0..).all(|(&x, n)| x == signal(n)));
        assert_eq!(mixed(&opposite, 333), (mono, true));
        let left: Vec<_> = (0..5000).map(|n| [signal(n), 0.0]).collect();
        let (mono, told) = mixed(&left, 700);
        assert!(!told && mono.len() == 5000 && mono.iter().zip(0..).all(|(&x, n)| x == signal(n) / 2.0));
    }

    #[test]
    fn one_channel_alone() {
        let (mut mixer, mut mono) = (Mixer::new(3), Vec::new());
        mixer.take_only(1);
        mixer.mix(&mut vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut mono, false);
        mixer.set_channels(1);
        mixer.mix(&mut vec![7.0], &mut mono, false);
        assert_eq!(mono, [2.0, 5.0, 7.0]);
    }
}
