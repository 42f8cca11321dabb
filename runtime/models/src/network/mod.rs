//! Networks as ossicle-quantize brings them in from ONNX: image classifiers and audio taggers as layers of integer kernels.
//!
//! ```no_run
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::network::NetworkGraph;
//! use ossicle_models::Options;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("shapes".as_ref())?;
//! let mut network = NetworkGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let grey = vec![0.0; network.input_len()];
//! let scores = network.run(&grey)?;
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod bytes;
mod config;
mod shapes;
mod tensors;
mod wire;
mod words;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::map::ToScores;
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

pub use config::{INPUT, InputShape, Layer, NetworkConfig, Op, WindowConfig};
pub use ossicle_engine::layers::map::{Block, Grid, MAX_INPUTS, Offset, Scores, Shape, unit_length};

pub use words::Words;

pub(crate) use shapes::shapes;
pub(crate) use tensors::Tensors;
pub(crate) use wire::Part;

/// Most bytes of buffers unless another limit is given: what needs more is no network for a board.
pub const MAX_BUFFER_BYTES: usize = 1 << 30;

/// A network ready to run.
pub struct NetworkGraph {
    folder: Arc<ModelFolder<NetworkConfig>>,
    session: Arc<Session>,
    runner: Runner,
    memory: MemoryPlan,
}

impl fmt::Debug for NetworkGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl NetworkGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if buffers would
    /// take more than [`MAX_BUFFER_BYTES`].
    pub fn new(folder: Arc<ModelFolder<NetworkConfig>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, MAX_BUFFER_BYTES)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before anything is allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<NetworkConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let config = folder.config();
        let shapes = config.shapes().map_err(GraphError::Plan)?;
        let session = Session::new(folder.weights(), options);
        let mut graph = GraphBuilder::new(&session);
        let shape = config.input_shape();
        let source = graph.input::<f32>("network.input", &[shape.positions(), shape.channels])?;
        let tensors = Tensors::new(folder.weights(), "");
        let part = Part { name: "network", input: shape, layers: &config.layers, shapes: &shapes };
        let last = part.wire(&mut graph, &tensors, source, None)?;
        let scores = ToScores { scores: config.scores, labels: config.num_labels };
        let scores = graph.add("network.scores", scores, &[last])?[0];
        let mut outputs = vec![scores];
        if let Some(words) = &config.words {
            outputs.push(words.wire(&mut graph, folder.weights(), last, config.num_labels)?);
        }
        let runner = graph.finish(&outputs, most)?;
        let memory = MemoryPlan { weights: folder.weights().bytes(), buffers: runner.bytes(), state: 0 };
        Ok(Self { folder, session, runner, memory })
    }

    /// The network's configuration.
    pub fn config(&self) -> &NetworkConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.memory
    }

    /// Values of the input, `[height][width][channels]`.
    pub fn input_len(&self) -> usize {
        let shape = self.config().input_shape();
        shape.positions() * shape.channels
    }

    /// Each layer in the order of the run: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.layers()
    }

    /// Hands every tensor that is computed from now on to `tap`, layer after layer, without padding; `None` ends that. Steps are called
    /// `network`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Scores of one input, `[num_labels]`. Allocates nothing.
    ///
    /// # Errors
    /// [`GraphError::Size`] if `input` has another length than [`input_len`](NetworkGraph::input_len).
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], GraphError> {
        let most = self.input_len();
        if input.len() != most {
            return Err(GraphError::Size { what: "input values (height times width times channels)", have: input.len(), most });
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("network", 0, 1);
        }
        self.runner.input_mut(0)?.copy_from_slice(input);
        self.runner.run()?;
        self.runner.output(0)
    }

    /// The vector of the last input, of length 1, by the words of its labels.
    ///
    /// # Errors
    /// [`GraphError::Access`] if nothing has run, or the network has no words.
    pub fn vector(&self) -> Result<&[f32], GraphError> {
        self.runner.output(1)
    }
}
