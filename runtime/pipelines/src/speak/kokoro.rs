//! Kokoro's voices: pieces of a clause, each said as a whole.

use std::ops::Range;
use std::sync::Arc;

use ossicle_models::kokoro::KokoroGraph;
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_trace::Tap;

use super::synth::Synth;
use super::{Settings, SpeakError};

/// The phoneme around each piece.
const PAD: u32 = 0;

/// Parts of a second of samples that come at once at most: 1.2 s.
const CHUNK: [usize; 2] = [6, 5];

/// Phonemes after which a clause may be cut, best first; the last are spaces.
pub(super) type Breaks = [Vec<u32>; 3];

/// Kokoro.
pub(super) struct Kokoro {
    graph: KokoroGraph,
    breaks: Breaks,
    /// What speaks where no voice is asked for.
    mixture: Vec<(String, f32)>,
    /// Which voice was asked for last.
    voice: Option<u16>,
    clause: Vec<u32>,
    /// Parts of the clause that are still to be said, the next one last.
    pieces: Vec<Range<usize>>,
    phonemes: Vec<u32>,
    speed: f32,
    /// Samples of the piece that is being said.
    total: usize,
    /// Those of them that came last.
    now: Range<usize>,
}

impl Kokoro {
    pub(super) fn new(graph: KokoroGraph, breaks: Breaks) -> Self {
        let most = graph.config().max_tokens;
        let [clause, phonemes] = [0, 1].map(|_| Vec::with_capacity(most));
        let mixture = vec![(graph.config().voices[0].clone(), 1.0)];
        Self { graph, breaks, mixture, voice: None, clause, pieces: vec![], phonemes, speed: 1.0, total: 0, now: 0..0 }
    }

    /// Speaks in one of the voices, or in the mixture.
    fn take(&mut self, voice: Option<u16>) -> Result<(), GraphError> {
        if voice == self.voice {
            return Ok(());
        }
        match voice {
            Some(at) => {
                let name = self.graph.config().voices.get(usize::from(at)).cloned();
                let name = name.ok_or_else(|| GraphError::Plan(format!("no voice of number {at}")))?;
                self.graph.choose(&[(&name, 1.0)])?;
            }
            None => self.graph.choose(&self.mixture.iter().map(|(name, part)| (name.as_str(), *part)).collect::<Vec<_>>())?,
        }
        self.voice = voice;
        Ok(())
    }

    /// Computes the samples of the next piece, of which there is one; a piece that takes too long becomes two instead.
    fn say(&mut self, piece: Range<usize>) -> Result<(), GraphError> {
        self.phonemes.clear();
        self.phonemes.push(PAD);
        self.phonemes.extend_from_slice(&self.clause[piece.clone()]);
        self.phonemes.push(PAD);
        let frames = self.graph.begin(&self.phonemes, self.speed)?;
        if frames > self.graph.config().max_frames && piece.len() > 1 {
            let at = piece.start + cut(&self.clause[piece.clone()], &self.breaks);
            self.pieces.extend([at..piece.end, piece.start..at]);
            return Ok(());
        }
        self.total = self.graph.run()?.len();
        self.now = 0..0;
        Ok(())
    }
}

/// Where a piece that takes too long is cut: after the sign nearest to its middle, of the best kind that its middle half has, else in its middle.
fn cut(piece: &[u32], breaks: &Breaks) -> usize {
    let (middle, near) = (piece.len() / 2, piece.len() / 4);
    let best = breaks.iter().find_map(|signs| {
        let after = (1..piece.len()).filter(|&at| signs.contains(&piece[at - 1]) && at.abs_diff(middle) <= near);
        after.min_by_key(|at| at.abs_diff(middle))
    });
    best.unwrap_or(middle)
}

impl Synth for Kokoro {
    fn memory_plan(&self) -> MemoryPlan {
        let plan = self.graph.memory_plan();
        let own = (self.clause.capacity() + self.phonemes.capacity()) * size_of::<u32>();
        MemoryPlan { state: plan.state + own, ..plan }
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap);
    }

    fn sample_rate(&self) -> u32 {
        // At most 48 kHz.
        self.graph.config().sampling_rate as u32
    }

    fn voices(&self) -> &[String] {
        &self.graph.config().voices
    }

    fn choose(&mut self, mixture: &[(&str, f32)]) -> Result<(), GraphError> {
        self.graph.choose(mixture)?;
        self.mixture = mixture.iter().map(|(name, part)| ((*name).to_owned(), *part)).collect();
        self.voice = None;
        Ok(())
    }

    fn most(&self) -> usize {
        // The two around them are not among them.
        self.graph.config().max_tokens - 2
    }

    fn begin(&mut self, clause: &[u32], settings: Settings, _: u32) -> Result<(), SpeakError> {
        self.take(settings.voice)?;
        self.clause.clear();
        self.clause.extend_from_slice(clause);
        self.pieces.clear();
        self.pieces.push(0..clause.len());
        self.speed = settings.speed;
        (self.total, self.now) = (0, 0..0);
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, SpeakError> {
        while self.now.end == self.total {
            let Some(mut piece) = self.pieces.pop() else { return Ok(false) };
            // A space at an end is not said.
            let is_space = |clause: &[u32], at: usize| self.breaks[2].contains(&clause[at]);
            while !piece.is_empty() && is_space(&self.clause, piece.start) {
                piece.start += 1;
            }
            while !piece.is_empty() && is_space(&self.clause, piece.end - 1) {
                piece.end -= 1;
            }
            (self.total, self.now) = (0, 0..0);
            if !piece.is_empty() {
                self.say(piece)?;
            }
        }
        let chunk = self.graph.config().sampling_rate * CHUNK[0] / CHUNK[1];
        self.now = self.now.end..self.total.min(self.now.end + chunk);
        Ok(true)
    }

    fn samples(&self) -> Result<&[f32], SpeakError> {
        Ok(&self.graph.samples()?[self.now.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_cut_at_the_best_sign_near_its_middle() {
        let breaks: Breaks = [vec![1], vec![2], vec![3]];
        // A full stop too far from the middle, a comma, spaces.
        assert_eq!(cut(&[9, 1, 9, 3, 9, 9, 2, 9, 9, 9], &breaks), 7);
        assert_eq!(cut(&[9, 9, 9, 3, 9, 3, 9, 9], &breaks), 4);
        assert_eq!(cut(&[9, 9, 9, 9, 1, 9, 9, 2, 9, 9], &breaks), 5);
        assert_eq!(cut(&[9; 7], &breaks), 3);
        assert_eq!(cut(&[9, 9], &breaks), 1);
        assert_eq!(cut(&[9, 3, 3], &breaks), 1);
    }
}
