//! What is heard, as the vector of a sentence that would describe it.

use super::words::centred;
use super::{ByteVector, FindError, TextEncoder};
use crate::vectors::dot;

/// A linear map from YAMNet's embedding to what is [said](super::SoundWords::said), learned from described recordings.
#[derive(Clone, Debug)]
pub struct Captions {
    /// `[vector][embedding]`
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

impl Captions {
    /// The encoder's map, if it has one. `embedding` is [`embedding_sha256`](ossicle_models::yamnet::embedding_sha256) of the YAMNet in use.
    ///
    /// # Errors
    /// It was learned on the embedding of another YAMNet.
    pub fn new(encoder: &TextEncoder, embedding: &str) -> Result<Option<Self>, FindError> {
        let Some((map, of)) = encoder.captions() else { return Ok(None) };
        if of != embedding {
            let problem = "has a caption map for another YAMNet: use --model yamnet, or make it without --captions".into();
            return Err(FindError::Sounds { path: encoder.path().to_owned(), problem });
        }
        Ok(Some(Self { inputs: map.weight.len() / map.bias.len(), weight: map.weight, bias: map.bias }))
    }

    /// How many values it gives.
    pub(super) fn values(&self) -> usize {
        self.bias.len()
    }

    /// The vector for a mean embedding.
    pub fn describe(&self, embedding: &[f32]) -> ByteVector {
        let roots: Vec<f32> = embedding.iter().map(|x| x.max(0.0).sqrt()).collect();
        let vector: Vec<f32> = self.weight.chunks_exact(self.inputs).zip(&self.bias).map(|(row, bias)| dot(row, &roots) + bias).collect();
        let vector = centred(&vector, &vec![0.0; vector.len()]);
        ByteVector::new(&vector)
    }
}

#[cfg(test)]
mod tests {
    use ossicle_kernels::simd::Isa;

    use super::*;

    #[test]
    fn a_map_is_for_its_own_yamnet_and_gives_vectors_of_length_1() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8");
        let encoder = TextEncoder::open(&models.join("minilm"), Isa::detect(), 1).unwrap();
        let of = encoder.captions().unwrap().1.to_owned();
        let line = Captions::new(&encoder, "0").unwrap_err().to_string();
        assert!(line.contains("another YAMNet"), "{line}");
        let captions = Captions::new(&encoder, &of).unwrap().unwrap();
        let ByteVector { values, scale } = captions.describe(&vec![0.25; 1024]);
        let length: f32 = values.iter().map(|&x| (f32::from(x) * scale).powi(2)).sum::<f32>().sqrt();
        assert!(values.len() == 905 && (length - 1.0).abs() < 0.02, "{length}");
        assert!(values.iter().any(|x| x.abs() == 127));
        assert_ne!(captions.describe(&vec![0.0; 1024]).values, values);
    }
}
