//! What is kept of a recording while it is heard.

use ossicle::audio::SAMPLE_RATE;
use ossicle::events::{ClassOutputs, Event, Heard};
use ossicle_frontend::yamnet::{BINS, FRAME_SAMPLES, HOP_SAMPLES, YamnetMel, YamnetScratch, frames_of};
use ossicle_kernels::simd::Isa;

use crate::figure::{Figure, Timed};
use crate::pooled::Pooled;

/// Most events that are kept; later ones are counted.
pub const MOST_EVENTS: usize = 10_000;

/// Most columns of the spectrogram, twice what a picture shows.
const COLUMNS: usize = 4096;

/// Most hops whose scores are kept apart: 8 minutes of 0.24 s.
const HOPS: usize = 2048;

/// Frames computed at a time.
const FRAMES: usize = 16;

/// Listens beside a detector. At most about 7 MB for YAMNet's labels, whatever the length.
pub struct Sketch {
    mel: YamnetMel,
    scratch: Box<YamnetScratch>,
    /// Samples that no frame begins at yet.
    pending: Vec<f32>,
    bands: Pooled,
    scores: Pooled,
    /// Seconds from one score to the next; of the first score alone, what it counts for.
    hop: f64,
    /// Where the first score's part ends, in seconds.
    first: f64,
    events: Vec<Event>,
    left_out: usize,
    samples: u64,
}

impl Sketch {
    /// For a detector with so many labels.
    pub fn new(isa: Isa, labels: usize) -> Self {
        Self {
            mel: YamnetMel::new(isa),
            scratch: Box::default(),
            pending: vec![],
            bands: Pooled::new(BINS, COLUMNS),
            scores: Pooled::new(labels, HOPS),
            hop: 0.0,
            first: 0.0,
            events: vec![],
            left_out: 0,
            samples: 0,
        }
    }

    /// Takes finite 16 kHz samples.
    pub fn samples(&mut self, samples: &[f32]) {
        self.samples += samples.len() as u64;
        for samples in samples.chunks(FRAMES * HOP_SAMPLES) {
            self.pending.extend_from_slice(samples);
            self.frames();
        }
    }

    fn frames(&mut self) {
        let count = frames_of(self.pending.len()).min(2 * FRAMES);
        let mut frames = [0.0; 2 * FRAMES * BINS];
        let frames = &mut frames[..count * BINS];
        self.mel.frames(&self.pending, frames, &mut self.scratch).expect("as many samples as these frames see");
        frames.chunks_exact(BINS).for_each(|frame| self.bands.push(frame));
        self.pending.drain(..count * HOP_SAMPLES);
    }

    /// Takes what the detector tells.
    pub fn heard(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Scores(scores) => {
                // The first may count for what lies before it too, the last ends with the recording.
                let length = scores.end - scores.start;
                match self.scores.rows() {
                    0 => (self.first, self.hop) = (scores.end, length),
                    1 => self.hop = length,
                    _ => self.hop = self.hop.max(length),
                }
                self.scores.push(scores.scores);
            }
            Heard::Event(event) if self.events.len() < MOST_EVENTS => self.events.push(event.clone()),
            Heard::Event(_) => self.left_out += 1,
            Heard::Start(_) | Heard::Repeat(_) => {}
        }
    }

    /// Where the first score's part would begin if it were as long as the others, in seconds.
    fn first_score(&self) -> f64 {
        self.first - self.hop
    }

    /// Events beyond [`MOST_EVENTS`], which are in no figure.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Ends the recording `name`; `classes` are the detector's.
    pub fn finish<'a>(mut self, name: &str, classes: impl Iterator<Item = ClassOutputs<'a>>) -> Figure {
        if self.bands.columns() == 0 {
            self.pending.resize(FRAME_SAMPLES, 0.0);
            self.frames();
        }
        let rate = f64::from(SAMPLE_RATE);
        let frame = HOP_SAMPLES as f64 / rate;
        // A frame stands for the hop around its middle.
        let start = self.first_score();
        let bands = Timed { start: (FRAME_SAMPLES - HOP_SAMPLES) as f64 / 2.0 / rate, step: frame, columns: self.bands };
        let scores = Timed { start, step: self.hop, columns: self.scores };
        Figure::new(name, self.samples as f64 / rate, bands, scores, self.events, classes)
    }
}

#[cfg(test)]
mod tests {
    use ossicle::events::Scores;

    use super::*;

    #[test]
    fn scores_stand_where_they_count() {
        // A head's cells of 40 ms, the last one cut short; patches of 0.975 s each 0.24 s, the first counting from the beginning.
        for (ends, wanted) in [([0.04, 0.08, 0.11], (0.0, 0.04)), ([0.6075, 0.8475, 1.0875], (0.3675, 0.24))] {
            let mut sketch = Sketch::new(Isa::detect(), 1);
            let mut start = 0.0;
            for end in ends {
                sketch.heard(&Heard::Scores(Scores { start, end, scores: &[0.5], embedding: &[] }));
                start = end;
            }
            assert!((sketch.first_score() - wanted.0).abs() < 1e-9 && (sketch.hop - wanted.1).abs() < 1e-9, "{ends:?}");
        }
    }
}
