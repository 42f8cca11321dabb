//! How far the INT8 vectors are from the float ones.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::minilm::MiniLmGraph;

use super::{Encoder, refusal};
use crate::Error;
use crate::vectors::{self, Report};

/// A cosine from which on two vectors say the same.
const CLOSE: f64 = 0.995;

impl Encoder {
    /// Runs a model folder of this encoder on sentences, and compares.
    ///
    /// # Errors
    /// The runtime does not take the folder, or its vectors are not finite.
    pub fn measure(&self, folder: &Path, sentences: &[&str]) -> Result<Report, Error> {
        let ints = self.vectors(folder, sentences)?;
        let floats: Vec<Vec<f32>> = self.tokens(sentences).iter().map(|tokens| self.encode(tokens, &mut |_, _, _| {})).collect();
        Ok(vectors::compare(&floats, &ints, CLOSE))
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
