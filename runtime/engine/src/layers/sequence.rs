//! Sequences that a graph computes chunk by chunk, each layer remembering what its window still needs of the rows before.
//!
//! A layer that looks ahead is late by so many rows: a graph whose layers are late by `n` rows in all gives row `r` while it takes row `r + n`.
//! Rows before the first and behind the last are zero to every window, whatever the chunks, so they change no bit.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which rows of which sequence a graph takes.
#[derive(Debug, Default)]
pub struct Sequence {
    first: AtomicUsize,
    rows: AtomicUsize,
}

impl Sequence {
    /// Before a run: the first row it takes, and the rows of the sequence.
    pub fn set(&self, first: usize, rows: usize) {
        self.first.store(first, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }
}

/// Rows of a sequence at some place of a graph.
#[derive(Clone, Debug)]
pub struct Flow {
    sequence: Arc<Sequence>,
    /// Rows here for each row of the sequence.
    rate: usize,
    /// Rows here in a chunk.
    chunk: usize,
    /// Rows here that are still to come when the sequence's are there.
    late: usize,
}

impl Flow {
    /// Where chunks of `chunk` rows go in.
    pub fn new(sequence: &Arc<Sequence>, chunk: usize) -> Self {
        Self { sequence: Arc::clone(sequence), rate: 1, chunk, late: 0 }
    }

    /// All of `rows` rows, at once.
    pub fn whole(rows: usize) -> Self {
        let sequence = Arc::new(Sequence::default());
        sequence.set(0, rows);
        Self::new(&sequence, rows)
    }

    /// The same, `rows` later.
    #[must_use]
    pub fn later(&self, rows: usize) -> Self {
        Self { late: self.late + rows, ..self.clone() }
    }

    /// The same with each row `times` times.
    #[must_use]
    pub fn repeated(&self, times: usize) -> Self {
        Self { rate: self.rate * times, chunk: self.chunk * times, late: self.late * times, ..self.clone() }
    }

    /// Rows of a chunk.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Rows of a chunk that lie within the sequence; all of them where there is none.
    pub fn rows(&self) -> usize {
        if self.sequence.rows.load(Ordering::Relaxed) == 0 { self.chunk } else { self.inside().len() }
    }

    /// Rows by which it is late.
    pub fn late(&self) -> usize {
        self.late
    }

    /// Which of a chunk's rows lie within the sequence.
    pub fn inside(&self) -> Range<usize> {
        let first = self.sequence.first.load(Ordering::Relaxed) * self.rate;
        let end = self.sequence.rows.load(Ordering::Relaxed) * self.rate + self.late;
        let to = end.saturating_sub(first).min(self.chunk);
        self.late.saturating_sub(first).min(to)..to
    }

    /// A chunk's rows that lie at most `beyond` rows before the sequence, and behind it.
    fn around(&self, beyond: usize) -> [Range<usize>; 2] {
        let first = self.sequence.first.load(Ordering::Relaxed) * self.rate;
        let end = self.sequence.rows.load(Ordering::Relaxed) * self.rate + self.late;
        let within = |from: usize, to: usize| from.saturating_sub(first).min(self.chunk)..to.saturating_sub(first).min(self.chunk);
        [within(self.late.saturating_sub(beyond), self.late), within(end, end + beyond)]
    }

    /// The sequence's row that the first row inside is.
    pub fn first(&self) -> usize {
        (self.sequence.first.load(Ordering::Relaxed) * self.rate).saturating_sub(self.late)
    }
}

/// How a window over rows comes by what lies around a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// The one chunk is the whole sequence.
    One,
    /// Chunks follow one another; the output is later by what the window looks ahead, and by `extra` rows.
    Many {
        /// Rows of delay beside those that the window needs.
        extra: usize,
    },
}

/// Rows that a layer's window slides over: `[around + extra + chunk][width]`, `around` being twice what it reaches to a side.
#[derive(Debug)]
pub struct Past {
    rows: Mutex<Vec<f32>>,
    width: usize,
    reach: usize,
    chunks: Chunks,
    flow: Flow,
}

impl Past {
    /// What a window that reaches `reach` rows to each side remembers of rows of `width` values that come in `flow`.
    pub fn new(flow: Flow, width: usize, reach: usize, chunks: Chunks) -> Self {
        let extra = if let Chunks::Many { extra } = chunks { extra } else { 0 };
        let rows = Mutex::new(vec![0.0; (2 * reach + extra + flow.chunk) * width]);
        Self { rows, width, reach, chunks, flow }
    }

    /// Where the output is.
    pub fn output(&self) -> Flow {
        match self.chunks {
            Chunks::One => self.flow.clone(),
            Chunks::Many { extra } => self.flow.later(self.reach + extra),
        }
    }

    /// Bytes of what is remembered.
    pub fn bytes(&self) -> usize {
        self.rows().len() * size_of::<f32>()
    }

    /// Forgets the sequence so far.
    pub fn reset(&self) {
        if self.chunks != Chunks::One {
            // What the next chunk will have in front of it; all else is written before it is read.
            self.rows()[self.flow.chunk * self.width..].fill(0.0);
        }
    }

    /// Takes the next chunk, each of whose rows `row` writes. Row `i` of the output then sees rows `i ..= i + 2 * reach` of what is returned; they are
    /// zero outside of the sequence if row `i` is inside.
    pub fn take(&self, mut row: impl FnMut(usize, &mut [f32])) -> MutexGuard<'_, Vec<f32>> {
        let (mut rows, chunk) = (self.rows(), self.flow.chunk * self.width);
        let at = match self.chunks {
            Chunks::One => self.reach * self.width,
            Chunks::Many { .. } => {
                rows.copy_within(chunk.., 0);
                rows.len() - chunk
            }
        };
        let (inside, width) = (self.flow.inside(), self.width);
        let fresh = &mut rows[at..][..chunk];
        for (i, out) in inside.clone().zip(fresh[inside.start * width..].chunks_exact_mut(width)) {
            row(i, out);
        }
        // Windows of rows inside reach no further.
        for outside in self.flow.around(self.reach) {
            fresh[outside.start * width..outside.end * width].fill(0.0);
        }
        rows
    }

    fn rows(&self) -> MutexGuard<'_, Vec<f32>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_inside_are_those_of_the_sequence() {
        let sequence = Arc::new(Sequence::default());
        let flow = Flow::new(&sequence, 4).later(3).repeated(2).later(1);
        assert_eq!((flow.chunk(), flow.late()), (8, 7));
        let mut seen = vec![];
        for first in (0..20).step_by(4) {
            sequence.set(first, 9);
            let (inside, at) = (flow.inside(), flow.first());
            seen.extend(inside.clone().map(|i| 2 * first + i - 7));
            assert!(inside.is_empty() || 2 * first + inside.start - 7 == at);
        }
        assert_eq!(seen, (0..18).collect::<Vec<_>>());
    }

    #[test]
    fn a_window_sees_the_same_rows_whatever_the_chunks() {
        let wanted: Vec<Vec<f32>> =
            (0..11).map(|r| (r - 2..=r + 2).map(|at: i32| if (0..11).contains(&at) { 1.0 + at as f32 } else { 0.0 }).collect()).collect();
        for (chunk, chunks) in
            [(16, Chunks::One), (16, Chunks::Many { extra: 0 }), (3, Chunks::Many { extra: 0 }), (4, Chunks::Many { extra: 5 })]
        {
            let sequence = Arc::new(Sequence::default());
            let past = Past::new(Flow::new(&sequence, chunk), 1, 2, chunks);
            for _ in 0..2 {
                past.reset();
                let mut seen = vec![];
                let mut first = 0;
                while first < 11 + past.output().late() {
                    sequence.set(first, 11);
                    let rows = past.take(|i, out| out[0] = 1.0 + (first + i) as f32);
                    seen.extend(past.output().inside().map(|i| rows[i..i + 5].to_vec()));
                    first += chunk;
                }
                assert_eq!(seen, wanted, "{chunk} {chunks:?}");
            }
        }
    }
}
