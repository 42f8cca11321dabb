//! The index on disk: one safetensors file, mapped, replaced by renaming.
//!
//! `files` has a record of [`RECORD`] bytes for each file, `text` their paths and problems, and each kind of file has tables of rows: of sounds
//! `sounds.rows` u8 `[rows][classes]`, `sounds.described` i8 `[rows][values]` and `sounds.spans` f32 `[rows][5]` (start, end, norm, 1 for a
//! passage, the scale of the described values), of pictures `pictures.rows` i8 `[rows][values]` and `pictures.scales` f32 `[rows]`. The
//! metadata says which models made them. A kind that there was never a file of has no tables.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ossicle_models::folder::MappedFile;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};

use super::entry::RECORD;
use super::vector::MAX_WIDTH;
use super::{ByteVector, Entry, IndexError, Kind, PictureQuery, Row};

/// The format, in the metadata.
const FORMAT: &str = "ossicle-find 3";

/// The format before pictures, which is the same without them.
const SOUNDS_ALONE: &str = "ossicle-find 2";

/// Values of a span.
const SPAN: usize = 5;

/// What made the rows of sounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundModels {
    /// What identifies the sound model.
    pub sounds: String,
    /// What identifies the sentence encoder.
    pub words: String,
    /// Classes of the sound model.
    pub classes: usize,
    /// Values of a description; 0 without a caption map.
    pub described: usize,
}

/// What made the rows of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureModel {
    /// What identifies the model.
    pub pictures: String,
    /// Values of a vector.
    pub width: usize,
}

/// Rows of one kind: where those in the file lie, how many they are, and new ones behind them.
#[derive(Debug)]
struct Rows<Model, New> {
    /// None before there was a file of this kind.
    model: Option<Model>,
    /// Bytes of each table in the file.
    tables: [Range<usize>; 3],
    mapped: usize,
    new: Vec<New>,
}

impl<Model: PartialEq, New> Rows<Model, New> {
    fn none() -> Self {
        Self { model: None, tables: Default::default(), mapped: 0, new: vec![] }
    }

    fn len(&self) -> usize {
        self.mapped + self.new.len()
    }

    /// Adds rows, and says which they are.
    fn add(&mut self, rows: impl IntoIterator<Item = New>) -> Range<usize> {
        let first = self.len();
        self.new.extend(rows);
        first..self.len()
    }

    /// Row `row` of a table in the file, of so many bytes.
    fn bytes<'a>(&self, map: Option<&'a MappedFile>, table: usize, row: usize, bytes: usize) -> &'a [u8] {
        map.and_then(|map| map[self.tables[table].clone()].get(row * bytes..(row + 1) * bytes)).unwrap_or_default()
    }
}

/// An index: files, and rows that are mapped or new.
#[derive(Debug)]
pub struct Index {
    map: Option<MappedFile>,
    entries: Vec<Entry>,
    sounds: Rows<SoundModels, Row>,
    pictures: Rows<PictureModel, ByteVector>,
}

/// A file's tables, as they are looked up.
struct Tables<'a> {
    path: &'a Path,
    metadata: Metadata,
    /// Where the tables begin.
    start: usize,
}

impl Tables<'_> {
    fn malformed(&self, problem: &str) -> IndexError {
        IndexError::Malformed { path: self.path.to_owned(), problem: problem.to_owned() }
    }

    fn says(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref().and_then(|all| all.get(key)).map(String::as_str)
    }

    /// The bytes of a table, its rows, and values of each, at most `most`.
    fn table(&self, name: &str, dtype: Dtype, most: usize) -> Result<(Range<usize>, usize, usize), IndexError> {
        let tensors = self.metadata.tensors();
        let info = tensors.get(name).filter(|info| info.dtype == dtype).ok_or_else(|| self.malformed("lacks a table"))?;
        let (rows, values) = match info.shape[..] {
            [rows] => (rows, 1),
            [rows, values] if values <= most => (rows, values),
            _ => return Err(self.malformed("has a table of another width")),
        };
        let (from, to) = info.data_offsets;
        Ok((self.start + from..self.start + to, rows, values))
    }
}

impl Index {
    /// An index of nothing.
    pub fn new() -> Self {
        Self { map: None, entries: vec![], sounds: Rows::none(), pictures: Rows::none() }
    }

    /// Opens the index at `path`, if there is one.
    ///
    /// # Errors
    /// It is damaged, or of another format.
    pub fn open(path: &Path) -> Result<Option<Self>, IndexError> {
        match fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IndexError::Io { path: path.to_owned(), source }),
            Ok(_) => {}
        }
        let malformed = |problem: &str| IndexError::Malformed { path: path.to_owned(), problem: problem.to_owned() };
        let map = MappedFile::open(path).map_err(|error| malformed(&error.to_string()))?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|_| malformed("is not an index of ossicle find"))?;
        let tables = Tables { path, metadata, start: header + 8 };
        if !matches!(tables.says("format"), Some(FORMAT | SOUNDS_ALONE)) {
            return Err(malformed("is not an index of this version of ossicle find"));
        }
        let mut index = Self::new();
        if let (Some(sounds), Some(words)) = (tables.says("sounds"), tables.says("words")) {
            let (rows, mapped, classes) = tables.table("sounds.rows", Dtype::U8, MAX_WIDTH)?;
            let (described, descriptions, width) = tables.table("sounds.described", Dtype::I8, MAX_WIDTH)?;
            let (spans, spanned, values) = tables.table("sounds.spans", Dtype::F32, SPAN)?;
            if values != SPAN || descriptions != mapped || spanned != mapped {
                return Err(malformed("has tables of different lengths"));
            }
            let model = SoundModels { sounds: sounds.to_owned(), words: words.to_owned(), classes, described: width };
            index.sounds = Rows { model: Some(model), tables: [rows, described, spans], mapped, new: vec![] };
        }
        if let Some(pictures) = tables.says("pictures") {
            let (rows, mapped, width) = tables.table("pictures.rows", Dtype::I8, MAX_WIDTH)?;
            let (scales, scaled, values) = tables.table("pictures.scales", Dtype::F32, 1)?;
            if values != 1 || scaled != mapped {
                return Err(malformed("has tables of different lengths"));
            }
            let model = PictureModel { pictures: pictures.to_owned(), width };
            index.pictures = Rows { model: Some(model), tables: [rows, scales, 0..0], mapped, new: vec![] };
        }
        let (files, _, record) = tables.table("files", Dtype::U8, RECORD)?;
        if record != RECORD {
            return Err(malformed("has a table of another width"));
        }
        let (text, ..) = tables.table("text", Dtype::U8, 1)?;
        let text = std::str::from_utf8(&map[text]).map_err(|_| malformed("has paths that are no text"))?;
        let entry = |record: &[u8; RECORD]| Entry::read(record, text, |kind| index.rows(kind));
        let entries: Option<Vec<Entry>> = map[files].as_chunks::<RECORD>().0.iter().map(entry).collect();
        index.entries = entries.ok_or_else(|| malformed("has a record that points beyond it"))?;
        index.map = Some(map);
        Ok(Some(index))
    }

    /// Says what makes rows of sounds from now on.
    ///
    /// # Errors
    /// [`IndexError::Models`] if there are rows that others made; `path` is the index's.
    pub fn use_sounds(&mut self, path: &Path, model: SoundModels) -> Result<(), IndexError> {
        self.check(path, Kind::Sound, self.sounds.model.as_ref().is_none_or(|had| *had == model))?;
        self.sounds.model = Some(model);
        Ok(())
    }

    /// Says what makes rows of pictures from now on.
    ///
    /// # Errors
    /// As [`use_sounds`](Self::use_sounds).
    pub fn use_pictures(&mut self, path: &Path, model: PictureModel) -> Result<(), IndexError> {
        self.check(path, Kind::Picture, self.pictures.model.as_ref().is_none_or(|had| *had == model))?;
        self.pictures.model = Some(model);
        Ok(())
    }

    /// Whether a kind's rows may go on; those that nobody needs are forgotten if not.
    fn check(&mut self, path: &Path, kind: Kind, same: bool) -> Result<(), IndexError> {
        if same {
            return Ok(());
        }
        if self.has(kind) {
            return Err(IndexError::Models { path: path.to_owned(), kind });
        }
        self.forget(kind);
        Ok(())
    }

    /// Forgets all files of a kind, and what made their rows.
    pub fn forget(&mut self, kind: Kind) {
        self.entries.retain(|entry| entry.kind != kind);
        match kind {
            Kind::Sound => self.sounds = Rows::none(),
            Kind::Picture => self.pictures = Rows::none(),
        }
    }

    /// All files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there are files of a kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind)
    }

    fn rows(&self, kind: Kind) -> usize {
        match kind {
            Kind::Sound => self.sounds.len(),
            Kind::Picture => self.pictures.len(),
        }
    }

    /// Replaces the list of files, whose rows have to be there.
    pub(super) fn set_entries(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    /// Adds rows of a recording, and says which they are.
    pub(super) fn add_sound(&mut self, rows: Vec<Row>) -> Range<usize> {
        self.sounds.add(rows)
    }

    /// Adds a picture's row, and says which it is.
    pub(super) fn add_picture(&mut self, vector: ByteVector) -> Range<usize> {
        self.pictures.add([vector])
    }

    /// The roots of a sound's row.
    pub(super) fn roots(&self, row: usize) -> &[u8] {
        match row.checked_sub(self.sounds.mapped) {
            Some(new) => &self.sounds.new[new].roots,
            None => self.sounds.bytes(self.map.as_ref(), 0, row, self.sounds.model.as_ref().map_or(0, |model| model.classes)),
        }
    }

    /// The description of a sound's row: its values, and their scale.
    pub(super) fn described(&self, row: usize) -> (&[i8], f32) {
        match row.checked_sub(self.sounds.mapped) {
            Some(new) => {
                let ByteVector { values, scale } = &self.sounds.new[new].described;
                (values, *scale)
            }
            None => {
                let width = self.sounds.model.as_ref().map_or(0, |model| model.described);
                (bytemuck::cast_slice(self.sounds.bytes(self.map.as_ref(), 1, row, width)), self.span_values(row)[4])
            }
        }
    }

    fn span_values(&self, row: usize) -> [f32; SPAN] {
        let bytes = self.sounds.bytes(self.map.as_ref(), 2, row, 4 * SPAN).as_chunks::<4>().0;
        std::array::from_fn(|i| bytes.get(i).map_or(0.0, |bytes| f32::from_le_bytes(*bytes)))
    }

    /// Start, end and norm of a sound's row, and whether it is a passage.
    pub(super) fn span(&self, row: usize) -> (f32, f32, f32, bool) {
        match row.checked_sub(self.sounds.mapped) {
            Some(new) => {
                let row = &self.sounds.new[new];
                (row.start, row.end, row.norm, row.passage)
            }
            None => {
                let [start, end, norm, passage, _] = self.span_values(row);
                (start, end, norm, passage > 0.5)
            }
        }
    }

    /// A picture's vector: its values, and their scale.
    pub(super) fn picture(&self, row: usize) -> (&[i8], f32) {
        match row.checked_sub(self.pictures.mapped) {
            Some(new) => {
                let ByteVector { values, scale } = &self.pictures.new[new];
                (values, *scale)
            }
            None => {
                let (map, width) = (self.map.as_ref(), self.pictures.model.as_ref().map_or(0, |model| model.width));
                let scale = self.pictures.bytes(map, 1, row, 4).first_chunk().map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
                (bytemuck::cast_slice(self.pictures.bytes(map, 0, row, width)), scale)
            }
        }
    }

    /// A query's sums with the vectors of all pictures.
    pub(super) fn picture_sums(&self, query: &PictureQuery) -> Vec<i32> {
        let rows = &self.pictures;
        let mapped = self.map.as_ref().map_or(&[][..], |map| &map[rows.tables[0].clone()]);
        let mut sums = query.sums(bytemuck::cast_slice(mapped), rows.mapped);
        sums.extend(rows.new.iter().flat_map(|new| query.sums(&new.values, 1)));
        sums
    }

    /// Writes the index, with the rows that its files use, and puts it in the place of the old one.
    ///
    /// # Errors
    /// The disk refuses; then the old one is as it was.
    pub fn save(&self, path: &Path) -> Result<(), IndexError> {
        let (mut records, mut text) = (vec![], String::new());
        let (mut roots, mut described, mut spans, mut sounds) = (vec![], vec![], vec![], 0);
        let (mut vectors, mut scales, mut pictures) = (vec![], vec![], 0);
        for entry in &self.entries {
            match entry.kind {
                Kind::Sound => {
                    entry.write(&mut records, &mut text, sounds);
                    for row in entry.rows.clone() {
                        roots.extend_from_slice(self.roots(row));
                        let (start, end, norm, passage) = self.span(row);
                        let (values, scale) = self.described(row);
                        described.extend_from_slice(values);
                        for value in [start, end, norm, f32::from(u8::from(passage)), scale] {
                            spans.extend_from_slice(&value.to_le_bytes());
                        }
                    }
                    sounds += entry.rows.len();
                }
                Kind::Picture => {
                    entry.write(&mut records, &mut text, pictures);
                    for row in entry.rows.clone() {
                        let (values, scale) = self.picture(row);
                        vectors.extend_from_slice(values);
                        scales.extend_from_slice(&scale.to_le_bytes());
                    }
                    pictures += entry.rows.len();
                }
            }
        }
        let malformed = |error: safetensors::SafeTensorError| IndexError::Malformed { path: path.to_owned(), problem: error.to_string() };
        let view = |dtype, shape: Vec<usize>, bytes| TensorView::new(dtype, shape, bytes).map_err(malformed);
        let mut metadata = vec![("format", FORMAT)];
        let mut tensors = BTreeMap::from([
            ("files", view(Dtype::U8, vec![self.entries.len(), RECORD], &records)?),
            ("text", view(Dtype::U8, vec![text.len()], text.as_bytes())?),
        ]);
        if let Some(model) = &self.sounds.model {
            tensors.insert("sounds.rows", view(Dtype::U8, vec![sounds, model.classes], &roots)?);
            tensors.insert("sounds.described", view(Dtype::I8, vec![sounds, model.described], bytemuck::cast_slice(&described))?);
            tensors.insert("sounds.spans", view(Dtype::F32, vec![sounds, SPAN], &spans)?);
            metadata.extend([("sounds", model.sounds.as_str()), ("words", model.words.as_str())]);
        }
        if let Some(model) = &self.pictures.model {
            tensors.insert("pictures.rows", view(Dtype::I8, vec![pictures, model.width], bytemuck::cast_slice(&vectors))?);
            tensors.insert("pictures.scales", view(Dtype::F32, vec![pictures], &scales)?);
            metadata.push(("pictures", model.pictures.as_str()));
        }
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(malformed)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let draft = PathBuf::from(name);
        let io = |source| IndexError::Io { path: path.to_owned(), source };
        let mut file = File::create(&draft).map_err(io)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&draft, path).map_err(io)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}
