//! The text side of hibari-tts (misaki's lexicons, a tagger, a network for unknown words) as one file of `ossicle-phonemes`.

use std::collections::BTreeMap;
use std::path::Path;

use ossicle_phonemes::{Parts, Pronunciation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::onnx::read::{self, OnnxGraph};
use crate::source;

/// The most bytes of an unpacked file.
const MAX_UNPACKED: usize = 256 << 20;
/// Heads of the network; only in its nodes.
const HEADS: usize = 4;

#[derive(Deserialize)]
struct Tagger {
    tags: Vec<String>,
    tagdict: BTreeMap<String, String>,
    weights: BTreeMap<String, BTreeMap<String, f32>>,
}

#[derive(Deserialize)]
struct Letters {
    #[serde(rename = "in")]
    letters: Vec<String>,
    #[serde(rename = "out")]
    said: Vec<String>,
    slots: usize,
    maxlen: usize,
}

/// Reads the assets of a folder.
///
/// # Errors
/// A file is missing or is not what hibari-tts 0.2 has.
pub fn read(folder: &Path) -> Result<Parts, Error> {
    let mut lexicon: BTreeMap<String, Pronunciation> = unpacked(&folder.join("lexicon_us_silver.json.gz"))?;
    lexicon.extend(unpacked::<BTreeMap<String, Pronunciation>>(&folder.join("lexicon_us_gold.json.gz"))?);
    let tagger: Tagger = unpacked(&folder.join("tagger.json.gz"))?;
    let path = folder.join("oov.json");
    let Letters { letters, said, slots, maxlen } = source::read_json(&path)?;
    let one = |all: &[String]| all.iter().all(|text| text.chars().count() == 1);
    if !one(&letters) || !one(&said) || maxlen != 24 {
        return Err(Error::unsupported(&path, "letters and phonemes of one character each and maxlen 24 are expected"));
    }
    let graph = read::read(&folder.join("oov.onnx"))?;
    let (net, weights) = network(&graph, letters.len() + 1, slots * (said.len() + 1))?;
    Ok(Parts {
        language: "en-us".to_owned(),
        lexicon,
        tags: tagger.tags,
        tag_of_word: tagger.tagdict,
        tag_weights: tagger.weights,
        letters: letters.concat(),
        said: said.concat(),
        slots,
        net,
        weights,
        readings: source::read_json(&folder.join("normalize.json"))?,
    })
}

/// Sizes and weights of the network, in the order of [`Parts::weights`].
fn network(graph: &OnnxGraph, letters: usize, outputs: usize) -> Result<([usize; 4], Vec<f32>), Error> {
    let width = graph.shape("m.norm.weight").and_then(|shape| shape.first().copied()).unwrap_or_default();
    let hidden = graph.shape("m.layers.0.linear1.bias").and_then(|shape| shape.first().copied()).unwrap_or_default();
    let layers = (0..).take_while(|layer| graph.shape(&format!("m.layers.{layer}.norm1.weight")).is_some()).count();
    // Matrices have lost their names; they are in the order of the nodes.
    let mut matrices = graph
        .nodes
        .iter()
        .filter(|node| node.op == "MatMul")
        .filter_map(|node| node.inputs.get(1).filter(|name| graph.shape(name).is_some()))
        .map(String::as_str);
    let mut weights = Vec::new();
    let mut take = |name: &str, shape: &[usize]| -> Result<(), Error> {
        weights.extend(graph.floats(name, shape)?);
        Ok(())
    };
    let mut matrix = |shape: [usize; 2]| (matrices.next().unwrap_or("MatMul"), shape);
    take("m.emb.weight", &[letters, width])?;
    take("m.pos", &[24, width])?;
    for layer in 0..layers {
        let name = |part: &str| format!("m.layers.{layer}.{part}");
        take(&name("norm1.weight"), &[width])?;
        take(&name("norm1.bias"), &[width])?;
        for (inputs, outputs, bias) in [
            (width, 3 * width, "self_attn.in_proj_bias"),
            (width, width, "self_attn.out_proj.bias"),
            (width, hidden, "linear1.bias"),
            (hidden, width, "linear2.bias"),
        ] {
            if bias == "linear1.bias" {
                take(&name("norm2.weight"), &[width])?;
                take(&name("norm2.bias"), &[width])?;
            }
            let (matrix, shape) = matrix([inputs, outputs]);
            take(matrix, &shape)?;
            take(&name(bias), &[outputs])?;
        }
    }
    take("m.norm.weight", &[width])?;
    take("m.norm.bias", &[width])?;
    let (head, shape) = matrix([width, outputs]);
    take(head, &shape)?;
    take("m.head.bias", &[outputs])?;
    Ok(([width, HEADS, hidden, layers], weights))
}

/// JSON in a gzip file.
fn unpacked<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = source::read(path)?;
    let packed = deflated(&bytes).ok_or_else(|| Error::json(path, "not a gzip file"))?;
    let text = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, MAX_UNPACKED).map_err(|error| Error::json(path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::json(path, error))
}

/// What is packed in a gzip file (RFC 1952), its checksum and length behind it.
fn deflated(bytes: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = bytes.split_first_chunk::<10>()?;
    let flags = head[3];
    if head[..3] != [0x1f, 0x8b, 8] {
        return None;
    }
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(u16::from_le_bytes(*length).into()..)?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_heads_are_passed_over() {
        let head = |flags: u8| [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3].to_vec();
        assert_eq!(deflated(&[head(0), b"data".to_vec()].concat()), Some(&b"data"[..]));
        let all = [head(4 | 8 | 16 | 2), vec![2, 0, 9, 9], b"name\0".to_vec(), b"note\0".to_vec(), vec![1, 1], b"data".to_vec()].concat();
        assert_eq!(deflated(&all), Some(&b"data"[..]));
        for cut in [0, 5, 11, 13, 17] {
            assert_eq!(deflated(&all[..cut]), None);
        }
        assert_eq!(deflated(b"PK\x03\x04 something else"), None);
    }
}
