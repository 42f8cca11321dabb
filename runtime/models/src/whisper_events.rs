//! A head on Whisper's encoder that scores sounds: one pass of the encoder gives text and events.
//!
//! The encoder's output is a row every 20 ms. Two rows are a cell: they are standardised, projected to one width and rectified, temporal
//! convolutions go over the cells, and a linear layer reads the classes. Standardisation is f32, the layers run in 8 bits. After Gong et al. 2023,
//! "Whisper-AT"; that reads every layer's output, this the last one's alone.
//!
//! ```no_run
//! use ossicle_models::Options;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::whisper_events::{STEP_ROWS, WhisperEventsGraph};
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/whisper-events".as_ref())?;
//! let mut head = WhisperEventsGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let scores = head.run(&[0.0; STEP_ROWS * 384])?;
//! assert_eq!(scores.len(), STEP_ROWS / 2 * 13);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{LinearSpan, ModelConfig, ModelFolder, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Memory, MemoryPlan, Options, Session};
use ossicle_kernels::linear::{Finish, linear};
use ossicle_kernels::simd::LANES;
use ossicle_trace::Tap;
use serde::Deserialize;

use crate::Graph;
use crate::graph::named;
use ossicle_engine::layers::{Classifier, RowBuffers, Sigmoid, Temporals, UnsignedLinear, dilations_problem, relu};

/// Rows of the encoder that are a cell: 40 ms.
pub const CELL_ROWS: usize = 2;

/// Cells of one run.
pub const STEP_CELLS: usize = 8;

/// Rows of the encoder of one run.
pub const STEP_ROWS: usize = STEP_CELLS * CELL_ROWS;

/// `config.json` of such a head.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WhisperEventsConfig {
    /// Values of a row of the encoder.
    pub d_model: usize,
    /// Values of a cell.
    pub width: usize,
    /// Cells between the taps of each temporal convolution.
    pub dilations: Vec<usize>,
    /// Classes; `labels.txt` has a line for each.
    pub num_labels: usize,
    /// The models whose encoder it was learned on: name, and SHA-256 of `model.safetensors` in hexadecimal.
    pub encoders: BTreeMap<String, String>,
}

impl ModelConfig for WhisperEventsConfig {
    const KIND: &'static str = "whisper-events";

    fn problem(&self) -> Option<String> {
        for (name, value, most) in [("d_model", self.d_model, 2048), ("width", self.width, 512)] {
            if value == 0 || value > most || !value.is_multiple_of(LANES) {
                return Some(format!("{name} is {value}, not a multiple of {LANES} within {LANES}..={most}"));
            }
        }
        if !(1..=1024).contains(&self.num_labels) {
            return Some(format!("num_labels is {}, not within 1..=1024", self.num_labels));
        }
        dilations_problem(&self.dilations)
    }
}

impl WhisperEventsConfig {
    /// Cells by which scores come later than the rows they are of.
    pub fn lag(&self) -> usize {
        self.dilations.iter().sum()
    }
}

/// The head, ready to run.
pub struct WhisperEventsGraph {
    folder: Arc<ModelFolder<WhisperEventsConfig>>,
    session: Arc<Session>,
    blocks: Temporals,
    runner: Runner,
}

impl fmt::Debug for WhisperEventsGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhisperEventsGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Graph for WhisperEventsGraph {
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }

    fn layers(&self) -> Vec<(String, Work)> {
        named(self.runner.layers())
    }

    fn memory_plan(&self) -> MemoryPlan {
        let config = self.config();
        let state = 4 * Temporals::state_values(&config.dilations, config.width, STEP_CELLS);
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.buffer_bytes(), state }
    }
}

impl WhisperEventsGraph {
    /// Checks the folder's tensors and plans the graph.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<WhisperEventsConfig>>, options: Options) -> Result<Self, GraphError> {
        let session = Session::new(folder.weights(), options);
        let (mut runner, blocks) = plan(&session, folder.config())?;
        runner.attach(Memory::default());
        Ok(Self { folder, session, blocks, runner })
    }

    /// The head's configuration.
    pub fn config(&self) -> &WhisperEventsConfig {
        self.folder.config()
    }

    /// Memory it needs, known before anything runs: that of the graph, which is planned for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn memory_plan(folder: &Arc<ModelFolder<WhisperEventsConfig>>, options: Options) -> Result<MemoryPlan, GraphError> {
        let config = folder.config();
        let (runner, _) = plan(&Session::for_planning(folder.weights(), options), config)?;
        Ok(MemoryPlan {
            weights: folder.weights().bytes(),
            buffers: runner.bytes(),
            state: 4 * Temporals::state_values(&config.dilations, config.width, STEP_CELLS),
        })
    }

    /// How much a run computes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &Arc<ModelFolder<WhisperEventsConfig>>, options: Options) -> Result<Work, GraphError> {
        Ok(plan(&Session::for_planning(folder.weights(), options), folder.config())?.0.work())
    }

    /// Bytes of the memory that the graph runs in.
    pub fn buffer_bytes(&self) -> usize {
        self.runner.bytes()
    }

    /// Hands every tensor that is computed from now on to `tap`, operator after operator, without padding; `None` ends that. Steps are the
    /// caller's to tell.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the recording so far.
    pub fn reset(&mut self) {
        self.blocks.reset();
    }

    /// Scores of [`STEP_CELLS`] cells, `[cells][num_labels]`, each in [0, 1] by itself, [`WhisperEventsConfig::lag`] cells earlier than `rows`: the
    /// next [`STEP_ROWS`] finite rows of the encoder's output, `[rows][d_model]`. Those of cells before the recording's first mean nothing.
    /// Allocates nothing.
    ///
    /// # Errors
    /// [`GraphError::Size`] if `rows` has another length.
    pub fn run(&mut self, rows: &[f32]) -> Result<&[f32], GraphError> {
        let most = STEP_ROWS * self.config().d_model;
        if rows.len() != most {
            return Err(GraphError::Size { what: "values of the encoder's rows", have: rows.len(), most });
        }
        self.runner.input_mut(0)?.copy_from_slice(rows);
        self.runner.run()?;
        self.runner.output(0)
    }
}

/// The head's graph, without memory, and what it remembers.
fn plan(session: &Arc<Session>, config: &WhisperEventsConfig) -> Result<(Runner, Temporals), GraphError> {
    let weights = session.weights();
    let (depth, width, labels) = (config.d_model, config.width, config.num_labels);
    let cells = Cells {
        mean: weights.f32_span("input.mean", &[depth])?,
        scale: weights.f32_span("input.scale", &[depth])?,
        layer: weights.linear_span("input", width, CELL_ROWS * depth, true)?,
        depth,
        width,
    };
    let blocks = Temporals::new(weights, "blocks", &config.dilations, width, STEP_CELLS)?;
    let linear = UnsignedLinear::new(weights, "classifier", labels, width, true)?;
    let mut graph = GraphBuilder::new(session);
    let mut x = graph.input::<f32>("events.rows", &[STEP_ROWS, depth])?;
    x = graph.add("events.cells", cells, &[x])?[0];
    x = blocks.wire(&mut graph, "events.blocks", x)?;
    let classifier = Classifier { linear, patches: STEP_CELLS, channels: width, labels };
    x = graph.add("events.logits", classifier, &[x])?[0];
    x = graph.add("events.scores", Sigmoid { patches: STEP_CELLS, labels }, &[x])?[0];
    Ok((graph.plan(&[x])?, blocks))
}

/// `relu(W ((rows - mean) * scale) + b)` of two rows at a time: `[cells][width]`.
#[derive(Debug)]
struct Cells {
    mean: Span,
    scale: Span,
    layer: LinearSpan,
    depth: usize,
    width: usize,
}

impl Layer for Cells {
    fn name(&self) -> &'static str {
        "Cells"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([STEP_CELLS, self.width])]
    }

    /// Standardised rows, and quantised ones.
    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default().shared::<f32>(STEP_ROWS * self.depth), STEP_CELLS, CELL_ROWS * self.depth)
    }

    fn work(&self) -> Work {
        let row = Units { quantize: (CELL_ROWS * self.depth) as f64, ..Units::default() };
        Work::product(STEP_CELLS, CELL_ROWS * self.depth, self.width).and(STEP_CELLS, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (weights, depth) = (session.weights(), self.depth);
        let (mean, scale) = (weights.f32s(&self.mean), weights.f32s(&self.scale));
        let standardised = io.scratch::<f32>(STEP_ROWS * depth);
        let threads = io.thread_scratch();
        for (row, out) in io.input::<f32>(0)?.chunks_exact(depth).zip(standardised.chunks_exact_mut(depth)) {
            for (((out, x), mean), scale) in out.iter_mut().zip(row).zip(mean).zip(scale) {
                *out = (x - mean) * scale;
            }
        }
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), STEP_CELLS, CELL_ROWS * depth);
        let rows = buffers.quantize(session, standardised, STEP_CELLS, CELL_ROWS * depth, CELL_ROWS * depth);
        let out = io.output::<f32>(0)?;
        linear(session.isa(), rows.as_rows(), rows.scales, &weights.linear(&self.layer), Finish::Store, out);
        relu(out);
        Ok(())
    }
}
