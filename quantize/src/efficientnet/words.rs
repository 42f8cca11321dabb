//! A vector of a text encoder for each of ImageNet's classes: images by words without an encoder that was trained for it.
//!
//! A class's vector is the mean of its synset's words', plus parts of those of its hypernym, of its gloss, and of "person" where people wear it,
//! play it or are it: no class of ImageNet is plainly a person, and pictures of a bow tie seldom lack one. No picture was used.

use std::path::Path;

use ossicle::embed::{EmbedError, Options, TextEncoder};
use ossicle_models::network::Words;

use crate::Error;
use crate::network::WordVectors;
use crate::pack::quantize_rows;
use crate::tensors::{self, Tensor};
use crate::vectors::unit;

/// Of each class the label, its synset's words, its first hypernym's words, label and gloss, and whether people are to be seen (WordNet 3.1).
const TABLE: &str = include_str!("words.tsv");

/// What logits are multiplied by.
const SHARPNESS: f32 = 0.7;

/// What cosines are multiplied by: with this the first of COCO's names is as likely as it is right, over the photos of tests/accuracy/words.py.
const LOGIT_SCALE: f32 = 12.0;

/// What a hypernym, a gloss and "person" count next to the synset's words.
const HYPERNYM: f32 = 0.3;
const GLOSS: f32 = 0.3;
const PERSON: f32 = 1.5;

/// A row of the table.
struct Class<'a> {
    name: &'a str,
    words: Vec<&'a str>,
    hypernyms: Vec<&'a str>,
    gloss: &'a str,
    person: bool,
}

fn classes() -> Vec<Class<'static>> {
    let split = |text: &'static str| text.split('|').filter(|word| !word.is_empty()).collect();
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        Class { name: next(), words: split(next()), hypernyms: split(next()), gloss: next(), person: next() == "1" }
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Encodes the classes with the sentence encoder in `model`, which may be told by `name` when images are compared with texts.
///
/// # Errors
/// The folder holds none, or the labels are not ImageNet's.
pub(crate) fn encode(model: &Path, name: &str, labels: &[String]) -> Result<WordVectors, Error> {
    let classes = classes();
    if !classes.iter().map(|class| class.name).eq(labels.iter().map(String::as_str)) {
        return Err(Error::unsupported(model, "--words: only ImageNet's own labels have words"));
    }
    let refused = |error: EmbedError| Error::unsupported(model, error.to_string());
    let mut encoder = TextEncoder::open(model, Options::default()).map_err(refused)?;
    let digest = encoder.text_sha256().ok_or_else(|| Error::unsupported(model, "is not a sentence encoder"))?;
    let width = encoder.width();
    let mut vector = |text: &str| encoder.encode(text).map(|encoded| encoded.vector.to_vec()).map_err(refused);
    let mut all =
        |texts: &[&str]| -> Result<Vec<f32>, Error> { Ok(mean(&texts.iter().map(|text| vector(text)).collect::<Result<Vec<_>, _>>()?)) };
    let mut names = vec![];
    let mut glosses = vec![];
    for class in &classes {
        names.push(all(&[class.name])?);
        glosses.push(all(&[class.gloss])?);
    }
    let (middle, gloss_middle) = (mean(&names), mean(&glosses));
    let person = centred(&all(&["person"])?, &middle);
    let mut rows = vec![];
    for (class, gloss) in classes.iter().zip(&glosses) {
        let mut row = centred(&all(&class.words)?, &middle);
        if !class.hypernyms.is_empty() {
            add(&mut row, HYPERNYM, &centred(&all(&class.hypernyms)?, &middle));
        }
        add(&mut row, GLOSS, &centred(gloss, &gloss_middle));
        if class.person {
            add(&mut row, PERSON, &person);
        }
        rows.push(row);
    }
    // Shares that say nothing are to say nothing.
    let nothing = mean(&rows);
    rows.iter_mut().for_each(|row| add(row, -1.0, &nothing));
    let depth = rows.len().next_multiple_of(tensors::LANES);
    let matrix: Vec<f32> =
        (0..width).flat_map(|at| (0..depth).map(move |k| (at, k))).map(|(at, k)| rows.get(k).map_or(0.0, |row| row[at])).collect();
    let mut out = vec![];
    tensors::put_rows(&mut out, "words", &quantize_rows(&matrix, width, depth), Some(vec![0.0; width]));
    out.push(Tensor::floats("words.mean".into(), vec![width], middle));
    let config = Words { width, sharpness: SHARPNESS, logit_scale: LOGIT_SCALE, text_model: name.to_owned(), text_sha256: digest };
    Ok(WordVectors { config, tensors: out })
}

fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    vectors.iter().for_each(|vector| add(&mut sum, 1.0, vector));
    sum.iter_mut().for_each(|x| *x /= vectors.len() as f32);
    sum
}

fn centred(vector: &[f32], middle: &[f32]) -> Vec<f32> {
    let mut out: Vec<f32> = vector.iter().zip(middle).map(|(x, middle)| x - middle).collect();
    unit(&mut out);
    out
}

fn add(sum: &mut [f32], factor: f32, vector: &[f32]) {
    sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += factor * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_words_and_a_gloss() {
        let classes = classes();
        assert!(classes.iter().map(|class| class.name).eq(super::super::LABELS.lines()));
        assert!(classes.iter().all(|class| !class.words.is_empty() && class.gloss.starts_with(class.name)));
        assert_eq!(classes.iter().filter(|class| class.person).count(), 116);
    }
}
