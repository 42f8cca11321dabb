//! A head on Whisper's encoder that scores sounds: one pass of the encoder gives text and events.
//!
//! The encoder's output is a row every 20 ms. Two rows are a cell: they are standardised, projected to one width and rectified, temporal
//! convolutions go over the cells, and a linear layer reads the classes. Standardisation is f32, the layers run in 8 bits. After Gong et al. 2023,
//! "Whisper-AT"; that reads every layer's output, this the last one's alone.
//!
//! ```no_run
//! use ossicle_graph::Options;
//! use ossicle_graph::folder::ModelFolder;
//! use ossicle_graph::whisper_events::{STEP_ROWS, WhisperEventsGraph};
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/whisper-events".as_ref())?;
//! let mut head = WhisperEventsGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let scores = head.run(&[0.0; STEP_ROWS * 384])?;
//! assert_eq!(scores.len(), STEP_ROWS / 2 * 13);
//! # Ok::<(), ossicle_graph::GraphError>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ossicle_engine::Options;
use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layer::{Io, Layer};
use ossicle_engine::pool::MAX_THREADS;
use ossicle_engine::weights::{LinearSpan, ModelConfig, ModelFolder, Span};
use ossicle_engine::{GraphError, Memory};
use ossicle_kernels::linear::{Finish, linear};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::LANES;
use ossicle_trace::Tap;
use serde::Deserialize;
use tract_core::internal::*;

use crate::scoring::{Classifier, Context, Sigmoid, TAPS, Temporals, UnsignedLinear, Workspace, dilations_problem, relu};
use crate::yamnet::MemoryPlan;

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

    /// Longest row that is quantised.
    fn widest(&self) -> usize {
        (CELL_ROWS * self.d_model).max(TAPS * self.width)
    }
}

/// The head, ready to run.
pub struct WhisperEventsGraph {
    context: Arc<Context<WhisperEventsConfig>>,
    blocks: Temporals,
    runner: Runner,
}

impl fmt::Debug for WhisperEventsGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhisperEventsGraph").field("folder", &self.context.folder.path()).finish_non_exhaustive()
    }
}

impl WhisperEventsGraph {
    /// Checks the folder's tensors and plans the graph.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<WhisperEventsConfig>>, options: Options) -> Result<Self, GraphError> {
        let widest = folder.config().widest();
        let context = Arc::new(Context::new(folder, options, widest));
        let (mut runner, blocks) = plan(&context)?;
        runner.attach(Memory::default());
        Ok(Self { context, blocks, runner })
    }

    /// The head's configuration.
    pub fn config(&self) -> &WhisperEventsConfig {
        self.context.folder.config()
    }

    /// Memory it needs, known before anything runs: that of the graph, which is planned for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn memory_plan(folder: &Arc<ModelFolder<WhisperEventsConfig>>, options: Options) -> Result<MemoryPlan, GraphError> {
        let config = folder.config();
        let (runner, _) = plan(&Arc::new(Context::unused(folder)))?;
        Ok(MemoryPlan {
            weights: folder.weight_bytes(),
            slots: runner.bytes(),
            scratch: options.threads.clamp(1, MAX_THREADS) * Workspace::bytes(config.widest())
                + 4 * Temporals::state_values(&config.dilations, config.width, STEP_CELLS),
        })
    }

    /// Bytes of the slots.
    pub fn built_slot_bytes(&self) -> usize {
        self.runner.bytes()
    }

    /// Hands every tensor that is computed from now on to `tap`, operator after operator, without padding; `None` ends that. Steps are the
    /// caller's to tell.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.context.recorder.set(tap);
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
fn plan(context: &Arc<Context<WhisperEventsConfig>>) -> Result<(Runner, Temporals), GraphError> {
    let folder = &context.folder;
    let config = folder.config();
    let (depth, width, labels) = (config.d_model, config.width, config.num_labels);
    let cells = Cells {
        mean: folder.f32_span("input.mean", &[depth])?,
        scale: folder.f32_span("input.scale", &[depth])?,
        layer: folder.linear_span("input", width, CELL_ROWS * depth, true)?,
        context: Arc::clone(context),
    };
    let blocks = Temporals::new(folder, "blocks", &config.dilations, width, STEP_CELLS)?;
    let linear = UnsignedLinear::new(folder, "classifier", labels, width, true)?;
    let mut graph = GraphBuilder::new(&context.recorder);
    let mut x = graph.input::<f32>("events.rows", &[STEP_ROWS, depth])?;
    x = graph.add("events.cells", cells, &[x])?[0];
    x = blocks.wire(context, &mut graph, "events.blocks", x)?;
    let classifier = Classifier { context: Arc::clone(context), linear, patches: STEP_CELLS, channels: width, labels };
    x = graph.add("events.logits", classifier, &[x])?[0];
    x = graph.add("events.scores", Sigmoid { context: Arc::clone(context), patches: STEP_CELLS, labels }, &[x])?[0];
    Ok((graph.plan(&[x])?, blocks))
}

/// `relu(W ((rows - mean) * scale) + b)` of two rows at a time: `[cells][width]`.
#[derive(Debug)]
struct Cells {
    context: Arc<Context<WhisperEventsConfig>>,
    mean: Span,
    scale: Span,
    layer: LinearSpan,
}

impl Layer for Cells {
    fn name(&self) -> &'static str {
        "Cells"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        tvec!(f32::fact([STEP_CELLS, self.context.folder.config().width]))
    }

    /// Standardised rows.
    fn scratch(&self) -> Option<TypedFact> {
        Some(f32::fact([STEP_ROWS * self.context.folder.config().d_model]))
    }

    fn run(&self, io: &mut Io<'_>) -> TractResult<()> {
        let folder = &self.context.folder;
        let depth = folder.config().d_model;
        let (mean, scale) = (folder.f32s(&self.mean), folder.f32s(&self.scale));
        let standardised = io.scratch::<f32>()?;
        for (row, out) in io.input::<f32>(0)?.chunks_exact(depth).zip(standardised.chunks_exact_mut(depth)) {
            for (((out, x), mean), scale) in out.iter_mut().zip(row).zip(mean).zip(scale) {
                *out = (x - mean) * scale;
            }
        }
        let mut workspace = self.context.workspace(0);
        let Workspace { values, scales, .. } = &mut *workspace;
        let mut sums = [0; STEP_CELLS];
        let values = bytemuck::cast_slice_mut(values);
        let mut rows = QuantRows::new(values, scales, &mut sums, STEP_CELLS, CELL_ROWS * depth);
        quantize_rows(self.context.isa, standardised, CELL_ROWS * depth, CELL_ROWS * depth, &mut rows);
        let out = io.output::<f32>(0)?;
        linear(self.context.isa, rows.as_rows(), rows.scales, &folder.linear(&self.layer), Finish::Store, out);
        relu(out);
        Ok(())
    }
}
