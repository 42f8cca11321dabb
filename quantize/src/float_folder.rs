//! Writes a source's float model as a Hugging Face checkpoint: for evaluation with other programs, and for turning CTranslate2 files
//! into something they read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use crate::Error;
use crate::folder::{Partial, pretty, write_sums, write_text};
use crate::source::Source;
use crate::store::{self, Element, Slot};

/// Writes `config.json`, `model.safetensors` in f32, `generation_config.json` and `tokenizer.json`, all of them or nothing. `force`
/// replaces a folder that this function or [`crate::folder::write`] wrote.
///
/// # Errors
/// The folder exists, a tensor is not finite, or the disk refuses.
pub fn write(source: &Source, folder: &Path, force: bool) -> Result<(), Error> {
    let mut partial = Partial::create(folder, force)?;
    let at = partial.path.clone();
    let mut config = json!(source.model.config());
    config["architectures"] = json!(["WhisperForConditionalGeneration"]);
    config["bos_token_id"] = json!(source.generation.eos_token_id);
    config["eos_token_id"] = json!(source.generation.eos_token_id);
    config["pad_token_id"] = json!(source.generation.eos_token_id);
    config["decoder_start_token_id"] = json!(source.generation.decoder_start_token_id);
    write_text(&at.join("config.json"), &pretty(&config))?;
    write_text(&at.join("generation_config.json"), &pretty(&json!(source.generation)))?;
    write_text(&at.join("tokenizer.json"), &source.tokenizer)?;
    write_weights(source, &at.join("model.safetensors"))?;
    write_sums(&at)?;
    partial.publish(folder)
}

fn write_weights(source: &Source, path: &Path) -> Result<(), Error> {
    let slots: Vec<Slot> = source
        .model
        .tensors()
        .map(|(name, tensor)| Slot { name: name.to_owned(), element: Element::F32, shape: tensor.shape().to_vec() })
        .collect();
    let header = store::header(&slots, &BTreeMap::from([("format", "pt")]))
        .map_err(|m| Error::unsupported(source.model.path(), format!("tensor {} of {} bytes cannot be aligned", m.name, m.bytes)))?;
    let io = |e| Error::io(path, e);
    let mut out = BufWriter::new(File::create_new(path).map_err(io)?);
    out.write_all(&header).map_err(io)?;
    for slot in &slots {
        store::write_f32(&mut out, &source.model.values(&slot.name)?).map_err(io)?;
    }
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)
}
