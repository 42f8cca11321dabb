//! Descriptions whose rows were made before, so that a board needs no encoder for them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ossicle_models::audiogen::{AudiogenConfig, MAX_TEXT};
use ossicle_models::folder::{FolderError, ModelFolder};
use safetensors::{Dtype, SafeTensors, View};

use super::{Description, GenerateError};

/// What the file says it is.
const FORMAT: &str = "ossicle descriptions 1";

/// Largest file that is read: a thousand descriptions of T5-large's rows.
const MAX_BYTES: u64 = 512 << 20;

/// Descriptions and their rows, for one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    texts: Vec<String>,
    rows: Vec<Description>,
}

/// Rows as they are written: f32, `[rows][width]`.
struct Rows<'a>(&'a Description);

impl View for Rows<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.values.len()
    }
}

impl Prepared {
    /// Texts and what [`describe`](super::describe) made of them.
    ///
    /// # Panics
    /// If there are not as many of one as of the other.
    pub fn new(texts: Vec<String>, rows: Vec<Description>) -> Self {
        assert_eq!(texts.len(), rows.len(), "a description for each text");
        Self { texts, rows }
    }

    /// The texts.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The rows of a text, if it is among them.
    pub fn get(&self, text: &str) -> Option<&Description> {
        self.texts.iter().position(|own| own == text).map(|at| &self.rows[at])
    }

    /// Writes a file for the model in `folder`, all of it or none.
    ///
    /// # Errors
    /// The model cannot be read, or the disk refuses.
    pub fn write(&self, folder: &Path, file: &Path) -> Result<(), GenerateError> {
        let model = ModelFolder::<AudiogenConfig>::open(folder)?;
        let texts = serde_json::to_string(&self.texts).unwrap_or_default();
        let about = [("format", FORMAT.to_owned()), ("model", model.weights().sha256()), ("texts", texts)];
        let about: HashMap<String, String> = about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let tensors = self.rows.iter().enumerate().map(|(i, rows)| (format!("{i:04}"), Rows(rows)));
        let bytes = safetensors::serialize(tensors, Some(about)).map_err(|e| malformed(file, e.to_string()))?;
        let draft = file.with_extension("partial");
        let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, file));
        written.map_err(|source| FolderError::Read { path: file.to_owned(), source }.into())
    }

    /// Reads a file for the model in `folder`.
    ///
    /// # Errors
    /// It cannot be read, is no such file, or was made for another model.
    pub fn read(folder: &Path, file: &Path) -> Result<Self, GenerateError> {
        let unreadable = |source| FolderError::Read { path: file.to_owned(), source };
        let size = fs::metadata(file).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            return Err(malformed(file, format!("{size} bytes, at most {MAX_BYTES} are read")));
        }
        let bytes = fs::read(file).map_err(unreadable)?;
        let wrong = |problem: String| malformed(file, problem);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
        let about = metadata.metadata().clone().unwrap_or_default();
        let of = |key: &str| about.get(key).map_or("", String::as_str);
        if of("format") != FORMAT {
            return Err(wrong("not descriptions that were prepared by this version".into()));
        }
        let model = ModelFolder::<AudiogenConfig>::open(folder)?;
        if of("model") != model.weights().sha256() {
            return Err(wrong("prepared for another model: prepare the descriptions again".into()));
        }
        let texts: Vec<String> = serde_json::from_str(of("texts")).map_err(|e| wrong(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        let width = model.config().text_size;
        let rows = (0..texts.len()).map(|i| {
            let tensor = tensors.tensor(&format!("{i:04}")).map_err(|e| wrong(e.to_string()))?;
            let fits = matches!(tensor.shape(), [1..=MAX_TEXT, own] if *own == width) && tensor.dtype() == Dtype::F32;
            let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            match fits && values.iter().all(|x| x.is_finite()) {
                true => Ok(Description::new(values, width)),
                false => Err(wrong(format!("description {i} has no rows of {width} finite values"))),
            }
        });
        Ok(Self { rows: rows.collect::<Result<_, _>>()?, texts })
    }
}

fn malformed(file: &Path, problem: String) -> GenerateError {
    FolderError::Malformed { path: file.to_owned(), problem }.into()
}
