//! From a window's tokens to segments, and to where the next window starts.

use std::ops::Range;

use super::specials::{SECONDS_PER_TIMESTAMP, Specials};

/// Mel frames between two timestamps.
const FRAMES_PER_TIMESTAMP: usize = 2;

/// A part of a window's tokens with its times.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which tokens.
    pub tokens: Range<usize>,
    /// Seconds from the window's start.
    pub start: f64,
    /// Seconds from the window's start.
    pub end: f64,
}

/// A window's tokens in pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The segments.
    pub pieces: Vec<Piece>,
    /// Frames until the next window.
    pub advance: usize,
    /// Whether the text ends in a single timestamp: nothing is said after it.
    pub complete: bool,
}

/// Splits as openai-whisper does: where two timestamps meet, a segment ends and the next begins. What follows the last such pair is
/// unfinished, and the next window starts there, unless it ends in a timestamp of its own: then the window is done. Without such a pair
/// the whole window is one segment; unlike there, it starts at its first timestamp.
pub fn split(tokens: &[u32], specials: &Specials, window_frames: usize) -> Split {
    let timestamp = |token: u32| (token - specials.timestamp_begin) as usize;
    let is_timestamp = |i: usize| specials.is_timestamp(tokens[i]);
    let n = tokens.len();
    let complete = n >= 2 && is_timestamp(n - 1) && !is_timestamp(n - 2);

    let seconds = |i: usize| is_timestamp(i).then(|| timestamp(tokens[i]) as f64 * SECONDS_PER_TIMESTAMP);

    let mut ends: Vec<usize> = (1..n).filter(|&i| is_timestamp(i - 1) && is_timestamp(i)).collect();
    if ends.is_empty() {
        let start = if n > 1 { seconds(0).unwrap_or(0.0) } else { 0.0 };
        let last = (1..n).rev().find_map(seconds).filter(|&end| end > start);
        let end = last.unwrap_or(window_frames as f64 / 100.0);
        return Split { pieces: vec![Piece { tokens: 0..n, start, end }], advance: window_frames, complete };
    }

    if complete {
        ends.push(n);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let pieces: Vec<Piece> = starts
        .zip(&ends)
        .map(|(start, &end)| Piece { tokens: start..end, start: seconds(start).unwrap_or(0.0), end: seconds(end - 1).unwrap_or(0.0) })
        .collect();
    let advance = match ends.last() {
        Some(&end) if !complete => (timestamp(tokens[end - 1]) * FRAMES_PER_TIMESTAMP).min(window_frames),
        _ => window_frames,
    };
    // A window that does not advance would be decoded for ever.
    let advance = if advance == 0 { window_frames } else { advance };
    Split { pieces, advance, complete }
}

#[cfg(test)]
mod tests {
    use super::super::specials::tests::{SMALL_VOCAB, small};
    use super::*;

    fn split_small(tokens: &[u32], frames: usize) -> Split {
        split(tokens, &Specials::new(&small(), SMALL_VOCAB).unwrap(), frames)
    }

    fn piece(tokens: Range<usize>, start: f64, end: f64) -> Piece {
        Piece { tokens, start, end }
    }

    #[test]
    fn a_single_closed_segment_ends_the_window() {
        let split = split_small(&[70, 1, 2, 160], 3000);
        assert_eq!(split, Split { pieces: vec![piece(0..4, 0.2, 2.0)], advance: 3000, complete: true });
        let unclosed = split_small(&[70, 1, 2], 1500);
        assert_eq!(unclosed, Split { pieces: vec![piece(0..3, 0.2, 15.0)], advance: 1500, complete: false });
    }

    #[test]
    fn an_unclosed_segment_after_a_pair_is_left_to_the_next_window() {
        let split = split_small(&[60, 1, 110, 110, 2, 160, 160, 3], 3000);
        assert_eq!(split.pieces, [piece(0..3, 0.0, 1.0), piece(3..6, 1.0, 2.0)]);
        assert_eq!((split.advance, split.complete), (200, false));
    }

    #[test]
    fn a_closed_segment_after_a_pair_is_kept() {
        let split = split_small(&[65, 1, 110, 115, 2, 160], 2000);
        assert_eq!(split.pieces, [piece(0..3, 0.1, 1.0), piece(3..6, 1.1, 2.0)]);
        assert_eq!((split.advance, split.complete), (2000, true));
    }

    #[test]
    fn a_pair_at_the_end_moves_there() {
        let split = split_small(&[60, 1, 110, 110], 3000);
        assert_eq!(split.pieces, [piece(0..3, 0.0, 1.0)]);
        assert_eq!(split.advance, 100);
    }

    #[test]
    fn without_timestamps_the_window_is_one_segment() {
        let split = split_small(&[1, 2, 3], 1234);
        assert_eq!(split.pieces, [piece(0..3, 0.0, 12.34)]);
        assert_eq!(split.advance, 1234);
    }

    #[test]
    fn nothing_gives_one_empty_segment_and_timestamps_never_move_past_the_window() {
        assert_eq!(split_small(&[], 700).pieces, [piece(0..0, 0.0, 7.0)]);
        assert_eq!(split_small(&[60, 1, 560, 560, 3], 700).advance, 700);
        assert_eq!(split_small(&[60, 60, 3], 700).advance, 700, "a pair at 0.00 must not stand still");
    }
}
