//! How near words are to each of YAMNet's classes.

use ossicle_kernels::activation::softmax;
use ossicle_kernels::simd::{Isa, LANES};

use super::{FindError, TextEncoder};
use crate::vectors::dot;

/// Below this cosine a class hardly counts beside one that is nearer by as much.
const TEMPERATURE: f32 = 0.07;

/// How much the caption map counts: the score of a recording whose vector has a cosine of 1 grows by e to the power of this.
const SAY: f64 = 4.0;

/// Of so many phrases one is among those that a recording is compared by.
const EVERY: usize = 3;

/// Phrases for sounds, by class.
#[derive(Debug)]
pub struct SoundWords {
    width: usize,
    classes: usize,
    /// The mean of all phrases' vectors, which says nothing of any.
    mean: Vec<f32>,
    /// `[phrases][width]`: vectors without the mean, of length 1.
    phrases: Vec<f32>,
    /// The class of each phrase.
    owners: Vec<usize>,
}

/// A sentence as weights of YAMNet's classes, which sum to 1, and as a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    weights: Vec<f32>,
    /// The sentence's vector without the mean, of length 1, and behind it the roots of the weights, of length 1 as well: both over the root of 2.
    vector: Vec<f32>,
}

impl SoundWords {
    /// The encoder's phrases for these classes.
    ///
    /// # Errors
    /// If it has none, or none for one of the classes.
    pub fn new(encoder: &TextEncoder, labels: &[String]) -> Result<Self, FindError> {
        let (owners, mut phrases) = encoder.sounds()?;
        let refuse = |problem: String| FindError::Sounds { path: encoder.path().to_owned(), problem };
        let width = phrases.len() / owners.len();
        let owners = owners.iter().map(|owner| {
            let found = labels.iter().position(|label| label == owner);
            found.ok_or_else(|| refuse(format!("has a phrase for {owner:?}, which is not a label of the sound model: use --model yamnet")))
        });
        let owners: Vec<usize> = owners.collect::<Result<_, _>>()?;
        if let Some(label) = (0..labels.len()).find(|class| !owners.contains(class)) {
            return Err(refuse(format!("has no phrase for {:?}", labels[label])));
        }
        let mut mean = vec![0.0; width];
        for phrase in phrases.chunks_exact(width) {
            mean.iter_mut().zip(phrase).for_each(|(sum, x)| *sum += x);
        }
        let count = owners.len() as f32;
        mean.iter_mut().for_each(|sum| *sum /= count);
        for phrase in phrases.chunks_exact_mut(width) {
            let whole = centred(phrase, &mean);
            phrase.copy_from_slice(&whole);
        }
        Ok(Self { width, classes: labels.len(), mean, phrases, owners })
    }

    /// The weights of a sentence's vector.
    pub fn query(&self, isa: Isa, vector: &[f32]) -> Query {
        self.of_centred(isa, &self.centred(vector))
    }

    /// As [`query`](Self::query), of a vector of length 1 without the mean.
    fn of_centred(&self, isa: Isa, vector: &[f32]) -> Query {
        // A class is as near as its nearest phrase.
        let mut weights = vec![-1.0 / TEMPERATURE; self.classes];
        for (phrase, &owner) in self.phrases.chunks_exact(self.width).zip(&self.owners) {
            weights[owner] = weights[owner].max(dot(phrase, vector) / TEMPERATURE);
        }
        softmax(isa, &mut weights);
        let joint = vector.iter().copied().chain(weights.iter().map(|weight| weight.sqrt()));
        let vector = joint.map(|x| x * std::f32::consts::FRAC_1_SQRT_2).collect();
        Query { weights, vector }
    }

    /// What sentences' vectors say together, as a caption map is to say it: [`described`](Self::described) values, of length 1.
    pub fn said(&self, isa: Isa, sentences: &[Vec<f32>]) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for vector in sentences {
            sum.iter_mut().zip(self.centred(vector)).for_each(|(sum, x)| *sum += x);
        }
        self.of_centred(isa, &centred(&sum, &vec![0.0; self.width])).vector
    }

    /// Values of what is [`said`](Self::said): a sentence's vector and a root for each class.
    pub fn described(&self) -> usize {
        self.width + self.classes
    }

    /// Queries for every third phrase: how near a recording is to anything that could be said.
    pub(super) fn sample(&self, isa: Isa) -> Vec<Query> {
        self.phrases.chunks_exact(self.width).skip(1).step_by(EVERY).map(|phrase| self.of_centred(isa, phrase)).collect()
    }

    /// A sentence's vector without the mean of all phrases, of length 1.
    fn centred(&self, vector: &[f32]) -> Vec<f32> {
        centred(vector, &self.mean)
    }

    /// Queries for the classes themselves, by the first phrase of each: what a recording is compared by.
    pub fn classes(&self, isa: Isa) -> Vec<Query> {
        let first = |class: usize| self.owners.iter().position(|&owner| owner == class).unwrap_or(0);
        let vector = |phrase: usize| -> Vec<f32> {
            let phrase = &self.phrases[phrase * self.width..][..self.width];
            phrase.iter().zip(&self.mean).map(|(x, mean)| x + mean).collect()
        };
        (0..self.classes).map(|class| self.query(isa, &vector(first(class)))).collect()
    }
}

impl Query {
    /// How much of the sentence is heard, 0 to 1, given the roots of all classes' scores.
    pub fn heard(&self, roots: &[f32]) -> f32 {
        dot(&self.weights, roots)
    }

    /// As [`heard`](Self::heard), given the roots times 255.
    pub(super) fn heard_bytes(&self, roots: &[u8]) -> f32 {
        let mut lanes = [0.0f32; LANES];
        for (weights, roots) in self.weights.chunks(LANES).zip(roots.chunks(LANES)) {
            for ((lane, weight), &root) in lanes.iter_mut().zip(weights).zip(roots) {
                *lane += weight * f32::from(root);
            }
        }
        lanes.iter().sum::<f32>() / 255.0
    }

    /// How much more likely the sentence is by what would be said of a recording: e to the power of [`SAY`] times the cosine, nearly.
    pub(super) fn likelier(&self, values: &[i8], scale: f32) -> f32 {
        let mut lanes = [0.0f32; LANES];
        for (x, values) in self.vector.chunks(LANES).zip(values.chunks(LANES)) {
            for ((lane, x), &value) in lanes.iter_mut().zip(x).zip(values) {
                *lane += x * f32::from(value);
            }
        }
        let cosine = f64::from(lanes.iter().sum::<f32>() * scale);
        // The power by squaring: no function of a C library decides on a bit.
        let mut power = 1.0 + SAY * cosine / 1024.0;
        for _ in 0..10 {
            power *= power;
        }
        power as f32
    }

    /// The score of the sentence, 0 to 1, given scores of all classes: the square of the weighted mean of their roots, so that many faint
    /// relatives do not count for more than the sound itself.
    pub fn score(&self, scores: &[f32]) -> f32 {
        let mut lanes = [0.0f32; LANES];
        for (weights, scores) in self.weights.chunks(LANES).zip(scores.chunks(LANES)) {
            for ((lane, weight), score) in lanes.iter_mut().zip(weights).zip(scores) {
                *lane += weight * score.max(0.0).sqrt();
            }
        }
        let root: f32 = lanes.iter().sum();
        (root * root).min(1.0)
    }
}

/// Takes the mean away and divides by the length.
pub(super) fn centred(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let mut vector: Vec<f32> = vector.iter().zip(mean).map(|(x, mean)| x - mean).collect();
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}
