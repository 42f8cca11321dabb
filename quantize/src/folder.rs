//! Writes a model folder: all of it or none of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ossicle_models::folder::{LAYOUT, NUMERICS_VERSION, check_weights};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::layout::{self, Entry, Linear};
use crate::source::Source;
use crate::store::{self, Element, Slot};
use crate::tensors::{self, FORMAT, Tensor};
use crate::{Error, card, check, pack};

/// How to write a folder.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown put into the model card as it is: origin, licence, measured accuracy.
    pub notes: String,
    /// More files for the folder, by name.
    pub extra: BTreeMap<String, String>,
}

/// How to write what was read, for importers that need no more.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
}

/// Quantises a checkpoint and writes its model folder, once the runtime has opened it and run. A folder that could not be finished is removed
/// again; an existing one is only replaced, with [`Options::force`], once the new one is complete.
///
/// # Errors
/// The folder exists, a tensor cannot be quantised, the runtime does not take the model, or the disk refuses.
pub fn write(source: &Source, folder: &Path, options: &Options) -> Result<(), Error> {
    Draft::new(source, folder, options.force)?.publish(source, &options.notes, &options.extra)
}

/// A model folder beside its final place that lacks only the card and the sums: the runtime can open it already. Removed unless it is
/// published.
pub struct Draft {
    folder: PathBuf,
    partial: Partial,
}

impl Draft {
    /// Quantises a checkpoint for the model folder `folder`.
    ///
    /// # Errors
    /// As [`write()`].
    pub fn new(source: &Source, folder: &Path, force: bool) -> Result<Self, Error> {
        let partial = Partial::create(folder, force)?;
        let at = &partial.path;
        write_weights(source, &at.join("model.safetensors"))?;
        write_text(&at.join("config.json"), &pretty(&config(source)))?;
        write_text(&at.join("generation_config.json"), &pretty(&json!(source.generation)))?;
        write_text(&at.join("preprocessor_config.json"), &pretty(&preprocessor(source)))?;
        write_text(&at.join("tokenizer.json"), &source.tokenizer)?;
        check::runs(source, at)?;
        Ok(Self { folder: folder.to_owned(), partial })
    }

    /// Where the draft lies.
    pub fn path(&self) -> &Path {
        &self.partial.path
    }

    /// Adds the model card with `notes`, the `extra` files by name and the sums, and moves the folder to its place.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(mut self, source: &Source, notes: &str, extra: &BTreeMap<String, String>) -> Result<(), Error> {
        let at = self.path().to_owned();
        for (name, text) in extra {
            write_text(&at.join(name), text)?;
        }
        complete(&at, &self.folder, |name, bytes| card::text(source, name, bytes, notes))?;
        self.partial.publish(&self.folder)
    }
}

/// The tensors of the folder's `model.safetensors`, in file order.
pub fn slots(entries: &[Entry], model: &crate::FloatModel) -> Vec<Slot> {
    let mut slots = Vec::new();
    for entry in entries {
        match entry {
            Entry::Linear(linear) => slots.extend(linear_slots(linear)),
            Entry::Float(name) => {
                slots.push(Slot { name: name.clone(), element: Element::F32, shape: model.config().shape_of(name).unwrap_or_default() })
            }
        }
    }
    slots
}

fn linear_slots(linear: &Linear) -> impl Iterator<Item = Slot> {
    let rows = pack::padded_rows(linear.outputs);
    let packed = vec![rows / pack::BLOCK_ROWS, linear.inputs / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
    let slot = |part: &str, element, shape| Slot { name: format!("{}.{part}", linear.name), element, shape };
    let bias = linear.bias.then(|| slot("bias", Element::F32, vec![rows]));
    [slot("weight", Element::I8, packed), slot("weight_scale", Element::F32, vec![rows])].into_iter().chain(bias)
}

fn write_weights(source: &Source, path: &Path) -> Result<(), Error> {
    let model = &source.model;
    let entries = layout::entries(model.config());
    let version = NUMERICS_VERSION.to_string();
    let metadata = BTreeMap::from([("format", FORMAT), ("layout", LAYOUT), ("numerics_version", version.as_str())]);
    let header = store::header(&slots(&entries, model), &metadata)
        .map_err(|m| Error::unsupported(model.path(), format!("tensor {} of {} bytes cannot be aligned", m.name, m.bytes)))?;
    let io = |e| Error::io(path, e);
    let mut out = BufWriter::new(File::create_new(path).map_err(io)?);
    out.write_all(&header).map_err(io)?;
    for entry in &entries {
        match entry {
            Entry::Float(name) => store::write_f32(&mut out, &model.values(name)?).map_err(io)?,
            Entry::Linear(linear) => {
                let q = linear.quantize(model)?;
                store::write_i8(&mut out, &pack::pack(&q.values, q.rows, q.inputs)).map_err(io)?;
                store::write_f32(&mut out, &padded(q.scales)).map_err(io)?;
                if linear.bias {
                    store::write_f32(&mut out, &padded(linear.bias(model)?)).map_err(io)?;
                }
            }
        }
    }
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)
}

fn padded(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(pack::padded_rows(values.len()), 0.0);
    values
}

fn config(source: &Source) -> Value {
    let mut value = json!(source.model.config());
    value["kind"] = json!("whisper");
    value["numerics_version"] = json!(NUMERICS_VERSION);
    value
}

/// Whisper's fixed frontend; only the number of mel bins and the window's length vary.
fn preprocessor(source: &Source) -> Value {
    const SAMPLE_RATE: usize = 16_000;
    const HOP_LENGTH: usize = 160;
    let config = source.model.config();
    let frames = 2 * config.max_source_positions;
    let samples = frames * HOP_LENGTH;
    json!({
        "chunk_length": samples / SAMPLE_RATE,
        "feature_size": config.num_mel_bins,
        "hop_length": HOP_LENGTH,
        "n_fft": 400,
        "n_samples": samples,
        "nb_max_frames": frames,
        "sampling_rate": SAMPLE_RATE,
    })
}

/// Writes weights and configuration of a model of `kind` that was read from `source`.
///
/// # Errors
/// A tensor cannot be aligned, or the disk refuses.
pub(crate) fn put(at: &Path, source: &Path, kind: &str, config: &impl Serialize, tensors: &[Tensor]) -> Result<(), Error> {
    tensors::write(&at.join("model.safetensors"), source, tensors)?;
    let mut config = serde_json::to_value(config).map_err(|e| Error::json(source, e))?;
    config["kind"] = json!(kind);
    if config["numerics_version"].is_null() {
        config["numerics_version"] = json!(NUMERICS_VERSION);
    }
    write_text(&at.join("config.json"), &pretty(&config))
}

/// Adds the card, of the name that `folder` will have and the bytes of its weights, looks at every weight, and adds the sums.
///
/// # Errors
/// The runtime refuses a weight, or the disk refuses.
pub(crate) fn complete(at: &Path, folder: &Path, card: impl FnOnce(&str, u64) -> String) -> Result<(), Error> {
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    let bytes = fs::metadata(at.join("model.safetensors")).map_err(|e| Error::io(at, e))?.len();
    write_text(&at.join("README.md"), &card(&name, bytes))?;
    seal(at)
}

pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|e| Error::io(path, e))
}

/// Looks at every weight of a model folder as the runtime would, then writes the sums of its files.
pub(crate) fn seal(folder: &Path) -> Result<(), Error> {
    check_weights(folder).map_err(Error::Weights)?;
    write_sums(folder)
}

pub(crate) fn write_sums(folder: &Path) -> Result<(), Error> {
    let io = |e| Error::io(folder, e);
    let mut names = vec![];
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        // Folders in it are model folders with sums of their own.
        if !entry.file_type().map_err(io)?.is_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort_unstable();
    let mut sums = String::new();
    for name in names {
        let path = folder.join(&name);
        let hash = sha256(&path).map_err(|e| Error::io(&path, e))?;
        let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(sums, "{hex}  {}", name.to_string_lossy());
    }
    write_text(&folder.join("SHA256SUMS"), &sums)
}

pub(crate) fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&chunk[..n]),
        }
    }
}

/// Refuses an output folder that exists, or that is not ours to replace: to be asked before long work, too.
///
/// # Errors
/// It exists and is no model folder, or `force` is missing.
pub fn check_target(folder: &Path, force: bool) -> Result<(), Error> {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            let empty = entries.next().is_none();
            let model = folder.join("config.json").is_file() && folder.join("SHA256SUMS").is_file();
            let refuse = |foreign| Err(Error::Exists { path: folder.to_owned(), foreign });
            match (empty, model, force) {
                (true, ..) | (_, true, true) => Ok(()),
                (_, true, false) => refuse(false),
                (_, false, _) => refuse(true),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(folder, e)),
    }
}

/// A folder beside the target that is removed again unless it is published.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    done: bool,
}

impl Partial {
    pub(crate) fn create(target: &Path, force: bool) -> Result<Self, Error> {
        check_target(target, force)?;
        let path = sibling(target, "partial");
        fs::create_dir_all(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, done: false })
    }

    pub(crate) fn publish(&mut self, target: &Path) -> Result<(), Error> {
        let io = |e| Error::io(target, e);
        let old = sibling(target, "old");
        let replaces = target.exists();
        if replaces {
            fs::rename(target, &old).map_err(io)?;
        }
        if let Err(e) = fs::rename(&self.path, target) {
            if replaces {
                fs::rename(&old, target).map_err(io)?;
            }
            return Err(io(e));
        }
        self.done = true;
        if replaces {
            fs::remove_dir_all(&old).map_err(|e| Error::io(&old, e))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // Already failing: the first error is the one to report.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn sibling(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{suffix}-{}", std::process::id()))
}
