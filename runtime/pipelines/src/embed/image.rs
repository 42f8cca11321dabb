//! Images to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::MemoryPlan;
use ossicle_models::clip::{ClipConfig, ImageGraph, Scores};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::network::{InputShape, NetworkConfig, NetworkGraph};
use ossicle_trace::{Step, Tap, Tensor, Values};

use super::{EmbedError, Options};
use crate::label::{Image, LabelError, Pixels, Preprocessor, Target};

/// Whichever kind of model the folder holds.
#[derive(Debug)]
enum Graph {
    Clip(ImageGraph),
    Words(NetworkGraph),
}

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
    graph: Graph,
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
        let kind = crate::models::info(model).map(|info| info.kind).unwrap_or_default();
        let refused = |kind: &str| EmbedError::Kind { path: model.to_owned(), kind: kind.to_owned(), what: "images" };
        let (graph, similarity, width, input) = if kind == ClipConfig::KIND {
            let folder = ModelFolder::<ClipConfig>::open(model)?;
            let &ClipConfig { projection_dim: width, logit_scale: scale, logit_bias: bias, scores, .. } = folder.config();
            let input = folder.config().image.as_ref().map(|tower| tower.input).ok_or_else(|| refused(&kind))?;
            let graph = ImageGraph::new(folder, options.into(), options.most)?;
            (Graph::Clip(graph), Similarity { scale, bias, scores }, width, input)
        } else if kind == NetworkConfig::KIND {
            let folder = ModelFolder::<NetworkConfig>::open(model)?;
            let words = folder.config().words.as_ref().ok_or_else(|| refused(&kind))?;
            let similarity = Similarity { scale: words.logit_scale, bias: 0.0, scores: Scores::Softmax };
            let (width, input) = (words.width, folder.config().input);
            (Graph::Words(NetworkGraph::new_within(folder, options.into(), options.most)?), similarity, width, input)
        } else {
            return Err(refused(&kind));
        };
        let InputShape { height, width: columns, channels } = input;
        let target = Target { height, width: columns, channels };
        match Preprocessor::read(model, target)? {
            Preprocessor::Pixels(pixels) => Ok(Self { path: model.to_owned(), graph, similarity, width, pixels, target, tap: None }),
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
        let vector = match &mut self.graph {
            Graph::Clip(graph) => graph.run(&input)?,
            Graph::Words(graph) => {
                graph.run(&input)?;
                graph.vector()?
            }
        };
        if vector.iter().all(|x| x.is_finite()) { Ok(vector) } else { Err(EmbedError::NotFinite { path: self.path.clone() }) }
    }

    /// How vectors become scores.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        match &self.graph {
            Graph::Clip(graph) => graph.isa(),
            Graph::Words(graph) => graph.isa(),
        }
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Memory in use, all of it from the start; weights are those of this tower.
    pub fn memory_plan(&self) -> MemoryPlan {
        match &self.graph {
            Graph::Clip(graph) => graph.memory_plan(),
            Graph::Words(graph) => graph.memory_plan(),
        }
    }

    /// From now on `tap` gets what the tower reads (step and tensor `input`) and every tensor it computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match &mut self.graph {
            Graph::Clip(graph) => graph.set_tap(tap.clone()),
            Graph::Words(graph) => graph.set_tap(tap.clone()),
        }
        self.tap = tap;
    }
}
