//! YAMNet, a MobileNet v1 that scores sounds (Google, <https://github.com/tensorflow/models/tree/master/research/audioset/yamnet>).
//!
//! ```no_run
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::yamnet::YamnetGraph;
//! use ossicle_models::Options;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/yamnet".as_ref())?;
//! let mut yamnet = YamnetGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let silence = vec![0.001f32.ln(); 96 * 64];
//! let scores = yamnet.run(&silence, 1)?;
//! assert_eq!(scores.len(), 521);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod classes;
mod config;
mod head;
mod head_ops;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::weights::{FolderError, ModelFolder};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, Memory, MemoryPlan, Options, Session};
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

pub use classes::{ClassHead, ClassesConfig, MAX_CLASSES};
pub use config::{BANDS, HeadConfig, MAX_PATCHES, YamnetConfig, YamnetLayer, embedding_sha256};
pub use ossicle_engine::layers::TAPS;

use crate::Graph;
use crate::graph::named;
use head::Head;
use ossicle_engine::layers::{Classifier, ConvPlane, FilterSpans, MeanPool, Separable, Sigmoid, UnsignedLinear};

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
            let weights = folder.weights().f32_span(&format!("{name}.weight"), &[9, channels])?;
            Ok(FilterSpans { weights, bias: folder.weights().f32_span(&format!("{name}.bias"), &[channels])?, stride })
        };
        let layers = config.shapes().zip(&config.layers).enumerate().map(|(i, (shape, layer))| {
            let depthwise = filters(&format!("layers.{i}.depthwise"), shape.inputs, layer.stride)?;
            let name = format!("layers.{i}.pointwise");
            Ok((depthwise, UnsignedLinear::new(folder.weights(), &name, shape.outputs, shape.inputs, true)?))
        });
        let near = || UnsignedLinear::new(folder.weights(), "near", config.near_labels, config.embedding(), true);
        Ok(Self {
            stem: filters("stem", config.stem_channels, 2)?,
            layers: layers.collect::<Result<_, FolderError>>()?,
            head: config.head.as_ref().map(|head| Head::new(folder, head)).transpose()?,
            classifier: UnsignedLinear::new(folder.weights(), "classifier", config.num_labels, config.classified(), true)?,
            near: (config.near_labels > 0).then(near).transpose()?,
        })
    }
}

/// The network for one number of patches.
struct Network {
    patches: usize,
    /// Outputs are embeddings, scores and, where the model has them, scores of near labels.
    runner: Runner,
}

/// A YAMNet ready to run.
pub struct YamnetGraph {
    folder: Arc<ModelFolder<YamnetConfig>>,
    session: Arc<Session>,
    spans: Spans,
    /// For the number of patches that ran last.
    network: Option<Network>,
}

impl fmt::Debug for YamnetGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YamnetGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

/// Layers are those of the last run.
impl Graph for YamnetGraph {
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }

    fn layers(&self) -> Vec<(String, Work)> {
        named(self.network.iter().flat_map(|network| network.runner.layers()))
    }

    fn memory_plan(&self) -> MemoryPlan {
        let config = self.config();
        let state = config.head.as_ref().map_or(0, |head| head.state_values(config));
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.buffer_bytes(), state: 4 * state }
    }
}

impl YamnetGraph {
    /// Checks the folder's tensors and starts the threads; the plan is built when it is first needed, and again when the number of patches changes.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<YamnetConfig>>, options: Options) -> Result<Self, GraphError> {
        let spans = Spans::new(&folder)?;
        Ok(Self { session: Session::new(folder.weights(), options), folder, spans, network: None })
    }

    /// The model's configuration.
    pub fn config(&self) -> &YamnetConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory for runs of `patches`, known before anything runs: that of the graph, which is planned for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn memory_plan(folder: &Arc<ModelFolder<YamnetConfig>>, options: Options, patches: usize) -> Result<MemoryPlan, GraphError> {
        let config = folder.config();
        let network = Network::plan(&Session::for_planning(folder.weights(), options), config, &Spans::new(folder)?, patches)?;
        let state = config.head.as_ref().map_or(0, |head| head.state_values(config));
        Ok(MemoryPlan { weights: folder.weights().bytes(), buffers: network.runner.bytes(), state: 4 * state })
    }

    /// How much a run of `patches` computes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &Arc<ModelFolder<YamnetConfig>>, options: Options, patches: usize) -> Result<Work, GraphError> {
        let session = Session::for_planning(folder.weights(), options);
        Ok(Network::plan(&session, folder.config(), &Spans::new(folder)?, patches)?.runner.work())
    }

    /// Hands every tensor that is computed from now on to `tap`, operator after operator, without padding; `None` ends that. Steps are
    /// called `yamnet`, counting patches.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the recording so far: the next patch is the first one of another. Only a head remembers anything.
    pub fn reset(&mut self) {
        if let Some(head) = &self.spans.head {
            head.reset();
        }
    }

    /// Bytes of the memory that the graph in use runs in.
    pub fn buffer_bytes(&self) -> usize {
        self.network.as_ref().map_or(0, |network| network.runner.bytes())
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
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("yamnet", 0, patches);
        }
        let network = match self.network.take().filter(|network| network.patches == patches) {
            Some(network) => self.network.insert(network),
            None => {
                let mut network = Network::plan(&self.session, self.folder.config(), &self.spans, patches)?;
                network.runner.attach(Memory::default());
                self.network.insert(network)
            }
        };
        network.run(mel)
    }

    /// The embeddings of the last run, `[patches][channels]`: the mean over each patch's last map, never negative. Empty before the first.
    pub fn embeddings(&self) -> &[f32] {
        self.output(0)
    }

    /// An output that the last run computed, all of them f32; empty before the first.
    fn output(&self, index: usize) -> &[f32] {
        self.network.as_ref().and_then(|network| network.runner.output(index).ok()).unwrap_or_default()
    }

    /// Scores of the last patch for the labels of `near_labels.txt`, each in [0, 1] by itself, if the model has a head and such labels.
    /// They are of the whole patch, and not late. Empty before the first.
    pub fn near_scores(&self) -> &[f32] {
        if self.spans.near.is_some() { self.output(2) } else { &[] }
    }
}

impl Network {
    /// The network without memory.
    fn plan(session: &Arc<Session>, config: &YamnetConfig, spans: &Spans, patches: usize) -> Result<Self, GraphError> {
        let mut graph = GraphBuilder::new(session);
        let mut x = graph.input::<f32>("yamnet.mel", &[patches * config.patch_frames, config.num_mel_bins])?;
        let stem = ConvPlane { filters: spans.stem.clone(), patch: config.patch(), patches, channels: config.stem_channels };
        let mut maps = vec![];
        x = graph.add("yamnet.stem", stem, &[x])?[0];
        for (i, (shape, (filters, pointwise))) in config.shapes().zip(&spans.layers).enumerate() {
            let layer = Separable { filters: filters.clone(), pointwise: pointwise.clone(), shape, patches };
            x = graph.add(format!("yamnet.layers.{i}"), layer, &[x])?[0];
            maps.push(x);
        }
        let positions = config.shapes().last().map_or(config.stem(), |shape| shape.output).positions();
        let channels = config.embedding();
        let pool = MeanPool { positions, patches, channels };
        let embedding = graph.add("yamnet.embedding", pool, &[x])?[0];
        x = match spans.head.as_ref().zip(config.head.as_ref()) {
            Some((head, shape)) => head.wire(config, shape, &mut graph, &maps, embedding)?,
            None => embedding,
        };
        let mut score = |name: &str, linear: &UnsignedLinear, x: Outlet, patches: usize, channels: usize, labels: usize| {
            let classifier = Classifier { linear: linear.clone(), patches, channels, labels };
            let logits = graph.add(format!("{name}logits"), classifier, &[x])?[0];
            let sigmoid = Sigmoid { patches, labels };
            Ok::<_, GraphError>(graph.add(format!("{name}scores"), sigmoid, &[logits])?[0])
        };
        let cells = patches * config.cells();
        let mut outputs = vec![embedding, score("yamnet.", &spans.classifier, x, cells, config.classified(), config.num_labels)?];
        if let Some(near) = &spans.near {
            outputs.push(score("yamnet.near.", near, embedding, patches, channels, config.near_labels)?);
        }
        Ok(Self { patches, runner: graph.plan(&outputs)? })
    }

    fn run(&mut self, mel: &[f32]) -> Result<&[f32], GraphError> {
        self.runner.input_mut(0)?.copy_from_slice(mel);
        self.runner.run()?;
        self.runner.output(1)
    }
}
