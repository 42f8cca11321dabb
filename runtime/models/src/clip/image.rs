//! Images to vectors.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::map::{Shape, UnitLength};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

use super::{ClipConfig, ImageTower, missing};
use crate::network::{Part, Tensors, shapes};

/// Tensors of the tower.
const PREFIX: &str = "image.";

/// An image tower ready to run.
pub struct ImageGraph {
    folder: Arc<ModelFolder<ClipConfig>>,
    session: Arc<Session>,
    runner: Runner,
    input_len: usize,
    memory: MemoryPlan,
}

impl fmt::Debug for ImageGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl ImageGraph {
    /// Checks the tower's tensors, plans every buffer and starts the threads. `most` is the limit to the buffers, in bytes: what does not fit is
    /// refused before anything is allocated.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if there is no image tower, or a tensor is missing, misshapen or not finite; [`GraphError::Memory`].
    pub fn new(folder: Arc<ModelFolder<ClipConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let tower: &ImageTower = folder.config().image.as_ref().ok_or_else(|| missing(&folder, "image"))?;
        let (input, width) = (tower.shape(), folder.config().projection_dim);
        let shapes = shapes(input, &tower.layers).map_err(GraphError::Plan)?;
        let session = Session::new(folder.weights(), options);
        let mut graph = GraphBuilder::new(&session);
        let source = graph.input::<f32>("image.input", &[input.positions(), input.channels])?;
        let part = Part { name: "image", input, layers: &tower.layers, shapes: &shapes };
        let last = part.wire(&mut graph, &Tensors::new(folder.weights(), PREFIX), source, None)?;
        let vector = graph.add("image.vector", UnitLength { output: Shape::line(1, width) }, &[last])?[0];
        let runner = graph.finish(&[vector], most)?;
        let weights = folder.weights().bytes_of(|name| name.starts_with(PREFIX));
        let memory = MemoryPlan { weights, buffers: runner.bytes(), state: 0 };
        Ok(Self { input_len: input.positions() * input.channels, session, runner, memory, folder })
    }

    /// The configuration of both towers.
    pub fn config(&self) -> &ClipConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Values of the input, `[height][width][channels]`.
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// Memory in use, all of it from the start; weights are those of this tower.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.memory
    }

    /// Each layer in the order of the run: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.layers()
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `image`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// The vector of an image `[height][width][channels]`: `[projection_dim]`, of length 1. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if `input` has another length.
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], GraphError> {
        let most = self.input_len;
        if input.len() != most {
            return Err(GraphError::Size { what: "input values (height times width times channels)", have: input.len(), most });
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("image", 0, 1);
        }
        self.runner.input_mut(0)?.copy_from_slice(input);
        self.runner.run()?;
        self.runner.output(0)
    }
}
