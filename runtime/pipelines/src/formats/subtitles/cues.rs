//! Segments become cues: as large as the layout allows, cut where readers pause.

use super::layout::{Layout, SplitOn};
use super::lines::{ALONE, break_cost, broken, count, width};
use super::pieces::{Before, Piece, between, of_segment};
use super::script::{Ends, ends};
use crate::whisper::transcript::Segment;

/// A cue lasts no longer.
const MOST_SECONDS: f64 = 7.0;
/// A cue does not go on over a longer pause.
const MOST_PAUSE: f64 = 1.5;
/// A cue stays so long if none follows it earlier.
const LEAST_SECONDS: f64 = 1.0;
/// A cue whose words have no length lasts so long.
const BLINK: f64 = 0.04;

/// What each cue costs: few are better than many.
const CUE: f64 = 30.0;
/// For ending within a sentence after another has ended in the same cue.
const TWO_SENTENCES: f64 = 35.0;
/// For a second that a cue is too short.
const BRIEF: f64 = 25.0;
/// For an empty cue among full ones.
const UNEVEN: f64 = 15.0;

/// What is shown at once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cue {
    /// Seconds from the recording's start.
    pub(super) start: f64,
    /// Seconds from the recording's start; later than the start.
    pub(super) end: f64,
    /// At least one; none is empty.
    pub(super) lines: Vec<String>,
}

/// Makes cues of segments as they come. A cue that is brief or ends within a sentence is kept back until it is known what follows.
pub(super) struct Cutter {
    layout: Layout,
    kept: Vec<Piece>,
    shown_until: f64,
}

impl Cutter {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, kept: Vec::new(), shown_until: 0.0 }
    }

    /// The cues that are certain once this segment is known.
    pub(super) fn segment(&mut self, segment: &Segment) -> Vec<Cue> {
        let mut new = of_segment(segment, self.layout.width());
        if let (Some(before), Some(after)) = (self.kept.last(), new.first_mut()) {
            after.before = between(before, after);
        }
        self.kept.append(&mut new);
        let Some(last) = self.kept.last() else { return vec![] };
        let whole = ends(&last.text, None) == Ends::Sentence;
        let mut cuts = self.cuts();
        let tail = &self.kept[cuts.iter().rev().nth(1).copied().unwrap_or(0)..];
        if !whole || length(tail) < LEAST_SECONDS {
            cuts.pop();
        }
        self.show(&cuts, None)
    }

    /// When the first begins of what is kept back.
    pub(super) fn waiting(&self) -> Option<f64> {
        self.kept.first().map(|piece| piece.start)
    }

    /// The cues left over at the recording's end.
    pub(super) fn finish(&mut self, duration: f64) -> Vec<Cue> {
        let cuts = self.cuts();
        self.show(&cuts, Some(duration))
    }

    /// Takes the first pieces as cues that end at `cuts`; nothing is shown after `end`.
    fn show(&mut self, cuts: &[usize], end: Option<f64>) -> Vec<Cue> {
        let (mut cues, mut from, shown_until): (Vec<Cue>, _, _) = (vec![], 0, self.shown_until);
        for &to in cuts {
            let (pieces, next) = (&self.kept[from..to], self.kept.get(to).map(|piece| piece.start));
            let (start, until) = times(pieces, self.shown_until, next, end);
            self.shown_until = until;
            cues.push(Cue { start, end: until, lines: broken(pieces, self.layout.width()) });
            from = to;
        }
        self.kept.drain(..from);
        // Words without length at the very end take time from the cues before them.
        let mut most = end.filter(|end| end - shown_until >= BLINK * cues.len() as f64).unwrap_or(f64::INFINITY);
        for cue in cues.iter_mut().rev() {
            cue.end = cue.end.min(most);
            cue.start = cue.start.min(cue.end - BLINK);
            most = cue.start;
        }
        cues
    }

    /// Where cues end, by the least cost of all.
    fn cuts(&self) -> Vec<usize> {
        let n = self.kept.len();
        let mut best = vec![(f64::INFINITY, 0); n + 1];
        best[0].0 = 0.0;
        for end in 1..=n {
            for start in (0..end).rev() {
                if start + 1 < end && !self.goes_together(start, end) {
                    break;
                }
                let cost = best[start].0 + self.cost(start, end);
                if cost < best[end].0 {
                    best[end] = (cost, start);
                }
            }
        }
        let (mut cuts, mut end) = (vec![], n);
        while end > 0 {
            cuts.push(end);
            end = best[end].1;
        }
        cuts.reverse();
        cuts
    }

    /// Whether these pieces, of which the later ones do, may be one cue.
    fn goes_together(&self, start: usize, end: usize) -> bool {
        let (first, second) = (&self.kept[start], &self.kept[start + 1]);
        let sentence = self.layout.split_on == SplitOn::Sentence && ends(&first.text, Some(&second.text)) == Ends::Sentence;
        let pieces = &self.kept[start..end];
        !sentence
            && second.start - first.end <= MOST_PAUSE
            && length(pieces) <= MOST_SECONDS
            && count(pieces, self.layout.width()) <= self.layout.lines()
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let pieces = &self.kept[start..end];
        let next = self.kept.get(end);
        let ended = next.is_none_or(|next| ends(&pieces[pieces.len() - 1].text, Some(&next.text)) == Ends::Sentence);
        let inner = pieces.windows(2).any(|pair| ends(&pair[0].text, Some(&pair[1].text)) == Ends::Sentence);
        let room = (self.layout.width() * self.layout.lines()) as f64;
        let empty = (1.0 - width(pieces) as f64 / room).max(0.0);
        let mut cost = CUE + UNEVEN * empty * empty + BRIEF * (LEAST_SECONDS - length(pieces)).max(0.0);
        cost += next.map_or(0.0, |next| break_cost(&pieces[pieces.len() - 1], next));
        if pieces.len() == 1 && !(ended && pieces[0].before != Before::Word) {
            cost += ALONE;
        }
        if inner && !ended {
            cost += TWO_SENTENCES;
        }
        cost
    }
}

/// From the first piece's start to the last one's end.
fn length(pieces: &[Piece]) -> f64 {
    match (pieces.first(), pieces.last()) {
        (Some(first), Some(last)) => last.end - first.start,
        _ => 0.0,
    }
}

/// When a cue is shown: not before the last one is gone, from its first word to its last, a brief one a little longer, and not after `end`
/// or the start of the next.
fn times(pieces: &[Piece], shown_until: f64, next: Option<f64>, end: Option<f64>) -> (f64, f64) {
    let most = next.into_iter().chain(end).fold(f64::INFINITY, f64::min);
    let (first, last) = pieces.first().zip(pieces.last()).map_or((0.0, 0.0), |(first, last)| (first.start, last.end));
    let start = first.max(shown_until).min((most - BLINK).max(shown_until));
    // Where nothing is known of what follows, the words are long enough.
    let least = if most.is_finite() { LEAST_SECONDS } else { BLINK };
    let until = last.max(start + least).min(most).min(start + MOST_SECONDS);
    (start, until.max(start + BLINK))
}

#[cfg(test)]
#[path = "cues_tests.rs"]
mod tests;
