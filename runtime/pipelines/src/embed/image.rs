//! Images to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::MemoryPlan;
use ossicle_models::clip::{ClipConfig, ImageGraph};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::network::InputShape;
use ossicle_trace::{Step, Tap, Tensor, Values};

use super::{EmbedError, Options};
use crate::label::{Image, LabelError, Pixels, Preprocessor, Target};

/// Encodes images.
#[derive(Debug)]
pub struct ImageEncoder {
    path: PathBuf,
    graph: ImageGraph,
    pixels: Pixels,
    target: Target,
    tap: Option<Arc<dyn Tap>>,
}

impl ImageEncoder {
    /// Opens the image tower of a model folder.
    ///
    /// # Errors
    /// [`EmbedError::Kind`] if it has none; other errors if the folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        if let Some(kind) = crate::models::info(model).ok().map(|info| info.kind).filter(|kind| kind != ClipConfig::KIND) {
            return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "images" });
        }
        let folder = ModelFolder::<ClipConfig>::open(model)?;
        let Some(InputShape { height, width, channels }) = folder.config().image.as_ref().map(|tower| tower.input) else {
            return Err(EmbedError::Kind { path: model.to_owned(), kind: ClipConfig::KIND.into(), what: "images" });
        };
        let graph = ImageGraph::new(folder, options.into(), options.most)?;
        let target = Target { height, width, channels };
        match Preprocessor::read(model, target)? {
            Preprocessor::Pixels(pixels) => Ok(Self { path: model.to_owned(), graph, pixels, target, tap: None }),
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
        let vector = self.graph.run(&input)?;
        if vector.iter().all(|x| x.is_finite()) { Ok(vector) } else { Err(EmbedError::NotFinite { path: self.path.clone() }) }
    }

    /// The configuration of both towers.
    pub fn config(&self) -> &ClipConfig {
        self.graph.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.graph.isa()
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.config().projection_dim
    }

    /// Memory in use, all of it from the start; weights are those of this tower.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.graph.memory_plan()
    }

    /// From now on `tap` gets what the tower reads (step and tensor `input`) and every tensor it computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }
}
