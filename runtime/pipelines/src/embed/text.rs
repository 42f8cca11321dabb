//! Texts to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::MemoryPlan;
use ossicle_models::network::unit_length;
use ossicle_text::Tokenizer;
use ossicle_trace::Tap;

use super::{EmbedError, Options, TextSource, TextTower, Texts};
use crate::families;

/// Encodes texts.
#[derive(Debug)]
pub struct TextEncoder {
    path: PathBuf,
    tokenizer: Tokenizer,
    tower: Box<dyn TextTower>,
    most_tokens: usize,
    width: usize,
    /// What is taken from each vector, if anything, and room for what is left.
    mean: Option<(Vec<f32>, Vec<f32>)>,
}

/// A text's vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// Of length 1.
    pub vector: &'a [f32],
    /// Tokens that were read, those around the text included.
    pub tokens: usize,
    /// Tokens at the end of the text that the model does not read, as it reads no more of them.
    pub left_out: usize,
}

impl TextEncoder {
    /// Opens the text tower of a CLIP, a sentence encoder, or the one that a network with words names.
    ///
    /// # Errors
    /// [`EmbedError::Kind`] if the model has neither; other errors if the folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let family = families::of(model).ok().map(|(family, _)| family);
        let texts = match family.map(|family| family.texts(model, options)).transpose()?.flatten() {
            Some(TextSource::Own(texts)) => texts,
            Some(TextSource::Other(encoder, mean)) => {
                let room = vec![0.0; mean.len()];
                return Ok(Self { mean: Some((mean, room)), ..*encoder });
            }
            None => {
                let kind = crate::models::info(model).map(|info| info.kind).unwrap_or_default();
                return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "texts" });
            }
        };
        let Texts { tower, tokenizer, cleaning, most_tokens, width } = texts;
        let tokenizer = Tokenizer::from_json(&tokenizer)
            .and_then(|tokenizer| tokenizer.cleaned(cleaning))
            .map_err(|source| EmbedError::Tokenizer { path: model.to_owned(), source })?;
        Ok(Self { path: model.to_owned(), tokenizer, tower, most_tokens, width, mean: None })
    }

    /// Digest of the tensors that a sentence encoder's vectors depend on, in lower-case hexadecimal; none of a CLIP.
    pub fn text_sha256(&self) -> Option<String> {
        self.tower.sha256()
    }

    /// The vector of a text. What the model cannot read of a long one is left out, and counted.
    ///
    /// # Errors
    /// [`EmbedError::NotFinite`]; [`EmbedError::Graph`] would be a bug of ours.
    pub fn encode(&mut self, text: &str) -> Result<Encoded<'_>, EmbedError> {
        let encoding = self.tokenizer.encode(text, self.most_tokens);
        let vector = self.tower.vector(&encoding.ids)?;
        if !vector.iter().all(|x| x.is_finite()) {
            return Err(EmbedError::NotFinite { path: self.path.clone() });
        }
        let vector = match &mut self.mean {
            None => vector,
            Some((mean, left)) => {
                left.iter_mut().zip(vector).zip(mean).for_each(|((left, x), mean)| *left = x - *mean);
                unit_length(left);
                left
            }
        };
        Ok(Encoded { vector, tokens: encoding.ids.len(), left_out: encoding.left_out })
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Most tokens of a text that are read, those around it included.
    pub fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.tower.memory_plan()
    }

    /// From now on `tap` gets every tensor that is computed; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.tower.set_tap(tap);
    }
}
