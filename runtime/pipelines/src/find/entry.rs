//! Files that an index knows.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{audio, label};

/// Bytes of a record: path (start, length), problem (length), rows (first, count), size, time, fingerprint, kind.
pub(super) const RECORD: usize = 64;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A recording.
    Sound,
    /// A picture.
    Picture,
}

/// A file that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, in nanoseconds since 1970.
    pub modified: i64,
    /// A digest of its beginning, its end and its size, by which it is known again elsewhere.
    pub fingerprint: [u8; 16],
    /// Its rows, among those of its kind.
    pub rows: Range<usize>,
    /// Why it could not be read; then it has no rows, and is tried again.
    pub problem: Option<String>,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Sound, Self::Picture];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Picture => "picture",
        }
    }

    /// What a file holds by the ending of its name.
    pub fn of(path: &Path) -> Option<Self> {
        if audio::has_audio_ending(path) {
            Some(Self::Sound)
        } else if label::has_image_ending(path) {
            Some(Self::Picture)
        } else {
            None
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Picture => 1,
        }
    }
}

impl Entry {
    /// Whether it lies in a folder or below. Both paths are whole and without detours.
    pub(super) fn is_below(&self, folder: &Path) -> bool {
        // A hundred thousand of these are asked in a search: bytes are compared faster than components.
        let (path, folder) = (self.path.as_os_str().as_encoded_bytes(), folder.as_os_str().as_encoded_bytes());
        let rest = path.strip_prefix(folder);
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || folder.ends_with(b"/"))
    }

    /// Appends its record, whose rows begin at `first`.
    pub(super) fn write(&self, records: &mut Vec<u8>, text: &mut String, first: usize) {
        let at = text.len() as u64;
        let path = self.path.to_string_lossy();
        text.push_str(&path);
        let problem = self.problem.as_deref().unwrap_or_default();
        text.push_str(problem);
        records.extend(at.to_le_bytes());
        records.extend((path.len() as u32).to_le_bytes());
        records.extend((problem.len() as u32).to_le_bytes());
        records.extend((first as u32).to_le_bytes());
        records.extend((self.rows.len() as u32).to_le_bytes());
        records.extend(self.bytes.to_le_bytes());
        records.extend(self.modified.to_le_bytes());
        records.extend(self.fingerprint);
        records.extend([self.kind.code(), 0, 0, 0, 0, 0, 0, 0]);
    }

    /// Reads a record; none if it points beyond the text, or `rows` does not have its rows.
    pub(super) fn read(record: &[u8; RECORD], text: &str, rows: impl Fn(Kind) -> usize) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(*record[at..].first_chunk()?));
        let short = |at: usize| Some(u32::from_le_bytes(*record[at..].first_chunk()?) as usize);
        let kind = Kind::ALL.into_iter().find(|kind| kind.code() == record[56])?;
        let at = usize::try_from(long(0)?).ok()?;
        let (path, problem, first, count) = (short(8)?, short(12)?, short(16)?, short(20)?);
        let middle = at.checked_add(path)?;
        let problem = text.get(middle..middle.checked_add(problem)?)?;
        Some(Self {
            path: PathBuf::from(text.get(at..middle)?),
            kind,
            bytes: long(24)?,
            modified: long(32)?.cast_signed(),
            fingerprint: *record[40..].first_chunk()?,
            rows: (first.checked_add(count)? <= rows(kind)).then_some(first..first + count)?,
            problem: (!problem.is_empty()).then(|| problem.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        let (bytes, modified, fingerprint) = (7, -5, [3; 16]);
        Entry { path: path.into(), kind: Kind::Picture, bytes, modified, fingerprint, rows: 2..3, problem: Some("no picture".into()) }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (mut records, mut text) = (vec![], "before".to_owned());
        let entry = entry("/pictures/ä.jpg");
        entry.write(&mut records, &mut text, 2);
        let mut record: [u8; RECORD] = records.try_into().unwrap();
        let read = |record: &[u8; RECORD], pictures| Entry::read(record, &text, |kind| if kind == Kind::Picture { pictures } else { 0 });
        assert_eq!(read(&record, 3), Some(entry));
        assert_eq!(read(&record, 2), None, "its row is not there");
        record[56] = 2;
        assert_eq!(read(&record, 3), None, "a kind that is not known");
    }

    #[test]
    fn what_lies_below_a_folder() {
        for (path, folder, below) in [
            ("/a/b/c.wav", "/a/b", true),
            ("/a/bc.wav", "/a/b", false),
            ("/a/b", "/a/b", true),
            ("/a/b.wav", "/", true),
            ("/c/b.wav", "/a", false),
        ] {
            assert_eq!(entry(path).is_below(Path::new(folder)), below, "{path} {folder}");
            assert_eq!(Path::new(path).starts_with(folder), below, "{path} {folder}");
        }
    }
}
