//! Vectors of sentences: a BERT encoder with mean pooling.
//!
//! Only as many rows are computed as a text has tokens, so nothing is padded and nothing has to be masked.
//!
//! ```no_run
//! use ossicle_models::Options;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::minilm::MiniLmGraph;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/minilm".as_ref())?;
//! let mut encoder = MiniLmGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let vector = encoder.run(&[101, 1037, 3899, 17554, 102])?;
//! assert_eq!(vector.len(), 384);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod layers;
mod pooling;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::attention::{HeadSize, Mask, SelfAttention};
use ossicle_engine::layers::sequence::{Flow, Sequence};
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span, Weights};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Tap;

pub use config::{MAX_TOKENS, MiniLmConfig};

use layers::{AttentionOutput, Embed, FeedForward, Qkv};
use pooling::MeanPooling;

/// The text that is encoded.
#[derive(Debug)]
struct Text {
    config: MiniLmConfig,
    /// How many rows are computed.
    sequence: Arc<Sequence>,
    flow: Flow,
}

impl Text {
    fn tokens(&self) -> usize {
        self.flow.rows()
    }

    fn set_tokens(&self, tokens: usize) {
        self.sequence.set(0, tokens);
    }
}

/// A sentence encoder ready to run.
pub struct MiniLmGraph {
    folder: Arc<ModelFolder<MiniLmConfig>>,
    session: Arc<Session>,
    text: Arc<Text>,
    runner: Runner,
    sounds: Option<LinearSpan>,
    captions: Option<(LinearSpan, Span)>,
}

/// A map from what is heard to what would be said of it, as it was learned from described recordings.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptionMap {
    /// `[described][captions]`, for the roots of an embedding.
    pub weight: Vec<f32>,
    /// `[described]`
    pub bias: Vec<f32>,
}

impl fmt::Debug for MiniLmGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniLmGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl MiniLmGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the buffers would
    /// take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<MiniLmConfig>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, 1 << 30)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before anything is allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<MiniLmConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let session = Session::new(weights, options);
        let sequence = Arc::new(Sequence::default());
        let flow = Flow::new(&sequence, config.max_tokens);
        let text = Arc::new(Text { config: config.clone(), sequence, flow: flow.clone() });
        text.set_tokens(1);
        let size = HeadSize { heads: config.num_attention_heads, head: config.head_size() };
        let mut graph = GraphBuilder::new(&session);
        let ids = graph.input::<i32>("minilm.tokens", &[config.max_tokens])?;
        let mut x = graph.add("minilm.embed", Embed::new(weights, &text)?, &[ids])?[0];
        for i in 0..config.num_hidden_layers {
            let name = |part: &str| format!("layers.{i}.{part}");
            let qkv = graph.add(format!("minilm.{}", name("qkv")), Qkv::new(weights, &text, &name("qkv"))?, &[x])?[0];
            let attention = SelfAttention { flow: flow.clone(), size, mask: Mask::None };
            let attention = graph.add(format!("minilm.{}", name("attention")), attention, &[qkv])?[0];
            let output = AttentionOutput::new(weights, &text, &name("output"))?;
            x = graph.add(format!("minilm.{}", name("output")), output, &[attention, x])?[0];
            x = graph.add(format!("minilm.{}", name("feed_forward")), FeedForward::new(weights, &text, &name("feed_forward"))?, &[x])?[0];
        }
        let vector = graph.add("minilm.pool", MeanPooling::new(&text), &[x])?[0];
        let runner = graph.finish(&[vector, x], most)?;
        let (sounds, width) = (config.sounds, config.hidden_size);
        let sounds = (sounds > 0).then(|| weights.linear_span("sounds", sounds, width, false)).transpose()?;
        let captions = (config.captions > 0).then(|| {
            let map = weights.linear_span("captions", config.described, config.captions, false)?;
            Ok::<_, FolderError>((map, weights.f32_span("captions.bias", &[config.described.next_multiple_of(LANES)])?))
        });
        Ok(Self { session, text, runner, sounds, captions: captions.transpose()?, folder })
    }

    /// The encoder's configuration.
    pub fn config(&self) -> &MiniLmConfig {
        self.folder.config()
    }

    /// The encoder's weights.
    pub fn weights(&self) -> &Weights {
        self.folder.weights()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Vectors of the folder's phrases for sounds, `[sounds][hidden_size]`: none if it has none.
    pub fn sounds(&self) -> Vec<f32> {
        let Some(span) = &self.sounds else { return vec![] };
        self.unpacked(span, self.config().sounds, self.config().hidden_size)
    }

    /// The folder's caption map, if it has one.
    pub fn captions(&self) -> Option<CaptionMap> {
        let (map, bias) = self.captions.as_ref()?;
        let weight = self.unpacked(map, self.config().described, self.config().captions);
        Some(CaptionMap { weight, bias: self.folder.weights().f32s(bias)[..self.config().described].to_vec() })
    }

    /// Packed rows as f32.
    fn unpacked(&self, span: &LinearSpan, rows: usize, width: usize) -> Vec<f32> {
        let table = self.folder.weights().linear(span);
        let mut values = vec![];
        for row in 0..rows {
            let scale = table.scales[row];
            for group in 0..width / 4 {
                values.extend(table.weights.values(row / LANES, group, row % LANES).map(|q| f32::from(q) * scale));
            }
        }
        values
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.runner.bytes(), state: 0 }
    }

    /// Each layer in the order of the run: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.layers()
    }

    /// How much a text of so many tokens computes.
    pub fn work(&self, tokens: usize) -> Work {
        let before = self.text.tokens();
        self.text.set_tokens(tokens);
        let work = self.runner.work();
        self.text.set_tokens(before);
        work
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `minilm`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// The vector of a text's tokens, `[hidden_size]`, of length 1. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are no tokens, or more than the model takes; [`GraphError::Plan`] if one is beyond the vocabulary.
    pub fn run(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        self.run_all(tokens)?;
        self.runner.output(0)
    }

    /// The rows of a text's tokens before they are pooled, `[tokens][hidden_size]`. Allocates nothing once it has run.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn rows(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        self.run_all(tokens)?;
        Ok(&self.runner.output(1)?[..tokens.len() * self.folder.config().hidden_size])
    }

    fn run_all(&mut self, tokens: &[u32]) -> Result<(), GraphError> {
        let (have, most) = (tokens.len(), self.config().max_tokens);
        if have == 0 || have > most {
            return Err(GraphError::Size { what: "tokens, at least one", have, most });
        }
        let vocabulary = self.config().vocab_size;
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GraphError::Plan(format!("token {token} is beyond the vocabulary of {vocabulary}")));
        }
        self.text.set_tokens(have);
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("minilm", 0, have);
        }
        let ids = self.runner.input_mut::<i32>(0)?;
        for (id, token) in ids.iter_mut().zip(tokens.iter().copied().chain(std::iter::repeat(0))) {
            // Below the vocabulary's size, 2^20 at most.
            *id = token as i32;
        }
        self.runner.run()
    }
}

/// A tensor of f32 for each value of a row.
fn row_span(weights: &Weights, text: &Text, name: &str, what: &str) -> Result<Span, FolderError> {
    weights.f32_span(&format!("{name}.{what}"), &[text.config.hidden_size])
}
