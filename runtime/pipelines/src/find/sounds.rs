//! A recording as rows that words can be compared with.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::yamnet::{YamnetConfig, embedding_sha256};

use super::{ByteVector, Captions, FindError, Query, SoundWords, TextEncoder};
use crate::events::{Detector, EventsError, Heard, Options, Settings};

/// Frames of 10 ms from one score of YAMNet to the next.
const HOP_FRAMES: usize = 48;

/// Scores of a window: 9.6 s.
const WINDOW_HOPS: usize = 20;

/// Windows of a passage: 96 s. What lasts is found by its passage, what is short by its window.
const PASSAGE_WINDOWS: usize = 10;

/// Added to what is heard before it is compared, so that a silent recording matches nothing.
pub(super) const FLOOR: f32 = 1e-3;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whether it is a passage, of which a recording's rank is made, or a window within.
    pub passage: bool,
    /// Seconds.
    pub start: f32,
    /// Seconds.
    pub end: f32,
    /// How much of any sound is heard: what a sentence has to beat.
    pub norm: f32,
    /// Roots of the mean scores of YAMNet's classes, times 255.
    pub roots: Vec<u8>,
    /// What would be said of it, by the caption map.
    pub described: ByteVector,
}

/// Makes rows of recordings.
pub struct SoundRows {
    detector: Detector,
    bank: Vec<Query>,
    phrases: Vec<Query>,
    captions: Option<Captions>,
    /// Sums of scores of the window that is heard, how many, and where it began and ends.
    window: Sums,
    windows: Vec<Sums>,
}

/// Scores of a stretch of a recording.
#[derive(Clone, Debug, Default)]
struct Sums {
    sums: Vec<f64>,
    embedding: Vec<f64>,
    hops: usize,
    start: f64,
    end: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        if self.hops == 0 {
            *self = other.clone();
            return;
        }
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, x)| *sum += x);
        self.embedding.iter_mut().zip(&other.embedding).for_each(|(sum, x)| *sum += x);
        self.hops += other.hops;
        self.end = other.end;
    }

    fn mean_embedding(&self) -> Vec<f32> {
        self.embedding.iter().map(|sum| (sum / self.hops as f64) as f32).collect()
    }
}

impl SoundRows {
    /// Opens a YAMNet without a head, to be compared by the encoder's phrases.
    ///
    /// # Errors
    /// If the model cannot be used, or is another than the phrases are for.
    pub fn open(model: &Path, encoder: &TextEncoder, isa: Isa, threads: usize) -> Result<(Self, SoundWords), EventsError> {
        let options = Options { isa, threads, hop_frames: Some(HOP_FRAMES), ..Options::default() };
        let detector = Detector::open(model, &Settings::default(), options)?;
        let words = SoundWords::new(encoder, detector.labels())?;
        let (bank, phrases) = (words.classes(isa), words.sample(isa));
        let captions = captions(model, encoder)?;
        if let Some(values) = captions.as_ref().map(Captions::values).filter(|&values| values != words.described()) {
            let problem = format!("has a caption map of {values} values, {} are needed: make it anew", words.described());
            return Err(FindError::Sounds { path: encoder.path().to_owned(), problem }.into());
        }
        Ok((Self { detector, bank, phrases, captions, window: Sums::default(), windows: vec![] }, words))
    }

    /// Classes of each row.
    pub fn classes(&self) -> usize {
        self.bank.len()
    }

    /// Takes finite 16 kHz samples.
    ///
    /// # Errors
    /// If the network cannot run.
    pub fn push(&mut self, samples: &[f32]) -> Result<(), EventsError> {
        let Self { detector, window, windows, .. } = self;
        detector.push(samples, &mut |heard| hear(&heard, window, windows))
    }

    /// Ends the recording, and gives its rows.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self) -> Result<Vec<Row>, EventsError> {
        let windows = self.heard()?;
        let mut rows = vec![];
        for windows in windows.chunks(PASSAGE_WINDOWS) {
            rows.push(self.row(&together(windows), true));
            rows.extend(windows.iter().map(|window| self.row(window, false)));
        }
        Ok(rows)
    }

    /// Ends the recording, and gives the mean of YAMNet's embedding over all of it; none of an empty one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish_mean(&mut self) -> Result<Option<Vec<f32>>, EventsError> {
        let windows = self.heard()?;
        Ok((!windows.is_empty()).then(|| together(&windows).mean_embedding()))
    }

    /// Ends the recording, and gives its windows.
    fn heard(&mut self) -> Result<Vec<Sums>, EventsError> {
        let Self { detector, window, windows, .. } = self;
        detector.finish(&mut |heard| hear(&heard, window, windows))?;
        let (rest, mut windows) = (std::mem::take(window), std::mem::take(windows));
        // A short rest belongs to the window before it.
        if rest.hops > 0 {
            match windows.last_mut() {
                Some(last) if 2 * rest.hops < WINDOW_HOPS => last.add(&rest),
                _ => windows.push(rest),
            }
        }
        Ok(windows)
    }

    fn row(&self, sums: &Sums, passage: bool) -> Row {
        let root = |sum: &f64| (255.0 * (sum / sums.hops as f64).clamp(0.0, 1.0).sqrt()).round() as u8;
        let roots: Vec<u8> = sums.sums.iter().map(root).collect();
        let described = self.captions.as_ref().map(|captions| captions.describe(&sums.mean_embedding())).unwrap_or_default();
        Row {
            passage,
            start: sums.start as f32,
            end: sums.end as f32,
            norm: norm(&self.bank, &self.phrases, &roots, &described),
            roots,
            described,
        }
    }
}

/// The caption map of an encoder for the YAMNet in a folder.
fn captions(model: &Path, encoder: &TextEncoder) -> Result<Option<Captions>, FindError> {
    let folder = ModelFolder::<YamnetConfig>::open(model)?;
    Captions::new(encoder, &embedding_sha256(&folder))
}

fn together(windows: &[Sums]) -> Sums {
    let mut all = Sums::default();
    windows.iter().for_each(|window| all.add(window));
    all
}

fn hear(heard: &Heard<'_>, window: &mut Sums, windows: &mut Vec<Sums>) {
    let Heard::Scores(scores) = heard else { return };
    let sums = scores.scores.iter().map(|&score| f64::from(score)).collect();
    let embedding = scores.embedding.iter().map(|&x| f64::from(x)).collect();
    window.add(&Sums { sums, embedding, hops: 1, start: scores.start, end: scores.end });
    if window.hops == WINDOW_HOPS {
        windows.push(std::mem::take(window));
    }
}

/// How much is heard of anything: of any class, times the root of how likely any phrase is beside that.
fn norm(classes: &[Query], phrases: &[Query], roots: &[u8], described: &ByteVector) -> f32 {
    let values: Vec<f32> = roots.iter().map(|&root| f32::from(root) / 255.0).collect();
    let heard = |query: &Query| query.heard(&values) + FLOOR;
    let any = cubic_mean(classes.iter().map(heard));
    let likely = |query: &Query| heard(query) / any * query.likelier(&described.values, described.scale);
    any * cubic_mean(phrases.iter().map(likely)).sqrt()
}

/// The third root of the third powers' mean; of nothing next to 0, but above it.
fn cubic_mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len().max(1) as f32;
    let mean = values.map(|x| x * x * x).sum::<f32>() / count;
    // By halving: no function of a C library decides on a bit.
    let (mut low, mut high) = (0.0f32, mean.max(1.0));
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if middle * middle * middle < mean { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_mean_lies_between_the_mean_and_the_largest() {
        for (values, expected) in [(vec![0.5; 7], 0.5), (vec![0.0, 2.0], 1.587_401), (vec![300.0], 300.0), (vec![], 0.0)] {
            let found = cubic_mean(values.iter().copied());
            assert!((found - expected).abs() <= 1e-6 * expected + 1e-18, "{values:?}: {found}");
        }
    }
}
