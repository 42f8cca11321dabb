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

mod config;
mod shapes;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layer;
use ossicle_engine::weights::{FolderError, ModelFolder};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_kernels::window::Window;
use ossicle_trace::Tap;

pub use config::{INPUT, InputShape, Layer, NetworkConfig, Op, WindowConfig};
pub use ossicle_engine::layers::map::{Block, MAX_INPUTS, Offset, Scores, Shape};

use ossicle_engine::layers::map::{
    AddConstant, Affine, Attention, CausalAttention, Concat, Copies, Dense, DenseF32, Depthwise, Join, Joined, Mean, Norm, Packed, Pad, PoolWindows,
    Prepend, Take, ToScores, Unary,
};

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
        let behind = |source: usize| source.checked_sub(1).map_or(config.input_shape(), |layer| shapes[layer].0);
        let session = Session::new(folder.weights(), options);
        let mut graph = GraphBuilder::new(&session);
        let shape = config.input_shape();
        let source = graph.input::<f32>("network.input", &[shape.positions(), shape.channels])?;
        let mut outlets = vec![source];
        // Convolutions take what they need of each position; everything else wants whole vectors.
        let narrow = shape.channels < shape.padded();
        let raw = |layer: &Layer, sources: &[usize]| matches!(layer.op, Op::Conv { .. } | Op::ConvF32 { .. }) && sources == [0];
        let padded = match narrow && config.layers.iter().zip(&shapes).any(|(layer, (_, from))| from.contains(&0) && !raw(layer, from)) {
            true => graph.add("network.padded", Pad { output: shape }, &[source])?[0],
            false => source,
        };
        for (layer, (output, sources)) in config.layers.iter().zip(&shapes) {
            let direct = raw(layer, sources);
            let shapes: Vec<Shape> = sources.iter().map(|&source| behind(source)).collect();
            let stride = if direct { shapes[0].channels } else { shapes[0].padded() };
            let inputs: Vec<Outlet> = sources.iter().map(|&from| if from == 0 && !direct { padded } else { outlets[from] }).collect();
            let op = operator(&folder, layer, &shapes, stride, *output)?;
            outlets.push(graph.add_shared(format!("network.{}", layer.name), op, &inputs)?[0]);
        }
        let scores = ToScores { scores: config.scores, labels: config.num_labels };
        let last = outlets.last().copied().unwrap_or(source);
        let scores = graph.add("network.scores", scores, &[last])?[0];
        let runner = graph.finish(&[scores], most)?;
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
}

/// A layer's operator, its tensors checked.
fn operator(
    folder: &ModelFolder<NetworkConfig>,
    layer: &Layer,
    inputs: &[Shape],
    stride: usize,
    output: Shape,
) -> Result<Arc<dyn layer::Layer>, FolderError> {
    let (weights, name, input) = (folder.weights(), &layer.name, inputs[0]);
    let tensor = |ending: &str, shape: &[usize]| weights.f32_span(&format!("{name}.{ending}"), shape);
    let packed = |depth: usize, offset: Offset| {
        let layer = weights.linear_span(name, output.channels, depth, true)?;
        let sums = if offset.is_some() { weights.weight_sums(name, &layer)? } else { Arc::default() };
        Ok::<_, FolderError>(Packed { layer, offset, sums, depth })
    };
    let channels = output.padded();
    Ok(match layer.op {
        Op::Conv { window, activation, groups, offset, .. } => {
            let window = Window::from(window);
            let block =
                Block::new(groups, input.channels, output.channels).unwrap_or(Block { inputs: input.channels, outputs: output.channels });
            let weights = packed((window.taps() * block.inputs).next_multiple_of(LANES), offset)?;
            Arc::new(Dense { weights, window: Some((window, block)), input, stride, output, activation })
        }
        Op::ConvF32 { window, activation, .. } => {
            let window = Window::from(window);
            let (weights, bias) = (tensor("weight", &[window.taps() * input.channels, channels])?, tensor("bias", &[channels])?);
            Arc::new(DenseF32 { weights, bias, window, input, stride, output, activation })
        }
        Op::Linear { activation, offset, .. } => {
            let weights = packed(input.padded(), offset)?;
            Arc::new(Dense { weights, window: None, input, stride, output, activation })
        }
        Op::Depthwise { window, activation } => {
            let window = Window::from(window);
            let (weights, bias) = (tensor("weight", &[window.taps(), channels])?, tensor("bias", &[channels])?);
            Arc::new(Depthwise { weights, bias, window, input, output, activation })
        }
        Op::Pool { window, pool } => Arc::new(PoolWindows { window: window.into(), pool, input, output }),
        Op::Mean => Arc::new(Mean { output }),
        Op::Affine { activation } => {
            let (weight, bias) = (tensor("weight", &[channels])?, tensor("bias", &[channels])?);
            Arc::new(Affine { weight, bias, output, activation })
        }
        Op::Add { activation } => Arc::new(Join { how: Joined::Sum(activation), output }),
        Op::Multiply => Arc::new(Join { how: Joined::Product, output }),
        Op::Scale => Arc::new(Join { how: Joined::Scaled, output }),
        Op::Activate { activation } => Arc::new(Unary { activation, output }),
        Op::Norm { epsilon } => {
            let (weight, bias) = (tensor("weight", &[channels])?, tensor("bias", &[channels])?);
            Arc::new(Norm { weight, bias, epsilon, output })
        }
        Op::Attention { heads, causal: false } => Arc::new(Attention { heads, output }),
        Op::Attention { heads, causal: true } => Arc::new(CausalAttention { heads, output }),
        Op::Prepend { tokens } => {
            let tokens = tensor("tokens", &[tokens, channels])?;
            Arc::new(Prepend { tokens, output })
        }
        Op::AddConstant => {
            let constant = tensor("constant", &[output.positions(), channels])?;
            Arc::new(AddConstant { constant, output })
        }
        Op::Concat { ref channels } => {
            let copies = Copies::new(inputs, channels, output);
            Arc::new(Concat { copies, output })
        }
        Op::Take { first, .. } => Arc::new(Take { first, output }),
    })
}
