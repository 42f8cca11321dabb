//! The index on disk: one safetensors file, mapped, replaced by renaming.
//!
//! `files` has a record of [`RECORD`] bytes for each recording, `text` their paths and problems, and each kind of vector a table of rows with
//! their spans: `sounds.rows` u8 `[rows][classes]`, `sounds.described` i8 `[rows][values]` and `sounds.spans` f32 `[rows][5]` (start, end, norm,
//! 1 for a passage, the scale of the described values). Other kinds of vectors can lie beside them under names of their own. The metadata says which models made them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ossicle_models::folder::MappedFile;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Described, Row};

/// The format, in the metadata.
const FORMAT: &str = "ossicle-find 2";

/// Bytes of a record: path (start, length), problem (length), rows (first, count), size, time, fingerprint.
const RECORD: usize = 64;

/// Values of a span.
const SPAN: usize = 5;

/// What made an index: SHA-256 of the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// Of the sound model.
    pub sounds: String,
    /// Of the sentence encoder.
    pub words: String,
}

/// A file that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, in nanoseconds since 1970.
    pub modified: i64,
    /// A digest of its beginning, its end and its size, by which it is known again elsewhere.
    pub fingerprint: [u8; 16],
    /// Its rows.
    pub rows: Range<usize>,
    /// Why it could not be read; then it has no rows, and is tried again.
    pub problem: Option<String>,
}

/// An index cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexError {
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not an index, or damaged.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Other models made it.
    Models {
        /// The file.
        path: PathBuf,
    },
    /// Another process is writing it.
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Malformed { path, problem } => write!(f, "{}: {problem}: make it anew with --rebuild", path.display()),
            Self::Models { path } => {
                write!(f, "{}: other models made this index: use those, or make it anew with --rebuild", path.display())
            }
            Self::Locked { path } => write!(f, "{}: another process is writing this index: wait for it", path.display()),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The right to write an index; given back when it is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, for the index at `path`.
    ///
    /// # Errors
    /// [`IndexError::Locked`] if another process has it.
    pub fn take(path: &Path) -> Result<Self, IndexError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let io = |source| IndexError::Io { path: lock.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// Values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Classes of the sound model.
    pub classes: usize,
    /// Of a description; 0 without a caption map.
    pub described: usize,
}

/// An index: files, and rows that are mapped or new.
#[derive(Debug)]
pub struct Index {
    map: Option<MappedFile>,
    entries: Vec<Entry>,
    widths: Widths,
    /// Where the mapped rows, descriptions and spans lie.
    rows: Range<usize>,
    described: Range<usize>,
    spans: Range<usize>,
    mapped: usize,
    new: Vec<Row>,
}

impl Index {
    /// An index of nothing.
    pub fn new(widths: Widths) -> Self {
        Self { map: None, entries: vec![], widths, rows: 0..0, described: 0..0, spans: 0..0, mapped: 0, new: vec![] }
    }

    /// Opens the index at `path`, if there is one.
    ///
    /// # Errors
    /// It is damaged, or other models made it.
    pub fn open(path: &Path, models: &Models, widths: Widths) -> Result<Option<Self>, IndexError> {
        match fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IndexError::Io { path: path.to_owned(), source }),
            Ok(_) => {}
        }
        let malformed = |problem: &str| IndexError::Malformed { path: path.to_owned(), problem: problem.to_owned() };
        let map = MappedFile::open(path).map_err(|error| malformed(&error.to_string()))?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|_| malformed("is not an index of ossicle find"))?;
        let says = |key: &str| metadata.metadata().as_ref().and_then(|all| all.get(key)).map(String::as_str);
        if says("format") != Some(FORMAT) {
            return Err(malformed("is not an index of this version of ossicle find"));
        }
        if says("sounds") != Some(&models.sounds) || says("words") != Some(&models.words) {
            return Err(IndexError::Models { path: path.to_owned() });
        }
        let tensors = metadata.tensors();
        let tensor = |name: &str, dtype: Dtype, row: usize| {
            let info = tensors.get(name).filter(|info| info.dtype == dtype).ok_or_else(|| malformed("lacks a table"))?;
            let (from, to) = info.data_offsets;
            let fits = (to - from).is_multiple_of(row.max(1));
            if fits { Ok(header + 8 + from..header + 8 + to) } else { Err(malformed("has a table of another width")) }
        };
        let rows = tensor("sounds.rows", Dtype::U8, widths.classes)?;
        let described = tensor("sounds.described", Dtype::I8, widths.described)?;
        let spans = tensor("sounds.spans", Dtype::F32, 4 * SPAN)?;
        let (files, text) = (tensor("files", Dtype::U8, RECORD)?, tensor("text", Dtype::U8, 1)?);
        let mapped = rows.len() / widths.classes;
        if spans.len() != 4 * SPAN * mapped || described.len() != widths.described * mapped {
            return Err(malformed("has tables of different lengths"));
        }
        let text = std::str::from_utf8(&map[text]).map_err(|_| malformed("has paths that are no text"))?;
        let entry = |record: &[u8; RECORD]| read_entry(record, text, mapped);
        let entries: Option<Vec<Entry>> = map[files].as_chunks::<RECORD>().0.iter().map(entry).collect();
        let entries = entries.ok_or_else(|| malformed("has a record that points beyond it"))?;
        Ok(Some(Self { map: Some(map), entries, widths, rows, described, spans, mapped, new: vec![] }))
    }

    /// All files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Replaces the list of files, whose rows have to be there.
    pub(super) fn set_entries(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    /// Adds rows, and says which they are.
    pub(super) fn add(&mut self, rows: Vec<Row>) -> Range<usize> {
        let first = self.mapped + self.new.len();
        self.new.extend(rows);
        first..self.mapped + self.new.len()
    }

    /// The roots of a row.
    pub(super) fn roots(&self, row: usize) -> &[u8] {
        match (row.checked_sub(self.mapped), &self.map) {
            (Some(new), _) => &self.new[new].roots,
            (None, Some(map)) => &map[self.rows.clone()][row * self.widths.classes..][..self.widths.classes],
            (None, None) => &[],
        }
    }

    /// The description of a row: its values, and their scale.
    pub(super) fn described(&self, row: usize) -> (&[i8], f32) {
        match (row.checked_sub(self.mapped), &self.map) {
            (Some(new), _) => {
                let Described { values, scale } = &self.new[new].described;
                (values, *scale)
            }
            (None, Some(map)) => {
                let bytes = &map[self.described.clone()][row * self.widths.described..][..self.widths.described];
                (bytemuck::cast_slice(bytes), self.span_values(map, row)[4])
            }
            (None, None) => (&[], 0.0),
        }
    }

    fn span_values(&self, map: &MappedFile, row: usize) -> [f32; SPAN] {
        let bytes = &map[self.spans.clone()][row * 4 * SPAN..][..4 * SPAN];
        std::array::from_fn(|i| f32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]))
    }

    /// Start, end and norm of a row, and whether it is a passage.
    pub(super) fn span(&self, row: usize) -> (f32, f32, f32, bool) {
        match (row.checked_sub(self.mapped), &self.map) {
            (Some(new), _) => {
                let row = &self.new[new];
                (row.start, row.end, row.norm, row.passage)
            }
            (None, Some(map)) => {
                let [start, end, norm, passage, _] = self.span_values(map, row);
                (start, end, norm, passage > 0.5)
            }
            (None, None) => (0.0, 0.0, 1.0, false),
        }
    }

    /// Writes the index, with the rows that its files use, and puts it in the place of the old one.
    ///
    /// # Errors
    /// The disk refuses; then the old one is as it was.
    pub fn save(&self, path: &Path, models: &Models) -> Result<(), IndexError> {
        let (mut records, mut text, mut rows, mut described, mut spans) = (vec![], String::new(), vec![], vec![], vec![]);
        let mut count = 0usize;
        for entry in &self.entries {
            write_entry(&mut records, &mut text, entry, count);
            for row in entry.rows.clone() {
                rows.extend_from_slice(self.roots(row));
                let (start, end, norm, passage) = self.span(row);
                let (values, scale) = self.described(row);
                described.extend_from_slice(values);
                for value in [start, end, norm, f32::from(u8::from(passage)), scale] {
                    spans.extend_from_slice(&value.to_le_bytes());
                }
            }
            count += entry.rows.len();
        }
        let malformed = |error: safetensors::SafeTensorError| IndexError::Malformed { path: path.to_owned(), problem: error.to_string() };
        let view = |dtype, shape: Vec<usize>, bytes| TensorView::new(dtype, shape, bytes).map_err(malformed);
        let tensors = [
            ("files", view(Dtype::U8, vec![self.entries.len(), RECORD], &records)?),
            ("text", view(Dtype::U8, vec![text.len()], text.as_bytes())?),
            ("sounds.rows", view(Dtype::U8, vec![count, self.widths.classes], &rows)?),
            ("sounds.described", view(Dtype::I8, vec![count, self.widths.described], bytemuck::cast_slice(&described))?),
            ("sounds.spans", view(Dtype::F32, vec![count, SPAN], &spans)?),
        ];
        let metadata = [("format", FORMAT), ("sounds", &models.sounds), ("words", &models.words)];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let bytes = safetensors::serialize(BTreeMap::from(tensors), Some(metadata)).map_err(malformed)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let draft = PathBuf::from(name);
        let io = |source| IndexError::Io { path: path.to_owned(), source };
        let mut file = File::create(&draft).map_err(io)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&draft, path).map_err(io)
    }
}

fn write_entry(records: &mut Vec<u8>, text: &mut String, entry: &Entry, first: usize) {
    let at = text.len() as u64;
    let path = entry.path.to_string_lossy();
    text.push_str(&path);
    let problem = entry.problem.as_deref().unwrap_or_default();
    text.push_str(problem);
    records.extend(at.to_le_bytes());
    records.extend((path.len() as u32).to_le_bytes());
    records.extend((problem.len() as u32).to_le_bytes());
    records.extend((first as u32).to_le_bytes());
    records.extend((entry.rows.len() as u32).to_le_bytes());
    records.extend(entry.bytes.to_le_bytes());
    records.extend(entry.modified.to_le_bytes());
    records.extend(entry.fingerprint);
    records.extend([0; 8]);
}

/// A file's record; none if it points beyond the text or the rows.
fn read_entry(record: &[u8; RECORD], text: &str, rows: usize) -> Option<Entry> {
    let long = |at: usize| Some(u64::from_le_bytes(*record[at..].first_chunk()?));
    let short = |at: usize| Some(u32::from_le_bytes(*record[at..].first_chunk()?) as usize);
    let at = usize::try_from(long(0)?).ok()?;
    let (path, problem, first, count) = (short(8)?, short(12)?, short(16)?, short(20)?);
    let middle = at.checked_add(path)?;
    let problem = text.get(middle..middle.checked_add(problem)?)?;
    let rows = (first.checked_add(count)? <= rows).then_some(first..first + count)?;
    Some(Entry {
        path: PathBuf::from(text.get(at..middle)?),
        bytes: long(24)?,
        modified: long(32)?.cast_signed(),
        fingerprint: *record[40..].first_chunk()?,
        rows,
        problem: (!problem.is_empty()).then(|| problem.to_owned()),
    })
}
