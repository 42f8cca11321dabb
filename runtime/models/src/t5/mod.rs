//! T5's encoder: a text's tokens to rows.
//!
//! ```no_run
//! use ossicle_models::Options;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::t5::T5Graph;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/t5-base".as_ref())?;
//! let mut encoder = T5Graph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let rows = encoder.run(&[3, 9, 1782, 26, 1])?;
//! assert_eq!(rows.len(), 5 * 768);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod layers;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::UnsignedLinear;
use ossicle_engine::layers::attention::{FloatAttention, Positions};
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span, Weights};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_trace::Tap;

pub use config::{MAX_TOKENS, T5Config};

use layers::{Embed, FinalNorm, NormProject, ProjectAdd, ReluForward, RmsNorm};

#[derive(Clone, Debug)]
struct LayerSpans {
    norm: RmsNorm,
    qkv: LinearSpan,
    out: LinearSpan,
    forward_norm: RmsNorm,
    up: LinearSpan,
    down: UnsignedLinear,
}

#[derive(Debug)]
struct Spans {
    embedding: LinearSpan,
    bias: Span,
    layers: Vec<LayerSpans>,
    norm: RmsNorm,
}

impl Spans {
    fn new(weights: &Weights, config: &T5Config) -> Result<Self, FolderError> {
        let (width, inner, wide) = (config.d_model, config.inner(), config.d_ff);
        let norm = |name: &str| -> Result<RmsNorm, FolderError> {
            Ok(RmsNorm { weight: weights.f32_span(&format!("{name}.weight"), &[width])?, epsilon: config.layer_norm_epsilon })
        };
        let layer = |i| {
            let name = |part: &str| format!("layers.{i}.{part}");
            Ok(LayerSpans {
                norm: norm(&name("norm"))?,
                qkv: weights.linear_span(&name("qkv"), 3 * inner, width, false)?,
                out: weights.linear_span(&name("out"), width, inner, false)?,
                forward_norm: norm(&name("forward_norm"))?,
                up: weights.linear_span(&name("up"), wide, width, false)?,
                down: UnsignedLinear::new(weights, &name("down"), width, wide, false)?,
            })
        };
        Ok(Self {
            embedding: weights.linear_span("embed", config.vocab_size, width, false)?,
            bias: weights.f32_span("position_bias", &[config.num_heads, config.distances()])?,
            layers: (0..config.num_layers).map(layer).collect::<Result<_, FolderError>>()?,
            norm: norm("norm")?,
        })
    }
}

/// A T5 encoder ready to run.
pub struct T5Graph {
    folder: Arc<ModelFolder<T5Config>>,
    session: Arc<Session>,
    spans: Spans,
    /// For texts of so many tokens.
    runner: Option<(usize, Runner)>,
    /// Of the longest text.
    bytes: usize,
}

impl fmt::Debug for T5Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T5Graph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl T5Graph {
    /// Checks the folder's tensors and starts the threads; buffers are planned for each length of text.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the longest text
    /// would take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<T5Config>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, 1 << 30)
    }

    /// As [`new`](Self::new), with another limit, in bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<T5Config>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let spans = Spans::new(folder.weights(), folder.config())?;
        let planning = Session::for_planning(folder.weights(), options);
        let bytes = plan(&planning, folder.config(), &spans, folder.config().max_tokens)?.bytes();
        if bytes > most {
            return Err(GraphError::Memory { needed: bytes, most });
        }
        Ok(Self { session: Session::new(folder.weights(), options), spans, runner: None, bytes, folder })
    }

    /// The encoder's configuration.
    pub fn config(&self) -> &T5Config {
        self.folder.config()
    }

    /// Memory of the longest text.
    pub fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.bytes, state: 0 }
    }

    /// Each layer of the last text's run: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.runner.iter().flat_map(|(_, runner)| runner.layers())
    }

    /// How much a text of so many tokens computes. Nothing is allocated for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &ModelFolder<T5Config>, options: Options, tokens: usize) -> Result<Work, GraphError> {
        let spans = Spans::new(folder.weights(), folder.config())?;
        Ok(plan(&Session::for_planning(folder.weights(), options), folder.config(), &spans, tokens)?.work())
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `t5`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// The rows of a text's tokens, `[tokens][d_model]`. Allocates nothing for a text as long as the one before.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are no tokens, more than the model takes, or one is beyond the vocabulary.
    pub fn run(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        let (have, most, vocabulary) = (tokens.len(), self.config().max_tokens, self.config().vocab_size);
        if have == 0 || have > most {
            return Err(GraphError::Size { what: "tokens, at least one", have, most });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: vocabulary - 1 });
        }
        if self.runner.as_ref().is_none_or(|(tokens, _)| *tokens != have) {
            // The old one's memory is passed on, so that there is only one.
            let memory = self.runner.take().map(|(_, mut runner)| runner.detach()).unwrap_or_default();
            let mut runner = plan(&self.session, self.folder.config(), &self.spans, have)?;
            runner.attach(memory);
            self.runner = Some((have, runner));
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("t5", 0, have);
        }
        let Some((_, runner)) = &mut self.runner else { return Err(GraphError::Layer("no graph")) };
        runner.input_mut::<i32>(0)?.copy_from_slice(bytemuck::cast_slice(tokens));
        runner.run()?;
        runner.output(0)
    }
}

/// The graph of a text of so many tokens, without memory.
fn plan(session: &Arc<Session>, config: &T5Config, spans: &Spans, tokens: usize) -> Result<Runner, GraphError> {
    let width = config.d_model;
    let mut graph = GraphBuilder::new(session);
    let ids = graph.input::<i32>("t5.tokens", &[tokens])?;
    let mut x = graph.add("t5.embed", Embed { embedding: spans.embedding.clone(), tokens, width }, &[ids])?[0];
    for (i, layer) in spans.layers.iter().cloned().enumerate() {
        let name = |part: &str| format!("t5.layers.{i}.{part}");
        let qkv = NormProject { norm: layer.norm, layer: layer.qkv, tokens, outputs: 3 * config.inner() };
        let qkv = graph.add(name("qkv"), qkv, &[x])?[0];
        let positions = Positions::Bias { bias: spans.bias.clone(), far: config.max_distance };
        let attention = FloatAttention { flow: Flow::whole(tokens), heads: config.num_heads, head: config.d_kv, positions };
        let attention = graph.add(name("attention"), attention, &[qkv])?[0];
        x = graph.add(name("out"), ProjectAdd { layer: layer.out, tokens, width }, &[x, attention])?[0];
        let forward = ReluForward { norm: layer.forward_norm, up: layer.up, down: layer.down, tokens, width };
        x = graph.add(name("forward"), forward, &[x])?[0];
    }
    let rows = graph.add("t5.norm", FinalNorm { norm: spans.norm.clone(), tokens, width }, &[x])?[0];
    graph.plan(&[rows])
}
