//! Searching an index.

use std::path::{Path, PathBuf};

use super::sounds::FLOOR;
use super::{Entry, Index, Kind, PictureQuery, Query};

/// A file that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit<'a> {
    /// Which.
    pub entry: &'a Entry,
    /// Of a sound, how much more of the words is heard than of an average class; 1 is no more than that. Of a picture, the cosine.
    pub score: f32,
    /// A sound's best windows, the best first.
    pub windows: Vec<Window>,
}

/// A part of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Seconds.
    pub start: f32,
    /// Seconds.
    pub end: f32,
    /// As a recording's.
    pub score: f32,
}

/// Searches an index.
#[derive(Debug)]
pub struct Finder<'a> {
    index: &'a Index,
}

impl<'a> Finder<'a> {
    /// Searches this index.
    pub fn new(index: &'a Index) -> Self {
        Self { index }
    }

    /// The `most` recordings below `folders` in which the words are heard best, each with its `windows` best windows.
    pub fn sounds(&self, query: &Query, folders: &[PathBuf], most: usize, windows: usize) -> Vec<Hit<'a>> {
        let score = |entry: &Entry| {
            let passages = entry.rows.clone().filter(|&row| self.index.span(row).3);
            passages.map(|row| self.heard(query, row)).max_by(f32::total_cmp)
        };
        let best = self.best(Kind::Sound, folders, most, score);
        best.into_iter().map(|(score, entry)| Hit { entry, score, windows: self.windows(query, entry, windows) }).collect()
    }

    /// The `most` pictures below `folders` that are nearest, but for the one at `except`.
    pub fn pictures(&self, query: &PictureQuery, folders: &[PathBuf], most: usize, except: Option<&Path>) -> Vec<Hit<'a>> {
        let sums = self.index.picture_sums(query);
        let score = |entry: &Entry| {
            let row = entry.rows.clone().next()?;
            (Some(entry.path.as_path()) != except).then(|| query.cosine(sums[row], self.index.picture(row).1))
        };
        let best = self.best(Kind::Picture, folders, most, score);
        best.into_iter().map(|(score, entry)| Hit { entry, score, windows: vec![] }).collect()
    }

    /// The files of a kind with the best scores, the best first.
    fn best(&self, kind: Kind, folders: &[PathBuf], most: usize, score: impl Fn(&Entry) -> Option<f32>) -> Vec<(f32, &'a Entry)> {
        let below = |entry: &&Entry| entry.kind == kind && folders.iter().any(|folder| entry.is_below(folder));
        let scored = self.index.entries().iter().filter(below).filter_map(|entry| Some((score(entry)?, entry)));
        let mut scored: Vec<(f32, &Entry)> = scored.collect();
        let order = |a: &(f32, &Entry), b: &(f32, &Entry)| b.0.total_cmp(&a.0).then_with(|| a.1.path.cmp(&b.1.path));
        if scored.len() > most {
            scored.select_nth_unstable_by(most, order);
            scored.truncate(most);
        }
        scored.sort_by(order);
        scored
    }

    fn windows(&self, query: &Query, entry: &Entry, most: usize) -> Vec<Window> {
        let rows = entry.rows.clone().filter(|&row| !self.index.span(row).3);
        let mut found: Vec<Window> = rows
            .map(|row| {
                let (start, end, ..) = self.index.span(row);
                Window { start, end, score: self.heard(query, row) }
            })
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.start.total_cmp(&b.start)));
        found.truncate(most);
        found
    }

    fn heard(&self, query: &Query, row: usize) -> f32 {
        let (.., norm, _) = self.index.span(row);
        let (values, scale) = self.index.described(row);
        (query.heard_bytes(self.index.roots(row)) + FLOOR) / norm * query.likelier(values, scale)
    }
}
