//! Images to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::MemoryPlan;
use ossicle_models::clip::Scores;
use ossicle_models::network::InputShape;
use ossicle_trace::{Step, Tap, Tensor, Values};

use super::{EmbedError, ImageTower, Images, Options};
use crate::families;
use crate::label::{Image, LabelError, Pixels, Preprocessor, Target};

/// How an image's vector and those of texts become scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// What cosines are multiplied by.
    pub scale: f32,
    /// What is added to that.
    pub bias: f32,
    /// A probability for each text by itself, or probabilities that sum to one.
    pub scores: Scores,
}

/// Encodes images.
#[derive(Debug)]
pub struct ImageEncoder {
    path: PathBuf,
    tower: Box<dyn ImageTower>,
    similarity: Similarity,
    width: usize,
    pixels: Pixels,
    target: Target,
    tap: Option<Arc<dyn Tap>>,
}

impl ImageEncoder {
    /// Opens the image tower of a CLIP, or a network with words.
    ///
    /// # Errors
    /// [`EmbedError::Kind`] if the model has neither; other errors if the folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let family = families::of(model).ok().map(|(family, _)| family);
        let images = family.map(|family| family.images(model, options)).transpose()?.flatten();
        let Some(Images { tower, similarity, width, input }) = images else {
            let kind = crate::models::info(model).map(|info| info.kind).unwrap_or_default();
            return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "images" });
        };
        let InputShape { height, width: columns, channels } = input;
        let target = Target { height, width: columns, channels };
        match Preprocessor::read(model, target)? {
            Preprocessor::Pixels(pixels) => Ok(Self { path: model.to_owned(), tower, similarity, width, pixels, target, tap: None }),
            Preprocessor::Frames(_) => Err(LabelError::Kind { labels: "recordings" }.into()),
        }
    }

    /// The vector of an image, of length 1.
    ///
    /// # Errors
    /// [`EmbedError::NotFinite`]; [`EmbedError::Graph`] would be a bug of ours.
    pub fn encode(&mut self, image: &Image) -> Result<&[f32], EmbedError> {
        let input = self.pixels.apply(image, self.target);
        if let Some(tap) = &self.tap {
            tap.step(Step { stage: "input", at: 0, count: 1 });
            let shape = [self.target.height, self.target.width, self.target.channels];
            tap.tensor(&Tensor { op: "input", kernel: "Preprocessor", part: "", shape: &shape, values: Values::F32(&input) });
        }
        let vector = self.tower.vector(&input)?;
        if vector.iter().all(|x| x.is_finite()) { Ok(vector) } else { Err(EmbedError::NotFinite { path: self.path.clone() }) }
    }

    /// How vectors become scores.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.tower.isa()
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Memory in use, all of it from the start; weights are those of this tower.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.tower.memory_plan()
    }

    /// From now on `tap` gets what the tower reads (step and tensor `input`) and every tensor it computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.tower.set_tap(tap.clone());
        self.tap = tap;
    }
}
