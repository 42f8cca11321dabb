//! What is kept of a recording while it is heard.

use ossicle::audio::SAMPLE_RATE;
use ossicle::events::{ClassOutputs, Event, Heard};
use ossicle_frontend::yamnet::{BINS, FRAME_SAMPLES, HOP_SAMPLES, PATCH_SAMPLES, YamnetMel, YamnetScratch, frames_of};
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
    /// Seconds from one score to the next.
    hop: f64,
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
                // The first counts for what lies before it too.
                if self.scores.columns() > 0 {
                    self.hop = scores.end - scores.start;
                }
                self.scores.push(scores.scores);
            }
            Heard::Event(event) if self.events.len() < MOST_EVENTS => self.events.push(event.clone()),
            Heard::Event(_) => self.left_out += 1,
        }
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
        // A frame stands for the hop around its middle, a score for that around its patch's.
        let bands = Timed { start: (FRAME_SAMPLES - HOP_SAMPLES) as f64 / 2.0 / rate, step: frame, columns: self.bands };
        let scores = Timed { start: PATCH_SAMPLES as f64 / 2.0 / rate - self.hop / 2.0, step: self.hop, columns: self.scores };
        Figure::new(name, self.samples as f64 / rate, bands, scores, self.events, classes)
    }
}
