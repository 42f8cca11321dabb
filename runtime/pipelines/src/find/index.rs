//! Keeping an index up to date.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::{ByteVector, Entry, Index, Kind, Row};
use crate::label;

/// Bytes of a file's beginning and end that its fingerprint is made of.
const FINGERPRINT_BYTES: u64 = 1 << 16;

/// Recordings and pictures in some folders and below, by the endings of their names.
#[derive(Debug)]
pub struct Files {
    folders: Vec<PathBuf>,
    /// In order.
    paths: Vec<(PathBuf, Kind)>,
    /// Pictures of kinds that are not read.
    unread: usize,
}

/// What is to be done for an index to be up to date.
#[derive(Debug)]
pub struct Update {
    /// Files that stay as they are.
    kept: Vec<Entry>,
    /// Files to be listened to or looked at.
    new: Vec<(PathBuf, Kind)>,
    /// Files that were found again under another name.
    pub moved: usize,
    /// Files that are gone.
    pub gone: usize,
}

/// What was made of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// A recording's rows.
    Sound(Vec<Row>),
    /// A picture's vector.
    Picture(ByteVector),
}

impl Files {
    /// Looks through folders, whose paths are whole; links are not followed.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn below(folders: &[PathBuf]) -> io::Result<Self> {
        let mut files = Self { folders: folders.to_vec(), paths: vec![], unread: 0 };
        for folder in folders {
            files.walk(folder)?;
        }
        files.paths.sort_unstable();
        files.paths.dedup();
        Ok(files)
    }

    fn walk(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                self.walk(&path)?;
            } else if let Some(kind) = Kind::of(&path) {
                self.paths.push((path, kind));
            } else {
                self.unread += usize::from(label::has_unread_image_ending(&path));
            }
        }
        Ok(())
    }

    /// Whether there are files of a kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.paths.iter().any(|(_, of)| *of == kind)
    }

    /// Pictures of kinds that are not read.
    pub fn unread(&self) -> usize {
        self.unread
    }
}

impl Update {
    /// Compares an index with the files of some kinds; files elsewhere, and those of other kinds, stay as they are.
    pub fn plan(index: &Index, files: &Files, kinds: &[Kind]) -> Self {
        let known: HashMap<&Path, &Entry> = index.entries().iter().map(|entry| (entry.path.as_path(), entry)).collect();
        let mut by_print: HashMap<(Kind, [u8; 16]), &Entry> = HashMap::new();
        for entry in index.entries().iter().filter(|entry| entry.problem.is_none()) {
            by_print.insert((entry.kind, entry.fingerprint), entry);
        }
        let mut update = Self { kept: vec![], new: vec![], moved: 0, gone: 0 };
        let mut seen: HashSet<&Path> = HashSet::new();
        for (path, kind) in files.paths.iter().filter(|(_, kind)| kinds.contains(kind)) {
            let stat = stat(path).ok();
            let same = known.get(path.as_path()).filter(|entry| stat == Some((entry.bytes, entry.modified)) && entry.problem.is_none());
            if let Some(entry) = same.filter(|entry| entry.kind == *kind) {
                update.kept.push((*entry).clone());
                continue;
            }
            let again = fingerprint(path).ok().and_then(|print| by_print.get(&(*kind, print)));
            match (again, stat) {
                (Some(entry), Some((bytes, modified))) if entry.bytes == bytes => {
                    update.moved += usize::from(!entry.path.exists());
                    seen.insert(&entry.path);
                    update.kept.push(Entry { path: path.clone(), modified, ..(*entry).clone() });
                }
                _ => update.new.push((path.clone(), *kind)),
            }
        }
        let there = |entry: &Entry| files.paths.binary_search_by(|(path, _)| path.cmp(&entry.path)).is_ok();
        for entry in index.entries() {
            if !kinds.contains(&entry.kind) {
                update.kept.push(entry.clone());
            } else if there(entry) {
                // It was dealt with above.
            } else if !files.folders.iter().any(|folder| entry.is_below(folder)) {
                update.kept.push(entry.clone());
            } else if !seen.contains(entry.path.as_path()) {
                update.gone += 1;
            }
        }
        update
    }

    /// Files to be listened to or looked at, in order.
    pub fn new_files(&self) -> &[(PathBuf, Kind)] {
        &self.new
    }

    /// Whether the index is up to date but for [`new_files`](Self::new_files).
    pub fn is_settled(&self, index: &Index) -> bool {
        let mut kept: Vec<&Entry> = self.kept.iter().collect();
        kept.sort_by(|a, b| a.path.cmp(&b.path));
        kept.into_iter().eq(index.entries())
    }

    /// Takes what was made of one of the new files, or why it could not be read. One that cannot even be looked at is kept, too.
    pub fn take(&mut self, index: &mut Index, (path, kind): &(PathBuf, Kind), taken: Result<Taken, String>) {
        let (bytes, modified) = stat(path).unwrap_or_default();
        let fingerprint = fingerprint(path).unwrap_or_default();
        let (rows, problem) = match taken {
            Ok(Taken::Sound(rows)) => (index.add_sound(rows), None),
            Ok(Taken::Picture(vector)) => (index.add_picture(vector), None),
            Err(problem) => (0..0, Some(problem)),
        };
        self.kept.push(Entry { path: path.clone(), kind: *kind, bytes, modified, fingerprint, rows, problem });
    }

    /// Puts all that is known so far into the index, in order of paths.
    pub fn apply(&self, index: &mut Index) {
        let mut entries = self.kept.clone();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        index.set_entries(entries);
    }
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
