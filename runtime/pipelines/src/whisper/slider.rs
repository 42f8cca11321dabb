//! A window that moves forward over a recording of unknown length, in fixed memory.

use ossicle_frontend::mel::{HOP_SAMPLES, LEAD_SAMPLES, WINDOW_FRAMES};

use super::error::TranscribeError;
use super::short_windows::FRAMES_PER_SECOND;
use super::speech::{SpeechMap, Step};
use crate::source::SampleSource;

/// Samples kept: 30 s, what its first and last frames see beyond, and one more hop.
pub(crate) const CAPACITY: usize = WINDOW_FRAMES * HOP_SAMPLES + 2 * LEAD_SAMPLES + HOP_SAMPLES;

/// Silence kept before the speech in a segment's times, in seconds: the detector is that exact.
const BEFORE_SPEECH_SECONDS: f64 = 0.1;
/// Silence kept after it.
const AFTER_SPEECH_SECONDS: f64 = 0.2;
/// Frames before speech that a text did not reach, in the window it then gets.
const MISSED_LEAD_FRAMES: usize = 10;

/// The samples around one window.
pub(crate) struct Slider<'a> {
    source: &'a mut dyn SampleSource,
    samples: Vec<f32>,
    /// Position in the recording of `samples[0]`.
    base: u64,
    /// Position in the recording of the window.
    start: u64,
    ended: bool,
    /// Where somebody speaks, if that is asked for.
    speech: Option<SpeechMap>,
}

impl<'a> Slider<'a> {
    pub(crate) fn new(source: &'a mut dyn SampleSource) -> Self {
        Self { source, samples: Vec::with_capacity(CAPACITY), base: 0, start: 0, ended: false, speech: None }
    }

    /// Also finds out where somebody speaks.
    pub(crate) fn with_speech(self, speech: Option<SpeechMap>) -> Self {
        Self { speech, ..self }
    }

    /// What to do with the at most `most` frames from here on; `None` at the end.
    pub(crate) fn step(&self, most: usize) -> Option<Step> {
        let left = self.frames().min(most);
        match &self.speech {
            _ if left == 0 => None,
            None => Some(Step::Window(left)),
            Some(speech) => {
                let last = self.ended && self.frames() <= most;
                Some(speech.step(self.start / HOP_SAMPLES as u64, left, last))
            }
        }
    }

    /// Whether so little speech is left between two frames of the window, which ends in a pause, that it needs no window of its own.
    pub(crate) fn is_rest(&self, from: usize, frames: usize) -> bool {
        let start = self.start / HOP_SAMPLES as u64;
        self.speech.as_ref().is_some_and(|speech| speech.is_rest(start + from as u64, start + frames as u64))
    }

    /// The first frame of speech within `from..to` of the window and the one after the last; `None` where nobody speaks, or that is not known.
    pub(crate) fn spoken(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let start = self.start / HOP_SAMPLES as u64;
        let (first, behind) = self.speech.as_ref()?.spoken(start + from as u64, start + to as u64)?;
        Some(((first - start) as usize, (behind - start) as usize))
    }

    /// Times within the window, in seconds, held to the speech between them and a little around it.
    pub(crate) fn held(&self, start: f64, end: f64) -> (f64, f64) {
        let frame = |seconds: f64| (seconds * FRAMES_PER_SECOND as f64).round() as usize;
        let Some((first, behind)) = self.spoken(frame(start), frame(end)) else { return (start, end) };
        let seconds = |frame: usize| frame as f64 / FRAMES_PER_SECOND as f64;
        (start.max(seconds(first) - BEFORE_SPEECH_SECONDS), end.min(seconds(behind) + AFTER_SPEECH_SECONDS))
    }

    /// The frame, counted from the window's start, of a pause in which a window of `frames` may be cut in two.
    pub(crate) fn pause(&self, frames: usize) -> Option<usize> {
        let start = self.start / HOP_SAMPLES as u64;
        Some((self.speech.as_ref()?.pause(start, frames)? - start) as usize)
    }

    /// The frame, counted from the window's start, where speech begins that a text ending at frame `from` does not reach in a window of `frames`.
    pub(crate) fn missed(&self, from: usize, frames: usize) -> Option<usize> {
        let start = self.start / HOP_SAMPLES as u64;
        let at = self.speech.as_ref()?.missed(start + from as u64, start + frames as u64)?;
        Some(((at - start) as usize).saturating_sub(MISSED_LEAD_FRAMES).max(from))
    }

    /// Moves the window to `frame` (10 ms each; never backwards) and reads what it sees.
    ///
    /// # Errors
    /// If the source fails or holds a sample that is not finite.
    pub(crate) fn move_to(&mut self, frame: u64) -> Result<(), TranscribeError> {
        let start = frame * HOP_SAMPLES as u64;
        debug_assert!(start >= self.start, "windows move forward");
        self.start = start;
        let keep_from = start.saturating_sub(LEAD_SAMPLES as u64);
        loop {
            let drop = (keep_from - self.base).min(self.samples.len() as u64) as usize;
            self.samples.drain(..drop);
            self.base += drop as u64;
            if let Some(speech) = &mut self.speech {
                speech.forget(frame);
            }
            if self.ended || self.samples.len() == CAPACITY {
                return Ok(());
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<(), TranscribeError> {
        let old = self.samples.len();
        self.samples.resize(CAPACITY, 0.0);
        let read = self.source.read(&mut self.samples[old..]);
        self.samples.truncate(old + *read.as_ref().unwrap_or(&0));
        self.ended = read.map_err(TranscribeError::Source)? == 0;
        match self.samples[old..].iter().position(|x| !x.is_finite()) {
            Some(at) => Err(TranscribeError::NotFinite { sample: self.base + (old + at) as u64 }),
            None => {
                let end = self.samples_read() / HOP_SAMPLES as u64;
                if let Some(speech) = &mut self.speech {
                    speech.push(&self.samples[old..]);
                    if self.ended {
                        speech.finish(end);
                    }
                }
                Ok(())
            }
        }
    }

    /// Whole frames of audio from the window's start on, at most 30 s of them.
    pub(crate) fn frames(&self) -> usize {
        let len = self.samples.len() - self.offset().min(self.samples.len());
        (len / HOP_SAMPLES).min(WINDOW_FRAMES)
    }

    /// The samples read around the window's first `frames` frames, and where in them the window starts. Where windows end in pauses, what comes
    /// after these frames is left out: a window hears nothing that the next one will hear again.
    pub(crate) fn around(&self, frames: usize) -> (&[f32], usize) {
        let offset = self.offset();
        let cut = self.speech.is_some() && frames < self.frames();
        let end = if cut { offset + frames * HOP_SAMPLES } else { self.samples.len() };
        (&self.samples[..end], offset)
    }

    /// The window's first `frames` frames of samples.
    pub(crate) fn window(&self, frames: usize) -> &[f32] {
        let offset = self.offset();
        let end = (offset + frames * HOP_SAMPLES).min(self.samples.len());
        &self.samples[offset.min(end)..end]
    }

    /// Samples of the recording read so far; its length once it has ended.
    pub(crate) fn samples_read(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    fn offset(&self) -> usize {
        (self.start - self.base) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceError;

    /// Hands out at most 777 samples at a time.
    struct Trickle(Vec<f32>, usize);

    impl SampleSource for Trickle {
        fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
            let n = out.len().min(777).min(self.0.len() - self.1);
            out[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
            self.1 += n;
            Ok(n)
        }
    }

    #[test]
    fn every_window_sees_the_recording() {
        let all: Vec<f32> = (0..1_000_123).map(|i| (i % 8191) as f32).collect();
        let mut source = Trickle(all.clone(), 0);
        let mut slider = Slider::new(&mut source);
        for frame in [0, 1, 2, 100, 2999, 3000, 6240, 6250, 6251, 9000] {
            slider.move_to(frame).unwrap();
            let start = frame as usize * 160;
            assert_eq!(slider.frames(), (all.len().saturating_sub(start) / 160).min(3000), "{frame}");
            let end = all.len().min(start + slider.frames() * 160);
            assert_eq!(slider.window(slider.frames()), &all[start.min(end)..end], "{frame}");
            let (around, offset) = slider.around(slider.frames());
            if offset <= around.len() && slider.frames() > 0 {
                assert_eq!(&around[..offset], &all[start - start.min(200)..start]);
            }
            assert!(around.len() <= CAPACITY);
        }
        assert_eq!(slider.samples_read(), all.len() as u64);
    }

    #[test]
    fn samples_must_be_finite() {
        let mut all = vec![0.0; 1000];
        all[900] = f32::NAN;
        let mut source: &[f32] = &all;
        let mut slider = Slider::new(&mut source);
        assert!(matches!(slider.move_to(0), Err(TranscribeError::NotFinite { sample: 900 })));
    }
}
