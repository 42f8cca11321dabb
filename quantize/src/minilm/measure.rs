//! How far the INT8 vectors are from the float ones.

use std::fmt::Write as _;
use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::minilm::MiniLmGraph;

use super::float::{dot, unit};
use super::{Encoder, refusal};
use crate::Error;

/// What INT8 costs, over some sentences.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Sentences.
    pub sentences: usize,
    /// Mean cosine between the float and the INT8 vector of a sentence, the mean of all float vectors taken away from both.
    pub mean: f64,
    /// The smallest such cosine.
    pub least: f64,
    /// Share of sentences whose cosine is at least 0.995.
    pub close: f64,
    /// Share of sentences that have the same nearest neighbour among the others.
    pub neighbours: f64,
}

impl Report {
    /// A table for the model card.
    pub fn markdown(&self) -> String {
        let mut out =
            format!("## What INT8 costs\n\nOver {} sentences, the mean of all taken away:\n\n| | |\n| --- | --- |\n", self.sentences);
        let rows = [("mean cosine to the float vector", self.mean), ("least cosine", self.least)];
        for (name, value) in rows {
            let _ = writeln!(out, "| {name} | {value:.4} |");
        }
        for (name, value) in [("cosine of at least 0.995", self.close), ("same nearest neighbour", self.neighbours)] {
            let _ = writeln!(out, "| {name} | {:.1} % |", 100.0 * value);
        }
        out
    }
}

impl Encoder {
    /// Runs a model folder of this encoder on sentences, and compares.
    ///
    /// # Errors
    /// The runtime does not take the folder, or its vectors are not finite.
    pub fn measure(&self, folder: &Path, sentences: &[&str]) -> Result<Report, Error> {
        let ints = self.vectors(folder, sentences)?;
        let floats: Vec<Vec<f32>> = self.tokens(sentences).iter().map(|tokens| self.encode(tokens, &mut |_, _, _| {})).collect();
        Ok(compare(&floats, &ints))
    }

    /// Vectors as the runtime computes them.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub(super) fn vectors(&self, folder: &Path, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let refused = |reason: String| Error::unsupported(&self.path, format!("the runtime does not take this model: {reason}"));
        let model = ModelFolder::open(folder).map_err(|error| refused(refusal(error.into())))?;
        let mut graph = MiniLmGraph::new(model, Options { isa: Isa::detect(), threads: 1 }).map_err(|error| refused(refusal(error)))?;
        let mut vectors = vec![];
        for tokens in self.tokens(texts) {
            let vector = graph.run(&tokens).map_err(|error| refused(error.to_string()))?;
            if !vector.iter().all(|x| x.is_finite()) {
                return Err(refused("a vector is not finite".into()));
            }
            vectors.push(vector.to_vec());
        }
        Ok(vectors)
    }
}

fn compare(floats: &[Vec<f32>], ints: &[Vec<f32>]) -> Report {
    let mut mean = vec![0.0; floats.first().map_or(0, Vec::len)];
    for vector in floats {
        mean.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x / floats.len() as f32);
    }
    let centred = |vector: &[f32]| {
        let mut vector: Vec<f32> = vector.iter().zip(&mean).map(|(x, mean)| x - mean).collect();
        unit(&mut vector);
        vector
    };
    let cosines: Vec<f64> = floats.iter().zip(ints).map(|(a, b)| f64::from(dot(&centred(a), &centred(b)))).collect();
    let nearest = |vectors: &[Vec<f32>], i: usize| {
        let others = vectors.iter().enumerate().filter(|&(j, _)| j != i);
        others.max_by(|(_, a), (_, b)| dot(a, &vectors[i]).total_cmp(&dot(b, &vectors[i]))).map(|(j, _)| j)
    };
    let same = (0..floats.len()).filter(|&i| nearest(floats, i) == nearest(ints, i)).count();
    let count = floats.len().max(1) as f64;
    Report {
        sentences: floats.len(),
        mean: cosines.iter().sum::<f64>() / count,
        least: cosines.iter().copied().fold(1.0, f64::min),
        close: cosines.iter().filter(|&&cosine| cosine >= 0.995).count() as f64 / count,
        neighbours: same as f64 / count,
    }
}
