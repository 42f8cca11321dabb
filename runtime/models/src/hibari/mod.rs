//! hibari: a voice that makes spectra from phonemes (M. Williams 2026, distilled from Kokoro-82M).
//!
//! Two text encoders, each of ConvNeXt blocks and one transformer layer that is applied several times, see a clause as a whole. One says how long
//! each phoneme lasts; phonemes are repeated accordingly, and from there on there are only convolutions: one stack gives pitch and energy of each
//! frame, the other its spectra. These run chunk by chunk in constant memory, and give the same bits as one piece would.
//! `ossicle_frontend::vocoder` makes samples of them.
//!
//! ```no_run
//! use ossicle_kernels::simd::Isa;
//! use ossicle_models::Options;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::hibari::HibariGraph;
//!
//! let folder = ModelFolder::open("models-int8/hibari".as_ref())?;
//! let mut voice = HibariGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let frames = voice.begin(&[0, 50, 83, 54, 156, 31, 0], 1.0)?;
//! while let Some(chunk) = voice.next_chunk()? {
//!     println!("{} of {frames} frames", chunk.spectra.len() / (5 * 608));
//! }
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod frames;
mod text;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layers::attention::{FloatAttention, Positions};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past, Sequence};
use ossicle_engine::layers::{ConvNext, ConvNextShape, Embed, FloatLinear, FlowLinear, FlowLinearShape, Project};
use ossicle_engine::weights::{ModelFolder, Weights};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::math::exp_all;
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

pub use config::{BlocksConfig, CURVE, CURVES, HibariConfig, MAX_TOKENS, TextConfig};

use frames::{Curves, DecoderInput, FRAMES};
use text::{Durations, FeedForward, LastNorm, Qkv, norm};

/// Prosody frames, 25 ms each, that are computed at a time.
pub const CHUNK: usize = 48;

/// Frames at whose multiples spectra begin, so that whole batches of the vocoder come: each stack is late by a multiple of them.
const ALIGN: usize = 16;

/// Longest phoneme in prosody frames: 5 s. None is ever as long; this bounds the time that a broken text takes.
pub const LONGEST: u32 = 200;

/// Frames of a clause that are there now.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The first of the spectra's frames.
    pub first: usize,
    /// Pitch in hertz of the frames that follow those so far, earlier than their spectra.
    pub pitch: &'a [f32],
    /// `[frames][5][608]`
    pub spectra: &'a [f32],
}

/// A voice ready to speak.
pub struct HibariGraph {
    folder: Arc<ModelFolder<HibariConfig>>,
    session: Arc<Session>,
    clause: Arc<Sequence>,
    text: Runner,
    frames: Runner,
    sequence: Arc<Sequence>,
    pasts: Vec<Arc<Past>>,
    /// What texts leave: the encoders' rows.
    rows: Rows,
    /// Where the frames' graph is.
    pitch_flow: Flow,
    spectra_flow: Flow,
    /// Bytes of weights that were made of the folder's.
    folded: usize,
    /// Prosody frames of the clause.
    total: usize,
    /// The next that goes in.
    next: usize,
}

/// Rows of a clause's phonemes.
struct Rows {
    decoder: Vec<f32>,
    prosody: Vec<f32>,
    /// Prosody frames of each phoneme.
    durations: Vec<u32>,
}

impl fmt::Debug for HibariGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HibariGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl HibariGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the buffers would
    /// take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<HibariConfig>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, 1 << 30)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before anything is allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<HibariConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let session = Session::new(weights, options);
        let (clause, sequence) = (Arc::new(Sequence::default()), Arc::new(Sequence::default()));
        let mut pasts = vec![];
        let text = text_graph(&session, config, &clause, &mut pasts)?;
        let (frames, pitch_flow, spectra_flow, folded) = frames_graph(&session, config, &sequence, &mut pasts)?;
        let needed = text.bytes().max(frames.bytes());
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        let tokens = config.max_tokens;
        let rows = Rows {
            decoder: vec![0.0; tokens * config.text.hidden_size],
            prosody: vec![0.0; tokens * config.prosody.hidden_size],
            durations: Vec::with_capacity(tokens),
        };
        Ok(Self { session, clause, text, frames, sequence, pasts, rows, pitch_flow, spectra_flow, folded, total: 0, next: 0, folder })
    }

    /// The voice's configuration.
    pub fn config(&self) -> &HibariConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        let rows = (self.rows.decoder.len() + self.rows.prosody.len() + self.config().max_tokens) * size_of::<f32>();
        let pasts: usize = self.pasts.iter().map(|past| past.bytes()).sum();
        let buffers = self.text.bytes().max(self.frames.bytes());
        MemoryPlan { weights: self.folder.weights().bytes(), buffers, state: rows + pasts + self.folded }
    }

    /// Each layer in the order of the run, for the last clause and one whole chunk of frames: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.text.layers().chain(self.frames.layers())
    }

    /// How much the text of a clause of so many phonemes computes, and how much a chunk of [`CHUNK`] frames. A clause that is being said is lost.
    pub fn work(&mut self, phonemes: usize) -> [Work; 2] {
        self.forget();
        self.clause.set(0, phonemes);
        self.sequence.set(0, 0);
        [&self.text, &self.frames].map(Runner::work)
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `text` and `frames`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Reads a clause's phonemes and decides how long each lasts at a speed of 1 or another; returns the number of frames, 12.5 ms each.
    /// Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are fewer than two phonemes or more than the model takes; [`GraphError::Plan`] if one is beyond the
    /// vocabulary, or the speed is no number above zero.
    pub fn begin(&mut self, phonemes: &[u32], speed: f32) -> Result<usize, GraphError> {
        self.forget();
        if !(speed.is_finite() && speed > 0.0) {
            return Err(GraphError::Plan(format!("a speed of {speed}, not a number above 0")));
        }
        self.read(phonemes)?;
        let logs = self.text.output::<f32>(2)?;
        let (mut durations, mut values) = (std::mem::take(&mut self.rows.durations), [0.0; ALIGN]);
        durations.clear();
        for logs in logs[..phonemes.len()].chunks(ALIGN) {
            let values = &mut values[..logs.len()];
            values.copy_from_slice(logs);
            exp_all(self.session.isa(), values);
            // Half to even, as the original does; what is too large for an integer is the largest.
            durations.extend(values.iter().map(|value| ((value - 1.0) / speed).round_ties_even().clamp(1.0, LONGEST as f32) as u32));
        }
        self.rows.durations = durations;
        self.start()
    }

    /// As [`begin`](Self::begin), each phoneme lasting so many prosody frames of 25 ms.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); [`GraphError::Size`] if there are not as many durations as phonemes, or one is 0 or above [`LONGEST`].
    pub fn begin_with(&mut self, phonemes: &[u32], durations: &[u32]) -> Result<usize, GraphError> {
        self.forget();
        let fits = durations.len() == phonemes.len() && durations.iter().all(|duration| (1..=LONGEST).contains(duration));
        if !fits {
            return Err(GraphError::Size {
                what: "durations, one of 1 to 200 frames a phoneme",
                have: durations.len(),
                most: phonemes.len(),
            });
        }
        self.read(phonemes)?;
        self.rows.durations.clear();
        self.rows.durations.extend_from_slice(durations);
        self.start()
    }

    /// Prosody frames, 25 ms each, that each phoneme lasts.
    pub fn durations(&self) -> &[u32] {
        &self.rows.durations
    }

    /// No frames are left of what came before.
    fn forget(&mut self) {
        (self.total, self.next) = (0, 0);
    }

    /// Runs the text encoders.
    fn read(&mut self, phonemes: &[u32]) -> Result<(), GraphError> {
        let (have, most) = (phonemes.len(), self.config().max_tokens);
        if have < 2 || have > most {
            return Err(GraphError::Size { what: "phonemes, at least two", have, most });
        }
        let vocabulary = self.config().vocab_size;
        if let Some(phoneme) = phonemes.iter().find(|&&phoneme| phoneme as usize >= vocabulary) {
            return Err(GraphError::Plan(format!("phoneme {phoneme} is beyond the vocabulary of {vocabulary}")));
        }
        self.clause.set(0, have);
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("text", 0, have);
        }
        self.text.attach(self.frames.detach());
        let ids = self.text.input_mut::<i32>(0)?;
        for (id, phoneme) in ids.iter_mut().zip(phonemes.iter().copied().chain(std::iter::repeat(0))) {
            // Below the vocabulary's size, 2^16 at most.
            *id = phoneme as i32;
        }
        self.text.run()
    }

    /// Takes over what the text encoders gave, and begins with the frames.
    fn start(&mut self) -> Result<usize, GraphError> {
        let phonemes = self.rows.durations.len();
        for (index, rows) in [(0, &mut self.rows.decoder), (1, &mut self.rows.prosody)] {
            let values = self.text.output::<f32>(index)?;
            let width = values.len() / self.folder.config().max_tokens;
            rows[..phonemes * width].copy_from_slice(&values[..phonemes * width]);
        }
        self.frames.attach(self.text.detach());
        self.pasts.iter().for_each(|past| past.reset());
        self.next = 0;
        self.total = self.rows.durations.iter().map(|&duration| duration as usize).sum();
        Ok(FRAMES * self.total)
    }

    /// The next frames; none behind the last. Spectra begin at multiples of 16. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, GraphError> {
        while self.total > 0 && FRAMES * self.next < FRAMES * self.total + self.spectra_flow.late() {
            self.sequence.set(self.next, self.total);
            if let Some(listener) = self.session.recorder().listener() {
                listener.step("frames", self.next / CHUNK, CHUNK);
            }
            let config = self.folder.config();
            let late = self.pitch_flow.late() / FRAMES;
            let prosody = repeat(&self.rows.prosody, &self.rows.durations, config.prosody.hidden_size);
            fill(self.frames.input_mut(0)?, prosody, config.prosody.hidden_size, self.next, 0);
            let decoder = repeat(&self.rows.decoder, &self.rows.durations, config.text.hidden_size);
            fill(self.frames.input_mut(1)?, decoder, config.text.hidden_size, self.next, late);
            self.frames.run()?;
            self.next += CHUNK;
            self.sequence.set(self.next - CHUNK, self.total);
            let (pitch, spectra) = (self.pitch_flow.inside(), self.spectra_flow.inside());
            if pitch.is_empty() && spectra.is_empty() {
                continue;
            }
            return Ok(Some(Chunk {
                first: self.spectra_flow.first(),
                pitch: &self.frames.output::<f32>(0)?[pitch],
                spectra: &self.frames.output::<f32>(1)?[spectra.start * CURVES * CURVE..spectra.end * CURVES * CURVE],
            }));
        }
        // For what a whole chunk computes.
        self.sequence.set(0, 0);
        Ok(None)
    }
}

/// A phoneme's row for each of its prosody frames.
fn repeat<'a>(rows: &'a [f32], durations: &'a [u32], width: usize) -> impl Iterator<Item = &'a [f32]> {
    rows.chunks_exact(width).zip(durations).flat_map(|(row, &duration)| std::iter::repeat_n(row, duration as usize))
}

/// Writes a chunk's rows, `late` behind the sequence's rows from `next` on. Those outside are left as they are.
fn fill<'a>(out: &mut [f32], rows: impl Iterator<Item = &'a [f32]>, width: usize, next: usize, late: usize) {
    let before = late.saturating_sub(next);
    for (out, row) in out.chunks_exact_mut(width).skip(before).zip(rows.skip(next.saturating_sub(late))) {
        out.copy_from_slice(row);
    }
}

fn text_graph(
    session: &Arc<Session>,
    config: &HibariConfig,
    clause: &Arc<Sequence>,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<Runner, GraphError> {
    let weights = session.weights();
    let flow = Flow::new(clause, config.max_tokens);
    let mut graph = GraphBuilder::new(session);
    let ids = graph.input::<i32>("hibari.phonemes", &[config.max_tokens])?;
    let decoder = encoder(&mut graph, weights, ("text", &config.text, config.vocab_size), &flow, ids, pasts)?;
    let prosody = encoder(&mut graph, weights, ("prosody_text", &config.prosody_text, config.vocab_size), &flow, ids, pasts)?;
    let width = config.prosody.hidden_size;
    let durations = graph.add("hibari.durations", Durations::new(weights, "durations", width, &flow)?, &[prosody])?[0];
    // The same for each frame of a phoneme, so it is computed before phonemes are repeated.
    let layer = FloatLinear::new(weights, "prosody.input", width, width)?;
    let prosody = graph.add("hibari.prosody.input", Project { flow, layer, width }, &[prosody])?[0];
    graph.plan(&[decoder, prosody, durations])
}

/// A text encoder: name of its tensors, figures and vocabulary.
fn encoder(
    graph: &mut GraphBuilder,
    weights: &Weights,
    (name, text, vocabulary): (&str, &TextConfig, usize),
    flow: &Flow,
    ids: Outlet,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<Outlet, GraphError> {
    let width = text.hidden_size;
    let table = weights.f32_span(&format!("{name}.embedding"), &[vocabulary, width])?;
    let mut x = graph.add(format!("hibari.{name}.embed"), Embed { flow: flow.clone(), table, width }, &[ids])?[0];
    let shape = ConvNextShape { width, inner: text.intermediate_size, taps: text.kernel_size, dilation: 1 };
    for i in 0..text.conv_blocks {
        let block = ConvNext::new(weights, &format!("{name}.convs.{i}"), shape, flow, Chunks::One)?;
        pasts.push(Arc::clone(block.past()));
        x = graph.add(format!("hibari.{name}.convs.{i}"), block, &[x])?[0];
    }
    let layer = format!("{name}.layer");
    for i in 0..text.num_hidden_layers {
        let qkv = graph.add(format!("hibari.{layer}.{i}.qkv"), Qkv::new(weights, &layer, width, flow)?, &[x])?[0];
        let attention =
            FloatAttention { flow: flow.clone(), heads: text.num_attention_heads, head: text.head_size(), positions: Positions::None };
        let attention = graph.add(format!("hibari.{layer}.{i}.attention"), attention, &[qkv])?[0];
        x = graph.add(format!("hibari.{layer}.{i}.feed_forward"), FeedForward::new(weights, &layer, text, flow)?, &[x, attention])?[0];
    }
    let last = LastNorm { flow: flow.clone(), norm: norm(weights, &format!("{name}.norm"), width)?, width };
    Ok(graph.add(format!("hibari.{name}.norm"), last, &[x])?[0])
}

/// The graph, where its pitch and its spectra are, and bytes of weights that were made for it.
fn frames_graph(
    session: &Arc<Session>,
    config: &HibariConfig,
    sequence: &Arc<Sequence>,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<(Runner, Flow, Flow, usize), GraphError> {
    let weights = session.weights();
    let mut flow = Flow::new(sequence, CHUNK);
    let mut graph = GraphBuilder::new(session);
    let rows = graph.input::<f32>("hibari.rows", &[CHUNK, config.prosody.hidden_size])?;
    let text = graph.input::<f32>("hibari.text_rows", &[CHUNK, config.text.hidden_size])?;
    let rows = blocks(&mut graph, weights, ("prosody", &config.prosody, ALIGN / FRAMES), &mut flow, rows, pasts)?;
    let curves = graph.add("hibari.curves", Curves::new(weights, config, &flow)?, &[rows])?;
    let pitch_flow = flow.repeated(FRAMES);
    let input = DecoderInput::new(weights, config, &flow, &pitch_flow)?;
    pasts.extend(input.pasts().map(Arc::clone));
    let (mut flow, folded) = (input.output(), input.folded_bytes());
    let rows = graph.add("hibari.decoder.input", input, &[text, curves[1]])?[0];
    let rows = blocks(&mut graph, weights, ("decoder", &config.decoder, ALIGN), &mut flow, rows, pasts)?;
    let shape = FlowLinearShape { width: config.decoder.hidden_size, outputs: CURVES * CURVE, parts: 1 };
    let spectra = FlowLinear::new(weights, "decoder.head", shape, &flow)?.normalized(weights, "decoder.norm")?;
    let spectra = graph.add("hibari.spectra", spectra, &[rows])?[0];
    Ok((graph.plan(&[curves[0], spectra])?, pitch_flow, flow, folded))
}

/// ConvNeXt blocks: name of their tensors, figures and what the rows they are late by, in all, are a multiple of.
fn blocks(
    graph: &mut GraphBuilder,
    weights: &Weights,
    (name, blocks, align): (&str, &BlocksConfig, usize),
    flow: &mut Flow,
    mut x: Outlet,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<Outlet, GraphError> {
    let late = flow.late() + blocks.reach();
    for (i, &dilation) in blocks.dilations.iter().enumerate() {
        let shape = ConvNextShape { width: blocks.hidden_size, inner: blocks.intermediate_size, taps: blocks.kernel_size, dilation };
        let extra = if i + 1 == blocks.dilations.len() { late.next_multiple_of(align) - late } else { 0 };
        let block = ConvNext::new(weights, &format!("{name}.blocks.{i}"), shape, flow, Chunks::Many { extra })?;
        pasts.push(Arc::clone(block.past()));
        *flow = block.past().output();
        x = graph.add(format!("hibari.{name}.blocks.{i}"), block, &[x])?[0];
    }
    Ok(x)
}
