//! Model folders: the configuration and the memory-mapped weights.

use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::Linear;
use ossicle_kernels::simd::LANES;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub use crate::error::FolderError;
pub use crate::verify::{check_weights, verify};

/// The numerics contract that this runtime computes by.
pub const NUMERICS_VERSION: u32 = 1;

/// The contract of folders with maps of bytes, which adds to the one above.
pub const NUMERICS_OF_BYTES: u32 = 2;

/// The packed weights' layout, `[N/16][K/4][16][4]`, as the file's metadata names it.
pub const LAYOUT: &str = "n16k4";

pub(crate) const WEIGHTS: &str = "model.safetensors";

/// A model's `config.json`.
pub trait ModelConfig: DeserializeOwned {
    /// What `kind` has to be.
    const KIND: &'static str;

    /// The highest numerics version that there are such models of.
    const NUMERICS: u32 = NUMERICS_VERSION;

    /// What is wrong with the figures, if anything.
    fn problem(&self) -> Option<String>;
}

/// What every `config.json` says.
#[derive(Deserialize)]
struct AnyConfig {
    kind: String,
    numerics_version: u32,
}

impl AnyConfig {
    fn problem(&self, kind: &str, numerics: u32) -> Option<String> {
        if self.kind != kind {
            return Some(format!("kind is {:?}, not {kind:?}", self.kind));
        }
        let ours = (NUMERICS_VERSION..=numerics).contains(&self.numerics_version);
        (!ours).then(|| format!("numerics_version is {}, this runtime computes by {numerics}", self.numerics_version))
    }
}

/// Where a tensor's bytes are in the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span(Range<usize>);

/// A linear layer in the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearSpan {
    weights: Span,
    scales: Span,
    bias: Option<Span>,
    depth: usize,
}

impl LinearSpan {
    /// Values of a row that the layer takes.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

/// A model's weights, mapped; names, types and shapes of its tensors are read.
#[derive(Debug)]
pub struct Weights {
    /// The file.
    path: PathBuf,
    /// None of a model without weights.
    map: Option<Mmap>,
    tensors: Tensors,
}

/// A model folder: its configuration and its weights.
#[derive(Debug)]
pub struct ModelFolder<C> {
    path: PathBuf,
    config: C,
    weights: Arc<Weights>,
}

/// Types, shapes and places of tensors, by name.
pub(crate) type Tensors = HashMap<String, (Dtype, Vec<usize>, Range<usize>)>;

impl<C: ModelConfig> ModelFolder<C> {
    /// Opens a folder and reads its configuration and the header of its weights. Which tensors a graph needs is checked when it is built.
    ///
    /// # Errors
    /// [`FolderError`] if a file cannot be read or is malformed.
    pub fn open(path: &Path) -> Result<Arc<Self>, FolderError> {
        let config_path = path.join("config.json");
        let text = read(&config_path)?;
        let malformed = |path: &Path, problem: String| FolderError::Malformed { path: path.to_owned(), problem };
        let unreadable = |e: serde_json::Error| malformed(&config_path, e.to_string());
        let any: AnyConfig = serde_json::from_slice(&text).map_err(unreadable)?;
        if let Some(problem) = any.problem(C::KIND, C::NUMERICS) {
            return Err(malformed(&config_path, problem));
        }
        let config: C = serde_json::from_slice(&text).map_err(unreadable)?;
        if let Some(problem) = config.problem() {
            return Err(malformed(&config_path, problem));
        }
        let weights = Arc::new(Weights::open(path.join(WEIGHTS))?);
        Ok(Arc::new(Self { path: path.to_owned(), config, weights }))
    }
}

impl<C> ModelFolder<C> {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its configuration.
    pub fn config(&self) -> &C {
        &self.config
    }

    /// Its weights.
    pub fn weights(&self) -> &Arc<Weights> {
        &self.weights
    }

    /// Reads one of the folder's text files.
    ///
    /// # Errors
    /// [`FolderError`] if it cannot be read or is not UTF-8.
    pub fn read_text(&self, name: &str) -> Result<String, FolderError> {
        let path = self.path.join(name);
        String::from_utf8(read(&path)?).map_err(|_| FolderError::Malformed { path, problem: "not UTF-8 text".into() })
    }

    /// The size of one of the folder's files.
    ///
    /// # Errors
    /// [`FolderError::Read`] if it is missing.
    pub fn file_bytes(&self, name: &str) -> Result<usize, FolderError> {
        let path = self.path.join(name);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len() as usize),
            Err(source) => Err(FolderError::Read { path, source }),
        }
    }
}

impl Weights {
    /// Maps a file of weights.
    ///
    /// # Errors
    /// [`FolderError`] if it cannot be read, or is not such a file.
    pub fn open(path: PathBuf) -> Result<Self, FolderError> {
        let (map, tensors) = map_weights(&path)?;
        Ok(Self { path, map: Some(map), tensors })
    }

    /// Those of a model without any.
    pub fn none() -> Arc<Self> {
        Arc::new(Self { path: PathBuf::new(), map: None, tensors: Tensors::new() })
    }

    fn map(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Bytes of mapped weights.
    pub fn bytes(&self) -> usize {
        self.map().len()
    }

    /// Bytes of the tensors whose names `wanted` takes.
    pub fn bytes_of(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.tensors.iter().filter(|(name, _)| wanted(name)).map(|(_, (_, _, range))| range.len()).sum()
    }

    /// SHA-256 of the file of weights, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.map()))
    }

    /// SHA-256 of the tensors whose names `wanted` takes: of each, in the order of names, the name, the shape and the bytes. In lower-case
    /// hexadecimal.
    pub fn tensors_sha256(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut names: Vec<&String> = self.tensors.keys().filter(|name| wanted(name)).collect();
        names.sort_unstable();
        let mut hash = Sha256::new();
        for name in names {
            let (dtype, shape, range) = &self.tensors[name];
            hash.update(format!("{name} {dtype:?} {shape:?}\n"));
            hash.update(&self.map()[range.clone()]);
        }
        hex(&hash.finalize())
    }

    fn span(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Span, FolderError> {
        let error = |problem| self.tensor_error(name, problem);
        let (have_type, have_shape, range) = self.tensors.get(name).ok_or_else(|| error("missing".into()))?;
        if *have_type != dtype || have_shape != shape {
            return Err(error(format!("is {have_type:?} {have_shape:?}, should be {dtype:?} {shape:?}")));
        }
        if !range.start.is_multiple_of(64) {
            return Err(error("is not aligned to 64 bytes".into()));
        }
        Ok(Span(range.clone()))
    }

    /// A tensor of f32, all of it finite. (These are the small ones: scales, biases, norms, positions.)
    ///
    /// # Errors
    /// [`FolderError::Tensor`] if it is missing, has another type or shape, or holds a value that is not finite.
    pub fn f32_span(&self, name: &str, shape: &[usize]) -> Result<Span, FolderError> {
        let span = self.span(name, Dtype::F32, shape)?;
        match not_finite(self.f32s(&span)) {
            None => Ok(span),
            Some(problem) => Err(self.tensor_error(name, problem)),
        }
    }

    /// A linear layer of `outputs` x `depth`; without a bias of its own if `biased` is false.
    ///
    /// # Errors
    /// [`FolderError::Tensor`] if one of its tensors is missing, has another type or shape, or holds a value that is not finite.
    pub fn linear_span(&self, name: &str, outputs: usize, depth: usize, biased: bool) -> Result<LinearSpan, FolderError> {
        let padded = outputs.next_multiple_of(LANES);
        Ok(LinearSpan {
            weights: self.span(&format!("{name}.weight"), Dtype::I8, &[padded / LANES, depth / 4, LANES, 4])?,
            scales: self.f32_span(&format!("{name}.weight_scale"), &[padded])?,
            bias: if biased { Some(self.f32_span(&format!("{name}.bias"), &[padded])?) } else { None },
            depth,
        })
    }

    /// The sums of a layer's weights, which rows of u8 need.
    ///
    /// # Errors
    /// [`FolderError::Tensor`] if a weight is -128.
    pub fn weight_sums(&self, name: &str, layer: &LinearSpan) -> Result<Arc<[i32]>, FolderError> {
        let weights = self.linear(layer).weights;
        let mut sums = vec![0; weights.count() * LANES];
        weights.sums(&mut sums).map_err(|e| self.tensor_error(&format!("{name}.weight"), e.to_string()))?;
        Ok(sums.into())
    }

    fn tensor_error(&self, name: &str, problem: String) -> FolderError {
        FolderError::Tensor { path: self.path.clone(), name: name.to_owned(), problem }
    }

    /// The values of a tensor of f32.
    pub fn f32s(&self, span: &Span) -> &[f32] {
        bytemuck::cast_slice(&self.map()[span.0.clone()])
    }

    /// A linear layer.
    pub fn linear(&self, span: &LinearSpan) -> Linear<'_> {
        Linear {
            weights: Blocks::new(bytemuck::cast_slice(&self.map()[span.weights.0.clone()]), span.depth),
            scales: self.f32s(&span.scales),
            bias: span.bias.as_ref().map_or(&[], |bias| self.f32s(bias)),
        }
    }
}

/// What is wrong with a tensor of f32, if a value is NaN or infinite.
pub(crate) fn not_finite(values: &[f32]) -> Option<String> {
    // All at once first: it is by far the common case, and needs no branch.
    if !values.iter().fold(false, |found, value| found | !value.is_finite()) {
        return None;
    }
    let at = values.iter().position(|value| !value.is_finite())?;
    Some(format!("holds {} as value {at}, not a finite number", values[at]))
}

/// Maps a file of weights and reads its header.
pub(crate) fn map_weights(path: &Path) -> Result<(Mmap, Tensors), FolderError> {
    let malformed = |problem: String| FolderError::Malformed { path: path.to_owned(), problem };
    let map = map(path)?;
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| malformed(format!("not a safetensors file: {e}")))?;
    let start = header + 8;
    let layout = metadata.metadata().as_ref().and_then(|m| m.get("layout")).map(String::as_str);
    if layout != Some(LAYOUT) {
        return Err(malformed(format!("layout is {layout:?}, not {LAYOUT:?}: make the folder with ossicle-quantize")));
    }
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (from, to) = info.data_offsets;
        (name, (info.dtype, info.shape.clone(), start + from..start + to))
    });
    let tensors = tensors.collect();
    Ok((map, tensors))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    fs::read(path).map_err(|source| FolderError::Read { path: path.to_owned(), source })
}

/// A file that is mapped to be read.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a file that is only ever replaced by renaming, as models and indexes are.
    ///
    /// # Errors
    /// [`FolderError::Read`] if it cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        map(path).map(Self)
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn map(path: &Path) -> Result<Mmap, FolderError> {
    let error = |source| FolderError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    // SAFETY: the map is only read. A file that is truncated while mapped ends the process (SIGBUS) and one that is written changes the
    // result; model files are installed once and replaced by renaming, as ossicle-quantize does.
    #[allow(unsafe_code)]
    unsafe { Mmap::map(&file) }.map_err(error)
}
