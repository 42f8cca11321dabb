//! Texts to vectors.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::map::{Embedding, Shape, UnitLength};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

use super::{ClipConfig, TextTower, missing};
use crate::Graph;
use crate::graph::named;
use crate::network::{Part, Tensors, shapes};

/// Tensors of the tower.
const PREFIX: &str = "text.";

/// A text tower ready to run.
///
/// It is planned for several lengths, which share one memory; a text is computed by the shortest plan that holds it, with the same bits as by
/// any other.
pub struct TextGraph {
    folder: Arc<ModelFolder<ClipConfig>>,
    session: Arc<Session>,
    /// By length, shortest first. The one that ran last has the memory.
    plans: Vec<(usize, Runner)>,
    /// Which that is.
    last: usize,
    /// Whether the position at which a text ends is an input.
    ends: bool,
    memory: MemoryPlan,
}

impl fmt::Debug for TextGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

/// Layers are those of the length that ran last.
impl Graph for TextGraph {
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }

    fn layers(&self) -> Vec<(String, Work)> {
        named(self.plans[self.last].1.layers())
    }

    fn memory_plan(&self) -> MemoryPlan {
        Self::memory_plan(self)
    }
}

impl TextGraph {
    /// Checks the tower's tensors, plans every buffer and starts the threads. `most` is the limit to the buffers, in bytes: what does not fit is
    /// refused before anything is allocated.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if there is no text tower, or a tensor is missing, misshapen or not finite; [`GraphError::Memory`].
    pub fn new(folder: Arc<ModelFolder<ClipConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let tower: &TextTower = folder.config().text.as_ref().ok_or_else(|| missing(&folder, "text"))?;
        let weights = folder.weights();
        let session = Session::new(weights, options);
        let tokens = weights.linear_span("text.tokens", tower.vocab_size, tower.width, false)?;
        let positions = weights.f32_span("text.positions", &[tower.max_tokens, tower.width])?;
        let tensors = Tensors::new(weights, PREFIX);
        let mut plans = vec![];
        for length in tower.lengths() {
            let input = tower.shape(length);
            let shapes = shapes(input, &tower.layers).map_err(GraphError::Plan)?;
            let mut graph = GraphBuilder::new(&session);
            let ids = graph.input::<i32>("text.ids", &[length])?;
            let end = tower.has_end().then(|| graph.input::<i32>("text.end", &[1])).transpose()?;
            let embedding = Embedding { tokens: tokens.clone(), positions: positions.clone(), output: input };
            let rows = graph.add("text.embedding", embedding, &[ids])?[0];
            let part = Part { name: "text", input, layers: &tower.layers, shapes: &shapes };
            let last = part.wire(&mut graph, &tensors, rows, end)?;
            let unit = UnitLength { output: Shape::line(1, folder.config().projection_dim) };
            let vector = graph.add("text.vector", unit, &[last])?[0];
            plans.push((length, graph.plan(&[vector])?));
        }
        let bytes = plans.iter().map(|(_, runner)| runner.bytes()).max().unwrap_or(0);
        if bytes > most.min(isize::MAX.unsigned_abs()) {
            return Err(GraphError::Memory { needed: bytes, most });
        }
        // The longest plan needs the most, so its memory serves them all.
        let last = plans.len() - 1;
        plans[last].1.attach(Default::default());
        let memory = MemoryPlan { weights: weights.bytes_of(|name| name.starts_with(PREFIX)), buffers: bytes, state: 0 };
        let ends = tower.has_end();
        Ok(Self { session, plans, last, ends, memory, folder })
    }

    /// The configuration of both towers.
    pub fn config(&self) -> &ClipConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all of it from the start; weights are those of this tower.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.memory
    }

    /// Each layer in the order of the run, for a text of so many tokens: its name, its kind and how much it computes.
    pub fn layers(&self, tokens: usize) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.plans.get(self.plan_of(tokens)).into_iter().flat_map(|(_, runner)| runner.layers())
    }

    /// Which plan computes so many tokens.
    fn plan_of(&self, tokens: usize) -> usize {
        self.plans.iter().position(|&(length, _)| length >= tokens).unwrap_or(self.plans.len() - 1)
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `text`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// The vector of a text's tokens, those around it included: `[projection_dim]`, of length 1. Allocates nothing once each length has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are no tokens, or more than the model takes; [`GraphError::Plan`] if one is beyond the vocabulary.
    pub fn run(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        let Some(TextTower { vocab_size, max_tokens, pad_token_id, eos_token_id, .. }) = self.folder.config().text else {
            return Err(missing(&self.folder, "text"));
        };
        let have = tokens.len();
        if have == 0 || have > max_tokens {
            return Err(GraphError::Size { what: "tokens, at least one", have, most: max_tokens });
        }
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(GraphError::Plan(format!("token {token} is beyond the vocabulary of {vocab_size}")));
        }
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("text", 0, have);
        }
        let at = self.plan_of(have);
        if at != self.last {
            let memory = self.plans[self.last].1.detach();
            self.plans[at].1.attach(memory);
            self.last = at;
        }
        let runner = &mut self.plans[at].1;
        let padded = tokens.iter().copied().chain(std::iter::repeat(pad_token_id));
        for (id, token) in runner.input_mut::<i32>(0)?.iter_mut().zip(padded) {
            // Below the vocabulary's size, 2^20 at most.
            *id = token as i32;
        }
        if self.ends {
            let end = tokens.iter().position(|&token| token == eos_token_id).unwrap_or(have - 1);
            runner.input_mut::<i32>(1)?[0] = end as i32;
        }
        runner.run()?;
        runner.output(0)
    }
}
