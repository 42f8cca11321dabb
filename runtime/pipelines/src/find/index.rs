//! Keeping an index up to date, and searching it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::sounds::FLOOR;
use super::{Entry, Index, Query, Row};
use crate::audio;

/// Bytes of a file's beginning and end that its fingerprint is made of.
const FINGERPRINT_BYTES: u64 = 1 << 16;

/// What is to be done for an index to be up to date.
#[derive(Debug)]
pub struct Update {
    /// Files that stay as they are.
    kept: Vec<Entry>,
    /// Files to be listened to.
    new: Vec<PathBuf>,
    /// Files that were found again under another name.
    pub moved: usize,
    /// Files that are gone.
    pub gone: usize,
}

/// A recording that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit<'a> {
    /// Which.
    pub entry: &'a Entry,
    /// How much more of the words is heard than of an average class; 1 is no more than that.
    pub score: f32,
    /// The best windows, the best first.
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

/// Searches an index, or changes it.
#[derive(Debug)]
pub struct Finder<'a> {
    index: &'a Index,
}

impl Update {
    /// Compares an index with what lies in `folders`; files elsewhere stay as they are.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn plan(index: &Index, folders: &[PathBuf]) -> io::Result<Self> {
        let mut paths = vec![];
        for folder in folders {
            walk(folder, &mut paths)?;
        }
        paths.sort_unstable();
        paths.dedup();
        let known: HashMap<&Path, &Entry> = index.entries().iter().map(|entry| (entry.path.as_path(), entry)).collect();
        let mut by_print: HashMap<[u8; 16], &Entry> = HashMap::new();
        for entry in index.entries().iter().filter(|entry| entry.problem.is_none()) {
            by_print.insert(entry.fingerprint, entry);
        }
        let mut update = Self { kept: vec![], new: vec![], moved: 0, gone: 0 };
        let mut seen: Vec<&Path> = vec![];
        for path in &paths {
            let stat = stat(path).ok();
            let same = known.get(path.as_path()).filter(|entry| stat == Some((entry.bytes, entry.modified)) && entry.problem.is_none());
            if let Some(entry) = same {
                update.kept.push((*entry).clone());
                continue;
            }
            let again = fingerprint(path).ok().and_then(|print| by_print.get(&print));
            match (again, stat) {
                (Some(entry), Some((bytes, modified))) if entry.bytes == bytes => {
                    update.moved += usize::from(!entry.path.exists());
                    seen.push(&entry.path);
                    update.kept.push(Entry { path: path.clone(), modified, ..(*entry).clone() });
                }
                _ => update.new.push(path.clone()),
            }
        }
        for entry in index.entries().iter().filter(|entry| paths.binary_search(&entry.path).is_err()) {
            if !folders.iter().any(|folder| entry.path.starts_with(folder)) {
                update.kept.push(entry.clone());
            } else if !seen.contains(&entry.path.as_path()) {
                update.gone += 1;
            }
        }
        Ok(update)
    }

    /// Files to be listened to, in order.
    pub fn new_files(&self) -> &[PathBuf] {
        &self.new
    }

    /// Whether the index is up to date but for [`new_files`](Self::new_files).
    pub fn is_settled(&self, index: &Index) -> bool {
        let mut kept: Vec<&Entry> = self.kept.iter().collect();
        kept.sort_by(|a, b| a.path.cmp(&b.path));
        kept.into_iter().eq(index.entries())
    }

    /// Takes what was heard in one of the new files, or why it could not be read. One that cannot even be looked at is kept, too.
    pub fn heard(&mut self, index: &mut Index, path: &Path, rows: Result<Vec<Row>, String>) {
        let (bytes, modified) = stat(path).unwrap_or_default();
        let fingerprint = fingerprint(path).unwrap_or_default();
        let (rows, problem) = match rows {
            Ok(rows) => (index.add(rows), None),
            Err(problem) => (0..0, Some(problem)),
        };
        self.kept.push(Entry { path: path.to_owned(), bytes, modified, fingerprint, rows, problem });
    }

    /// Puts all that is known so far into the index, in order of paths.
    pub fn apply(&self, index: &mut Index) {
        let mut entries = self.kept.clone();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        index.set_entries(entries);
    }
}

impl<'a> Finder<'a> {
    /// Searches this index.
    pub fn new(index: &'a Index) -> Self {
        Self { index }
    }

    /// The `most` recordings below `folders` in which the words are heard best, each with its `windows` best windows.
    pub fn find(&self, query: &Query, folders: &[PathBuf], most: usize, windows: usize) -> Vec<Hit<'a>> {
        let below = |entry: &&Entry| folders.iter().any(|folder| entry.path.starts_with(folder));
        let ranked = self.index.entries().iter().filter(below).filter_map(|entry| {
            let passages = entry.rows.clone().filter(|&row| self.index.span(row).3);
            Some((passages.map(|row| self.score(query, row)).max_by(f32::total_cmp)?, entry))
        });
        let mut ranked: Vec<(f32, &Entry)> = ranked.collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.path.cmp(&b.1.path)));
        ranked.truncate(most);
        ranked.into_iter().map(|(score, entry)| Hit { entry, score, windows: self.windows(query, entry, windows) }).collect()
    }

    fn windows(&self, query: &Query, entry: &Entry, most: usize) -> Vec<Window> {
        let rows = entry.rows.clone().filter(|&row| !self.index.span(row).3);
        let mut found: Vec<Window> = rows
            .map(|row| {
                let (start, end, ..) = self.index.span(row);
                Window { start, end, score: self.score(query, row) }
            })
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.start.total_cmp(&b.start)));
        found.truncate(most);
        found
    }

    fn score(&self, query: &Query, row: usize) -> f32 {
        let (.., norm, _) = self.index.span(row);
        let (values, scale) = self.index.described(row);
        (query.heard_bytes(self.index.roots(row)) + FLOOR) / norm * query.likelier(values, scale)
    }
}

/// Recordings in a folder and below, by their names' endings; a file that is named is taken whatever its name.
fn walk(path: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            walk(&path, paths)?;
        } else if audio::has_audio_ending(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

fn stat(path: &Path) -> io::Result<(u64, i64)> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX)))
}

fn fingerprint(path: &Path) -> io::Result<[u8; 16]> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(bytes.to_le_bytes());
    let mut part = vec![];
    (&mut file).take(FINGERPRINT_BYTES).read_to_end(&mut part)?;
    hash.update(&part);
    file.seek(SeekFrom::Start(bytes.saturating_sub(FINGERPRINT_BYTES)))?;
    part.clear();
    file.take(FINGERPRINT_BYTES).read_to_end(&mut part)?;
    hash.update(&part);
    let mut print = [0; 16];
    print.copy_from_slice(&hash.finalize()[..16]);
    Ok(print)
}
