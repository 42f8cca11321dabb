//! `ossicle-quantize captions`: from described recordings to a map from YAMNet's embedding to vectors of sentences, for `ossicle find`.
//!
//! Ridge regression (Hoerl and Kennard 1970) from the roots of a recording's mean embedding to what its sentences say.

mod ridge;

use std::path::{Path, PathBuf};

use ossicle::audio::AudioReader;
use ossicle::find::{SoundRows, SoundWords, TextEncoder};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::yamnet::{YamnetConfig, embedding_sha256};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::Error;
use crate::pack::{self, QuantizedRows};
use crate::source::{read, read_text};

use ridge::{Example, fit};

/// The key of the embedding's digest in the file.
const EMBEDDING: &str = "embedding_sha256";

/// What to learn from.
#[derive(Clone, Debug)]
pub struct Task {
    /// The YAMNet's folder.
    pub sounds: PathBuf,
    /// The sentence encoder's folder, with phrases for sounds.
    pub words: PathBuf,
    /// Recordings with what is said of them, one a line: path, weight and sentences, with tabs between.
    pub list: PathBuf,
    /// What the list's paths begin at.
    pub data: PathBuf,
}

/// A map in eight bits.
#[derive(Clone, Debug)]
pub struct Captions {
    /// `[vector][embedding]`
    pub rows: QuantizedRows,
    /// One for each row.
    pub bias: Vec<f32>,
    /// Of the YAMNet whose embedding it takes.
    pub embedding_sha256: String,
}

/// A line of the list.
struct Line<'a> {
    path: &'a str,
    weight: f64,
    sentences: Vec<&'a str>,
}

/// Learns a map; `progress` hears what is done.
///
/// # Errors
/// A model, the list or a recording cannot be used.
pub fn learn(task: &Task, progress: &mut dyn FnMut(&str)) -> Result<Captions, Error> {
    let refuse = |path: &Path, what: &dyn std::fmt::Display| Error::unsupported(path, what.to_string());
    let isa = Isa::detect();
    let list = read_text(&task.list)?;
    let lines = parse(&list).map_err(|what| refuse(&task.list, &what))?;
    let mut encoder = TextEncoder::open(&task.words, isa, 1).map_err(|e| refuse(&task.words, &e))?;
    let (mut sounds, words) = SoundRows::open(&task.sounds, &encoder, isa, 1).map_err(|e| refuse(&task.sounds, &e))?;
    let mut examples = vec![];
    for line in &lines {
        progress(line.path);
        let path = task.data.join(line.path);
        let Some(embedding) = mean_embedding(&mut sounds, &path, isa)? else { return Err(refuse(&path, &"is empty")) };
        let vector = said(&mut encoder, &words, isa, &line.sentences).map_err(|e| refuse(&task.list, &e))?;
        let roots = embedding.iter().map(|&x| f64::from(x.max(0.0)).sqrt()).collect();
        examples.push(Example { input: roots, output: vector, weight: line.weight });
    }
    progress("fitting");
    let map = fit(&examples).ok_or_else(|| refuse(&task.list, &"has no recordings to learn from"))?;
    let weight: Vec<f32> = map.weight.iter().map(|&w| w as f32).collect();
    let folder = ModelFolder::<YamnetConfig>::open(&task.sounds).map_err(|e| refuse(&task.sounds, &e))?;
    Ok(Captions {
        rows: pack::quantize_rows(&weight, map.bias.len(), weight.len() / map.bias.len()),
        bias: map.bias.iter().map(|&b| b as f32).collect(),
        embedding_sha256: embedding_sha256(&folder),
    })
}

fn parse(list: &str) -> Result<Vec<Line<'_>>, String> {
    let lines = list.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    let line =
        |(i, text)| line(text).ok_or_else(|| format!("line {}: give a path, a weight above 0 and sentences, with tabs between", i + 1));
    lines.map(line).collect()
}

fn line(text: &str) -> Option<Line<'_>> {
    let mut fields = text.split('\t');
    let (path, weight) = (fields.next()?, fields.next()?.parse().ok()?);
    let sentences: Vec<&str> = fields.collect();
    (!sentences.is_empty() && weight > 0.0 && f64::is_finite(weight)).then_some(Line { path, weight, sentences })
}

/// The mean of YAMNet's embedding over a recording.
fn mean_embedding(sounds: &mut SoundRows, path: &Path, isa: Isa) -> Result<Option<Vec<f32>>, Error> {
    let refuse = |what: &dyn std::fmt::Display| Error::unsupported(path, what.to_string());
    let mut reader = AudioReader::open_with(path, isa).map_err(|e| refuse(&e))?;
    let mut block = vec![0.0; 16_000];
    loop {
        match reader.read(&mut block).map_err(|e| refuse(&e))? {
            0 => return sounds.finish_mean().map_err(|e| refuse(&e)),
            read => sounds.push(&block[..read]).map_err(|e| refuse(&e))?,
        }
    }
}

/// What sentences say together.
fn said(encoder: &mut TextEncoder, words: &SoundWords, isa: Isa, sentences: &[&str]) -> Result<Vec<f64>, ossicle::find::FindError> {
    let mut vectors = vec![];
    for sentence in sentences {
        vectors.push(encoder.encode(sentence)?.to_vec());
    }
    Ok(words.said(isa, &vectors).into_iter().map(f64::from).collect())
}

impl Captions {
    /// The map as a safetensors file.
    ///
    /// # Errors
    /// It cannot be laid out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let wrong = |e: safetensors::SafeTensorError| Error::unsupported(Path::new("captions"), e.to_string());
        let floats = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let weight: Vec<u8> = self.rows.values.iter().map(|q| q.cast_unsigned()).collect();
        let (scales, bias) = (floats(&self.rows.scales), floats(&self.bias));
        let rows = self.rows.rows;
        let tensors = [
            ("bias", TensorView::new(Dtype::F32, vec![rows], &bias).map_err(wrong)?),
            ("weight", TensorView::new(Dtype::I8, vec![rows, self.rows.inputs], &weight).map_err(wrong)?),
            ("weight_scale", TensorView::new(Dtype::F32, vec![rows], &scales).map_err(wrong)?),
        ];
        let metadata = [(EMBEDDING.to_owned(), self.embedding_sha256.clone())].into();
        safetensors::serialize(tensors, Some(metadata)).map_err(wrong)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) laid out.
    ///
    /// # Errors
    /// It is not such a file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = read(path)?;
        let wrong =
            |what: &dyn std::fmt::Display| Error::unsupported(path, format!("is no caption map of ossicle-quantize captions: {what}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(&e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| wrong(&e))?;
        let embedding = metadata.metadata().as_ref().and_then(|all| all.get(EMBEDDING)).ok_or_else(|| wrong(&"no digest"))?;
        let tensor = |name: &str, dtype: Dtype| {
            let tensor = tensors.tensor(name).map_err(|e| wrong(&e))?;
            if tensor.dtype() == dtype { Ok(tensor) } else { Err(wrong(&format!("{name} has another type"))) }
        };
        let floats = |name: &str| {
            let tensor = tensor(name, Dtype::F32)?;
            let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            if values.iter().all(|x| x.is_finite()) { Ok(values) } else { Err(wrong(&format!("{name} is not finite"))) }
        };
        let (scales, bias, weight) = (floats("weight_scale")?, floats("bias")?, tensor("weight", Dtype::I8)?);
        let [rows, inputs] = *weight.shape() else { return Err(wrong(&"its weight is no matrix")) };
        if scales.len() != rows || bias.len() != rows {
            return Err(wrong(&"its tensors do not fit each other"));
        }
        let values: Vec<i8> = weight.data().iter().map(|q| q.cast_signed()).collect();
        if values.contains(&i8::MIN) {
            return Err(wrong(&"a weight is -128"));
        }
        Ok(Self { rows: QuantizedRows { rows, inputs, values, scales }, bias, embedding_sha256: embedding.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_cannot_be_read_are_refused() {
        for list in ["a.wav", "a.wav\t1", "a.wav\t0\ta dog", "a.wav\tmuch\ta dog", "a.wav\tinf\ta dog"] {
            assert!(parse(list).is_err_and(|what| what.starts_with("line 1:")), "{list:?}");
        }
        let lines = parse("a.wav\t0.5\ta dog\tA dog barks.\n\n").unwrap();
        assert_eq!(
            (lines.len(), lines[0].path, lines[0].weight, &lines[0].sentences[..]),
            (1, "a.wav", 0.5, &["a dog", "A dog barks."][..])
        );
    }

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let rows = QuantizedRows { rows: 2, inputs: 3, values: vec![1, -2, 127, 0, -127, 4], scales: vec![0.5, 0.25] };
        let map = Captions { rows, bias: vec![1.0, -1.0], embedding_sha256: "abc".into() };
        let path = std::env::temp_dir().join(format!("captions-{}.safetensors", std::process::id()));
        std::fs::write(&path, map.to_bytes().unwrap()).unwrap();
        let again = Captions::open(&path).unwrap();
        std::fs::write(&path, b"nothing").unwrap();
        assert!(Captions::open(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        assert_eq!((again.rows.values, again.rows.scales, again.bias), (map.rows.values, map.rows.scales, map.bias));
        assert_eq!(again.embedding_sha256, "abc");
    }
}
