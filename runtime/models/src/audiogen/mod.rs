//! A language model over codes that follows a description: AudioGen's and MusicGen's decoder.
//!
//! ```no_run
//! use ossicle_models::Options;
//! use ossicle_models::audiogen::{AudiogenGraph, Limits};
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/effects".as_ref())?;
//! let limits = Limits { rows: 2, steps: 503, text: 32 };
//! let mut model = AudiogenGraph::new(folder, Options { isa: Isa::detect(), threads: 1 }, limits)?;
//! model.start(&vec![0.1; 7 * 384])?;
//! let logits = model.step(&[2048; 4])?;
//! assert_eq!(logits.len(), 2 * 4 * 2048);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod layers;
mod prompt;
mod store;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::attention::{CachedAttention, CrossKeysValues, TokenQueries};
use ossicle_engine::layers::{FeedForward, LinearAdd, Norm};
use ossicle_engine::weights::{FolderError, LinearSpan, ModelFolder, Span, Weights};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

pub use config::{AudiogenConfig, MAX_TEXT};

use layers::{CrossAttention, Embed, Heads, Sequences};
use prompt::Project;
use store::{Room, Store};

/// Most bytes of buffers and caches unless another limit is given.
const MOST: usize = 4 << 30;

/// What a model is made for; its memory follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sequences side by side, 1 or 2: with guidance two, of which only the first hears of the description.
    pub rows: usize,
    /// Most steps, at most `max_position_embeddings`.
    pub steps: usize,
    /// Most rows of a description, at most [`MAX_TEXT`].
    pub text: usize,
}

/// Where a layer's weights are.
#[derive(Clone, Debug)]
struct LayerSpans {
    self_norm: Norm,
    qkv: LinearSpan,
    out: LinearSpan,
    cross_norm: Norm,
    cross_query: LinearSpan,
    cross_keys_values: LinearSpan,
    cross_out: LinearSpan,
    forward_norm: Norm,
    up: LinearSpan,
    down: LinearSpan,
}

/// Where all weights are.
#[derive(Debug)]
struct Spans {
    embeddings: Vec<LinearSpan>,
    positions: Span,
    layers: Vec<LayerSpans>,
    norm: Norm,
    heads: LinearSpan,
    text_projection: Option<LinearSpan>,
}

fn norm(weights: &Weights, name: &str, width: usize) -> Result<Norm, FolderError> {
    Ok(Norm { gamma: weights.f32_span(&format!("{name}.weight"), &[width])?, beta: weights.f32_span(&format!("{name}.bias"), &[width])? })
}

impl Spans {
    fn new(weights: &Weights, config: &AudiogenConfig) -> Result<Self, FolderError> {
        let (width, inner) = (config.hidden_size, config.ffn_dim);
        let layer = |i| {
            let name = |part: &str| format!("layers.{i}.{part}");
            let linear = |part: &str, outputs, depth| weights.linear_span(&name(part), outputs, depth, false);
            Ok(LayerSpans {
                self_norm: norm(weights, &name("self_norm"), width)?,
                qkv: linear("qkv", 3 * width, width)?,
                out: linear("out", width, width)?,
                cross_norm: norm(weights, &name("cross_norm"), width)?,
                cross_query: linear("cross_query", width, width)?,
                cross_keys_values: linear("cross_kv", 2 * width, width)?,
                cross_out: linear("cross_out", width, width)?,
                forward_norm: norm(weights, &name("forward_norm"), width)?,
                up: linear("up", inner, width)?,
                down: linear("down", width, inner)?,
            })
        };
        let embedding = |k| weights.linear_span(&format!("embed.{k}"), config.vocab_size + 1, width, false);
        let projection = || weights.linear_span("text_projection", width, config.text_size, true);
        Ok(Self {
            embeddings: (0..config.num_codebooks).map(embedding).collect::<Result<_, FolderError>>()?,
            positions: weights.f32_span("positions", &[config.max_position_embeddings, width])?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, FolderError>>()?,
            norm: norm(weights, "norm", width)?,
            heads: weights.linear_span("heads", config.logits(), width, false)?,
            text_projection: config.text_projection.then(projection).transpose()?,
        })
    }
}

/// A language model over codes, ready to run.
pub struct AudiogenGraph {
    folder: Arc<ModelFolder<AudiogenConfig>>,
    session: Arc<Session>,
    store: Arc<Store>,
    spans: Spans,
    room: Room,
    step: Runner,
    /// For descriptions of so many rows.
    prompt: Option<(usize, Runner)>,
    /// Of the largest description.
    prompt_bytes: usize,
}

impl fmt::Debug for AudiogenGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudiogenGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl AudiogenGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Size`] if a limit is none,
    /// [`GraphError::Memory`] if buffers and caches would take more than four gibibytes.
    pub fn new(folder: Arc<ModelFolder<AudiogenConfig>>, options: Options, limits: Limits) -> Result<Self, GraphError> {
        Self::new_within(folder, options, limits, MOST)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before anything is allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<AudiogenConfig>>, options: Options, limits: Limits, most: usize) -> Result<Self, GraphError> {
        let MemoryPlan { buffers, state, .. } = Self::plan(&folder, options, limits)?;
        let needed = buffers.saturating_add(state);
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        let room = Room { rows: limits.rows, steps: limits.steps, text: limits.text };
        let spans = Spans::new(folder.weights(), folder.config())?;
        let session = Session::new(folder.weights(), options);
        let store = Arc::new(Store::new(folder.config(), room));
        let mut step = step(&session, folder.config(), &store, &spans, room)?;
        step.attach(ossicle_engine::Memory::default());
        let prompt_bytes = buffers - step.bytes();
        Ok(Self { session, store, spans, room, step, prompt: None, prompt_bytes, folder })
    }

    /// What a model made for `limits` needs, in bytes. Nothing is allocated, no thread starts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn plan(folder: &ModelFolder<AudiogenConfig>, options: Options, limits: Limits) -> Result<MemoryPlan, GraphError> {
        let config = folder.config();
        let room = room(config, limits)?;
        let spans = Spans::new(folder.weights(), config)?;
        let planning = Session::for_planning(folder.weights(), options);
        let unused = Arc::new(Store::unused());
        let text = prompt(&planning, config, &unused, &spans, limits.text)?.bytes();
        let buffers = step(&planning, config, &unused, &spans, room)?.bytes().saturating_add(text);
        Ok(MemoryPlan { weights: folder.weights().bytes(), buffers, state: Store::bytes(config, room) })
    }

    /// How much a description of as many rows as `limits` has computes, and how much a step in the middle of its steps. Nothing is allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &ModelFolder<AudiogenConfig>, options: Options, limits: Limits) -> Result<[Work; 2], GraphError> {
        let (config, room) = (folder.config(), room(folder.config(), limits)?);
        let spans = Spans::new(folder.weights(), config)?;
        let planning = Session::for_planning(folder.weights(), options);
        let unused = Arc::new(Store::unused());
        let text = prompt(&planning, config, &unused, &spans, limits.text)?.work();
        Ok([text, step(&planning, config, &unused, &spans, room)?.work()])
    }

    /// The model's configuration.
    pub fn config(&self) -> &AudiogenConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all but the description's buffers from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan {
            weights: self.folder.weights().bytes(),
            buffers: self.step.bytes() + self.prompt_bytes,
            state: Store::bytes(self.folder.config(), self.room),
        }
    }

    /// Each layer of a step in the order of the run: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.step.layers()
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `audiogen.text` and `audiogen.step`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Begins a sequence that follows a description, `[rows][text_size]`: its keys and values are made here, once. One of no rows is followed
    /// by none.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are too many rows, or not whole ones; [`GraphError::Layer`] if a value is not a finite number.
    pub fn start(&mut self, text: &[f32]) -> Result<(), GraphError> {
        let width = self.config().text_size;
        let rows = text.len() / width;
        if !text.len().is_multiple_of(width) || rows > self.room.text {
            return Err(GraphError::Size { what: "values of a description (whole rows)", have: text.len(), most: self.room.text * width });
        }
        if text.iter().any(|x| !x.is_finite()) {
            return Err(GraphError::Layer("a description's value is not a finite number"));
        }
        self.store.set_position(0);
        self.store.set_text(rows);
        if rows == 0 {
            return Ok(());
        }
        if self.prompt.as_ref().is_none_or(|(own, _)| *own != rows) {
            // The old one's memory is passed on, so that there is only one.
            let memory = self.prompt.take().map(|(_, mut runner)| runner.detach()).unwrap_or_default();
            let mut runner = prompt(&self.session, self.folder.config(), &self.store, &self.spans, rows)?;
            runner.attach(memory);
            self.prompt = Some((rows, runner));
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("audiogen.text", 0, rows);
        }
        if let Some((_, runner)) = &mut self.prompt {
            runner.input_mut::<f32>(0)?.copy_from_slice(text);
            runner.run()?;
        }
        Ok(())
    }

    /// Steps taken since [`start`](Self::start).
    pub fn position(&self) -> usize {
        self.store.position()
    }

    /// Forgets all steps from `position` on; one not reached yet changes nothing.
    pub fn rewind(&mut self, position: usize) {
        self.store.set_position(position.min(self.store.position()));
    }

    /// Takes the next token of each codebook, the special one `vocab_size`; returns the logits of those after it, `[rows][codebooks][codes]`.
    /// Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are not as many tokens as codebooks, one is none, or all steps have been taken.
    pub fn step(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        let AudiogenConfig { num_codebooks, vocab_size, .. } = *self.config();
        if tokens.len() != num_codebooks {
            return Err(GraphError::Size { what: "tokens (as many as codebooks)", have: tokens.len(), most: num_codebooks });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize > vocab_size) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: vocab_size });
        }
        let position = self.store.position();
        if position >= self.room.steps {
            return Err(GraphError::Size { what: "steps", have: position + 1, most: self.room.steps });
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("audiogen.step", position, 1);
        }
        self.step.input_mut::<i32>(0)?.copy_from_slice(bytemuck::cast_slice(tokens));
        self.step.run()?;
        self.store.set_position(position + 1);
        self.step.output(0)
    }
}

/// What there has to be room for; an error if it is none, or more than the model takes.
fn room(config: &AudiogenConfig, limits: Limits) -> Result<Room, GraphError> {
    for (what, have, most) in [
        ("rows side by side, at least one", limits.rows, 2),
        ("steps, at least one", limits.steps, config.max_position_embeddings),
        ("rows of a description, at least one", limits.text, MAX_TEXT),
    ] {
        if !(1..=most).contains(&have) {
            return Err(GraphError::Size { what, have, most });
        }
    }
    Ok(Room { rows: limits.rows, steps: limits.steps, text: limits.text })
}

/// The graph of one step, without memory.
fn step(session: &Arc<Session>, config: &AudiogenConfig, store: &Arc<Store>, spans: &Spans, room: Room) -> Result<Runner, GraphError> {
    let (heads, width, rows) = (config.num_attention_heads, config.hidden_size, room.rows);
    let store = || Arc::clone(store);
    let mut graph = GraphBuilder::new(session);
    let tokens = graph.input::<i32>("audiogen.tokens", &[config.num_codebooks])?;
    let embed = Embed { store: store(), embeddings: spans.embeddings.clone(), positions: spans.positions.clone(), rows, width };
    let mut x = graph.add("audiogen.embed", embed, &[tokens])?[0];
    for (index, layer) in spans.layers.iter().cloned().enumerate() {
        let name = |part: &str| format!("audiogen.layers.{index}.{part}");
        let queries = |norm, layer, rows, outputs| TokenQueries { norm, layer, rows, heads, outputs };
        let attention = CachedAttention {
            queries: queries(layer.self_norm, layer.qkv, rows, 3 * width),
            caches: Sequences { store: store(), room },
            index,
            most: room.steps,
        };
        let attended = graph.add(name("self"), attention, &[x])?[0];
        x = graph.add(name("out"), LinearAdd { layer: layer.out, tokens: rows, width }, &[x, attended])?[0];
        let queries = queries(layer.cross_norm, layer.cross_query, 1, width);
        let cross = CrossAttention { store: store(), queries, out: layer.cross_out, index, room };
        x = graph.add(name("cross"), cross, &[x])?[0];
        let forward =
            FeedForward { norm: layer.forward_norm, first: layer.up, second: layer.down, tokens: rows, width, inner: config.ffn_dim };
        x = graph.add(name("forward"), forward, &[x])?[0];
    }
    let logits = Heads { norm: spans.norm.clone(), layer: spans.heads.clone(), rows, logits: config.logits() };
    let logits = graph.add("audiogen.logits", logits, &[x])?[0];
    graph.plan(&[logits])
}

/// The graph of a description of so many rows, without memory.
fn prompt(session: &Arc<Session>, config: &AudiogenConfig, store: &Arc<Store>, spans: &Spans, rows: usize) -> Result<Runner, GraphError> {
    let mut graph = GraphBuilder::new(session);
    let mut x = graph.input::<f32>("audiogen.text", &[rows, config.text_size])?;
    if let Some(layer) = &spans.text_projection {
        x = graph.add("audiogen.text_projection", Project { layer: layer.clone(), rows, outputs: config.hidden_size }, &[x])?[0];
    }
    for (index, layer) in spans.layers.iter().enumerate() {
        let heads = config.num_attention_heads;
        let layer = CrossKeysValues { layer: layer.cross_keys_values.clone(), caches: Arc::clone(store), index, tokens: rows, heads };
        x = graph.add(format!("audiogen.layers.{index}.cross_kv"), layer, &[x])?[0];
    }
    graph.plan(&[x])
}
