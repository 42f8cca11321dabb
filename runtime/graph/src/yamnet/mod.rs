//! YAMNet, a MobileNet v1 that scores sounds (Google, <https://github.com/tensorflow/models/tree/master/research/audioset/yamnet>).
//!
//! ```no_run
//! use ossicle_graph::folder::ModelFolder;
//! use ossicle_graph::yamnet::YamnetGraph;
//! use ossicle_graph::Options;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/yamnet".as_ref())?;
//! let mut yamnet = YamnetGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let silence = vec![0.001f32.ln(); 96 * 64];
//! let scores = yamnet.run(&silence, 1)?;
//! assert_eq!(scores.len(), 521);
//! # Ok::<(), ossicle_graph::GraphError>(())
//! ```

mod classes;
mod config;
mod head;
mod head_ops;
mod ops;

use std::fmt;
use std::sync::Arc;

use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Tap;
use tract_core::internal::*;

pub use crate::scoring::TAPS;
pub use classes::{ClassHead, ClassesConfig, MAX_CLASSES};
pub use config::{BANDS, HeadConfig, MAX_PATCHES, YamnetConfig, YamnetLayer};

use crate::error::GraphError;
use crate::folder::{FolderError, ModelFolder};
use crate::options::Options;
use crate::plan::{Plan, SlotOp, Slots};
use crate::pool::MAX_THREADS;
use crate::scoring::{Classifier, Context, Sigmoid, UnsignedLinear, Workspace};
use head::Head;
use ops::{ConvPlane, FilterSpans, MeanPool, Separable};

/// What a model needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Mapped weights; resident only as far as they are used.
    pub weights: usize,
    /// Buffers between operators.
    pub slots: usize,
    /// Scratch memory of all threads.
    pub scratch: usize,
}

/// Where the weights are.
#[derive(Debug)]
struct Spans {
    stem: FilterSpans,
    layers: Vec<(FilterSpans, UnsignedLinear)>,
    head: Option<Head>,
    classifier: UnsignedLinear,
    /// Of labels of whole patches, beside a head.
    near: Option<UnsignedLinear>,
}

impl Spans {
    fn new(folder: &ModelFolder<YamnetConfig>) -> Result<Self, FolderError> {
        let config = folder.config();
        let filters = |name: &str, channels: usize, stride: usize| {
            let weights = folder.f32_span(&format!("{name}.weight"), &[9, channels])?;
            Ok(FilterSpans { weights, bias: folder.f32_span(&format!("{name}.bias"), &[channels])?, stride })
        };
        let layers = config.shapes().zip(&config.layers).enumerate().map(|(i, (shape, layer))| {
            let depthwise = filters(&format!("layers.{i}.depthwise"), shape.inputs, layer.stride)?;
            let name = format!("layers.{i}.pointwise");
            Ok((depthwise, UnsignedLinear::new(folder, &name, shape.outputs, shape.inputs, true)?))
        });
        let near = || UnsignedLinear::new(folder, "near", config.near_labels, config.embedding(), true);
        Ok(Self {
            stem: filters("stem", config.stem_channels, 2)?,
            layers: layers.collect::<Result<_, FolderError>>()?,
            head: config.head.as_ref().map(|head| Head::new(folder, head)).transpose()?,
            classifier: UnsignedLinear::new(folder, "classifier", config.num_labels, config.classified(), true)?,
            near: (config.near_labels > 0).then(near).transpose()?,
        })
    }
}

/// The network for one number of patches.
struct Runner {
    patches: usize,
    plan: Plan,
    input: Arc<Tensor>,
    /// Embeddings, scores and, where the model has them, scores of near labels of the last run.
    outputs: TVec<TValue>,
}

/// A YAMNet ready to run.
pub struct YamnetGraph {
    context: Arc<Context<YamnetConfig>>,
    spans: Spans,
    /// For the number of patches that ran last.
    runner: Option<Runner>,
}

impl fmt::Debug for YamnetGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YamnetGraph").field("folder", &self.context.folder.path()).finish_non_exhaustive()
    }
}

impl YamnetGraph {
    /// Checks the folder's tensors and starts the threads; the plan is built when it is first needed, and again when the number of patches changes.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<YamnetConfig>>, options: Options) -> Result<Self, GraphError> {
        let spans = Spans::new(&folder)?;
        let widest = folder.config().widest();
        Ok(Self { context: Arc::new(Context::new(folder, options, widest)), spans, runner: None })
    }

    /// The model's configuration.
    pub fn config(&self) -> &YamnetConfig {
        self.context.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.context.isa
    }

    /// Memory for runs of `patches`, known before anything runs.
    pub fn memory_plan(folder: &ModelFolder<YamnetConfig>, options: Options, patches: usize) -> MemoryPlan {
        let config = folder.config();
        // A layer reads one map and writes another; maps of the same shape take turns in two slots.
        let mut maps = vec![[config.stem().positions(), config.stem_channels]];
        for shape in config.shapes() {
            let map = [shape.output.positions(), shape.outputs];
            if maps.iter().filter(|&&other| other == map).count() < 2 {
                maps.push(map);
            }
        }
        let values: usize = maps.iter().map(|[positions, channels]| positions * channels).sum();
        let scored = |labels: usize| labels.next_multiple_of(LANES) + labels;
        let scores = config.cells() * scored(config.num_labels) + scored(config.near_labels);
        let (slots, state) = config.head.as_ref().map_or((0, 0), |head| (head.slot_values(config), head.state_values(config)));
        MemoryPlan {
            weights: folder.weight_bytes(),
            slots: 4 * patches * (config.patch().positions() + values + config.embedding() + slots + scores),
            scratch: options.threads.clamp(1, MAX_THREADS) * Workspace::bytes(config.widest()) + 4 * state,
        }
    }

    /// Hands every tensor that is computed from now on to `tap`, operator after operator, without padding; `None` ends that. Steps are
    /// called `yamnet`, counting patches.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.context.taps.set(tap);
    }

    /// Forgets the recording so far: the next patch is the first one of another. Only a head remembers anything.
    pub fn reset(&mut self) {
        if let Some(head) = &self.spans.head {
            head.reset();
        }
    }

    /// Bytes of the slots of the plan in use.
    pub fn built_slot_bytes(&self) -> usize {
        self.runner.as_ref().map_or(0, |runner| runner.plan.bytes() + runner.input.as_bytes().len())
    }

    /// Scores of some patches, `[patches][num_labels]`, each in [0, 1] by itself. `mel` is `[patches][patch_frames][num_mel_bins]`, as
    /// ossicle-frontend's module `yamnet` computes it. A patch's scores do not depend on the others.
    ///
    /// With a head it takes one patch at a time, each a third of a patch after the last, and gives `[cells][num_labels]`: scores of
    /// [`YamnetConfig::cells`] cells, [`HeadConfig::lag`] earlier than those of the patch's middle third. They depend on the patches so far;
    /// those of cells before the first mean nothing.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are no patches or more than [`MAX_PATCHES`], or `mel` has another length.
    pub fn run(&mut self, mel: &[f32], patches: usize) -> Result<&[f32], GraphError> {
        let most = if self.config().head.is_some() { 1 } else { MAX_PATCHES };
        if patches == 0 || patches > most {
            return Err(GraphError::Size { what: "patches", have: patches, most });
        }
        let values = patches * self.config().patch().positions();
        if mel.len() != values {
            return Err(GraphError::Size { what: "mel values (patches times frames times bands)", have: mel.len(), most: values });
        }
        if let Some(listener) = self.context.taps.listener() {
            listener.step("yamnet", 0, patches);
        }
        let runner = match self.runner.take().filter(|runner| runner.patches == patches) {
            Some(runner) => self.runner.insert(runner),
            None => self.runner.insert(Runner::build(&self.context, &self.spans, patches)?),
        };
        runner.run(mel)
    }

    /// The embeddings of the last run, `[patches][channels]`: the mean over each patch's last map, never negative. Empty before the first.
    pub fn embeddings(&self) -> &[f32] {
        self.runner.as_ref().map_or(&[], |runner| runner.output(0))
    }

    /// Scores of the last patch for the labels of `near_labels.txt`, each in [0, 1] by itself, if the model has a head and such labels.
    /// They are of the whole patch, and not late. Empty before the first.
    pub fn near_scores(&self) -> &[f32] {
        self.runner.as_ref().map_or(&[], |runner| runner.output(2))
    }
}

impl Runner {
    fn build(context: &Arc<Context<YamnetConfig>>, spans: &Spans, patches: usize) -> Result<Self, GraphError> {
        let config = context.folder.config();
        let slots = Arc::new(Slots::new(&context.taps));
        let mut model = TypedModel::default();
        let shape = [patches * config.patch_frames, config.num_mel_bins];
        let mut x = model.add_source("yamnet.mel", f32::fact(shape))?;
        let stem = ConvPlane {
            context: Arc::clone(context),
            filters: spans.stem.clone(),
            patch: config.patch(),
            patches,
            channels: config.stem_channels,
        };
        let mut maps = tvec![];
        x = model.wire_node("yamnet.stem", SlotOp::new(stem, &slots), &[x])?[0];
        for (i, (shape, (filters, pointwise))) in config.shapes().zip(&spans.layers).enumerate() {
            let layer = Separable { context: Arc::clone(context), filters: filters.clone(), pointwise: pointwise.clone(), shape, patches };
            x = model.wire_node(format!("yamnet.layers.{i}"), SlotOp::new(layer, &slots), &[x])?[0];
            maps.push(x);
        }
        let positions = config.shapes().last().map_or(config.stem(), |shape| shape.output).positions();
        let channels = config.embedding();
        let pool = MeanPool { context: Arc::clone(context), positions, patches, channels };
        let embedding = model.wire_node("yamnet.embedding", SlotOp::new(pool, &slots), &[x])?[0];
        x = match &spans.head {
            Some(head) => head.wire(context, &mut model, &slots, &maps, embedding)?,
            None => embedding,
        };
        let mut score = |name: &str, linear: &UnsignedLinear, x: OutletId, patches: usize, channels: usize, labels: usize| {
            let classifier = Classifier { context: Arc::clone(context), linear: linear.clone(), patches, channels, labels };
            let logits = model.wire_node(format!("{name}logits"), SlotOp::new(classifier, &slots), &[x])?[0];
            let sigmoid = Sigmoid { context: Arc::clone(context), patches, labels };
            TractResult::Ok(model.wire_node(format!("{name}scores"), SlotOp::new(sigmoid, &slots), &[logits])?[0])
        };
        let cells = patches * config.cells();
        let mut outputs = tvec![embedding, score("yamnet.", &spans.classifier, x, cells, config.classified(), config.num_labels)?];
        if let Some(near) = &spans.near {
            outputs.push(score("yamnet.near.", near, embedding, patches, channels, config.near_labels)?);
        }
        model.select_output_outlets(&outputs)?;
        let input = Arc::new(Tensor::zero_aligned::<f32>(&shape, 64)?);
        Ok(Self { patches, plan: Plan::build(model, &slots)?, input, outputs: tvec!() })
    }

    fn run(&mut self, mel: &[f32]) -> Result<&[f32], GraphError> {
        self.outputs.clear();
        let input = Arc::get_mut(&mut self.input).ok_or_else(|| GraphError::Plan("the mel input is still in use".into()))?;
        bytemuck::cast_slice_mut(input.as_bytes_mut()).copy_from_slice(mel);
        self.outputs = self.plan.run(tvec!(TValue::from_const(Arc::clone(&self.input))))?;
        Ok(self.output(1))
    }

    fn output(&self, index: usize) -> &[f32] {
        self.outputs.get(index).and_then(|output| output.try_as_plain_ram().ok()?.as_slice().ok()).unwrap_or(&[])
    }
}
