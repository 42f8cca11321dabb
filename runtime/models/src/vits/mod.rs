//! VITS (Kim, Kong and Son 2021): a voice that makes samples from phonemes, as Piper trains them.
//!
//! A text encoder with relative positions and a stochastic duration predictor see a clause as a whole. Phonemes are repeated by durations, noise is
//! added, and from there on there are only convolutions: coupling layers, then a HiFi-GAN (Kong, Kim and Bae 2020). These run chunk by chunk in
//! constant memory, and give the same bits as one piece would.

mod config;
mod durations;
mod flow;
mod wire;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::Runner;
use ossicle_engine::layers::sequence::{Flow, Past, Sequence};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::math::exp_all;
use ossicle_kernels::philox::normal_row;
use ossicle_kernels::simd::Isa;
use ossicle_trace::Tap;

pub use config::{MAX_TOKENS, VitsConfig};

use durations::NOISES;

/// Frames that are computed at a time.
pub const CHUNK: usize = 32;

/// Longest phoneme in frames: 6 s at 22 kHz. None is ever as long; this bounds the time that a broken text takes.
pub const LONGEST: u32 = 512;

/// Places of random numbers: those for durations, and those for frames.
const DURATION_NOISE: u32 = 1;
const FRAME_NOISE: u32 = 2;

/// How a clause is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// How fast, a number above 0; 1 is the voice's own pace.
    pub speed: f32,
    /// Whose noise is in it.
    pub seed: u64,
    /// The clause's number among those of the seed.
    pub clause: u32,
    /// How much noise is in the voice, in place of what the configuration says.
    pub noise_scale: Option<f32>,
    /// How much noise is in the durations, likewise.
    pub noise_scale_duration: Option<f32>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { speed: 1.0, seed: 0, clause: 0, noise_scale: None, noise_scale_duration: None }
    }
}

/// A voice ready to speak.
pub struct VitsGraph {
    folder: Arc<ModelFolder<VitsConfig>>,
    session: Arc<Session>,
    clause: Arc<Sequence>,
    text: Runner,
    frames: Runner,
    sequence: Arc<Sequence>,
    pasts: Vec<Arc<Past>>,
    /// Where the samples are.
    samples: Flow,
    /// Of each phoneme: means, then deviations.
    stats: Vec<f32>,
    /// Frames of each phoneme.
    durations: Vec<u32>,
    noise: Vec<f32>,
    manner: Manner,
    /// Frames of the clause.
    total: usize,
    /// The next that goes in.
    next: usize,
}

impl fmt::Debug for VitsGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VitsGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl VitsGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the buffers would
    /// take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<VitsConfig>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, 1 << 30)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before its buffers are allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<VitsConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let session = Session::new(weights, options);
        let (clause, sequence) = (Arc::new(Sequence::default()), Arc::new(Sequence::default()));
        let mut pasts = vec![];
        let text = wire::text(&session, config, &clause, &mut pasts)?;
        let (frames, samples) = wire::frames(&session, config, &sequence, &mut pasts)?;
        let needed = text.bytes().max(frames.bytes());
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        let (tokens, width) = (config.max_tokens, config.hidden_size);
        let (stats, durations, noise) = (vec![0.0; tokens * 2 * width], Vec::with_capacity(tokens), vec![0.0; width]);
        let manner = Manner::default();
        Ok(Self { session, clause, text, frames, sequence, pasts, samples, stats, durations, noise, manner, total: 0, next: 0, folder })
    }

    /// The voice's configuration.
    pub fn config(&self) -> &VitsConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        let own = (self.stats.len() + self.noise.len() + self.config().max_tokens) * size_of::<f32>();
        let pasts: usize = self.pasts.iter().map(|past| past.bytes()).sum();
        let buffers = self.text.bytes().max(self.frames.bytes());
        MemoryPlan { weights: self.folder.weights().bytes(), buffers, state: own + pasts }
    }

    /// Each layer in the order of the run, for the last clause and one whole chunk of frames: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.text.layers().chain(self.frames.layers())
    }

    /// How much the text of a clause of so many symbols computes, and how much a chunk of [`CHUNK`] frames. A clause that is being said is lost.
    pub fn work(&mut self, symbols: usize) -> [Work; 2] {
        self.forget();
        self.clause.set(0, symbols);
        self.sequence.set(0, 0);
        [&self.text, &self.frames].map(Runner::work)
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `text` and `frames`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Reads a clause's symbols and decides how long each lasts; returns the number of samples. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no symbol or there are more than the model takes; [`GraphError::Plan`] if one is beyond the vocabulary, or a
    /// number of `manner` is not possible.
    pub fn begin(&mut self, symbols: &[u32], manner: Manner) -> Result<usize, GraphError> {
        self.read(symbols, manner)?;
        let logs = self.text.output::<f32>(1)?;
        let (mut durations, mut values) = (std::mem::take(&mut self.durations), [0.0; 16]);
        durations.clear();
        let length = self.config().length_scale / manner.speed;
        for logs in logs[..symbols.len()].chunks(values.len()) {
            let values = &mut values[..logs.len()];
            values.copy_from_slice(logs);
            exp_all(self.session.isa(), values);
            durations.extend(values.iter().map(|value| (value * length).ceil().clamp(1.0, LONGEST as f32) as u32));
        }
        self.durations = durations;
        self.start()
    }

    /// As [`begin`](Self::begin), each symbol lasting so many frames.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); [`GraphError::Size`] if there are not as many durations as symbols, or one is 0 or above [`LONGEST`].
    pub fn begin_with(&mut self, symbols: &[u32], manner: Manner, durations: &[u32]) -> Result<usize, GraphError> {
        let fits = durations.len() == symbols.len() && durations.iter().all(|duration| (1..=LONGEST).contains(duration));
        if !fits {
            let what = "durations, one of 1 to 512 frames a symbol";
            return Err(GraphError::Size { what, have: durations.len(), most: symbols.len() });
        }
        self.read(symbols, manner)?;
        self.durations.clear();
        self.durations.extend_from_slice(durations);
        self.start()
    }

    /// Frames that each symbol lasts.
    pub fn durations(&self) -> &[u32] {
        &self.durations
    }

    /// No frames are left of what came before.
    fn forget(&mut self) {
        (self.total, self.next) = (0, 0);
    }

    /// Runs the text's part.
    fn read(&mut self, symbols: &[u32], manner: Manner) -> Result<(), GraphError> {
        self.forget();
        let config = self.folder.config();
        let (have, most) = (symbols.len(), config.max_tokens);
        if have < 1 || have > most {
            return Err(GraphError::Size { what: "symbols, at least one", have, most });
        }
        if let Some(symbol) = symbols.iter().find(|&&symbol| symbol as usize >= config.vocab_size) {
            return Err(GraphError::Plan(format!("symbol {symbol} is beyond the vocabulary of {}", config.vocab_size)));
        }
        if !(manner.speed.is_finite() && manner.speed > 0.0) {
            return Err(GraphError::Plan(format!("a speed of {}, not a number above 0", manner.speed)));
        }
        let scale = manner.noise_scale_duration.unwrap_or(config.noise_scale_duration);
        if let Some(scale) = [Some(scale), manner.noise_scale].into_iter().flatten().find(|scale| !(0.0..=10.0).contains(scale)) {
            return Err(GraphError::Plan(format!("noise of {scale} times, 0 to 10 are possible")));
        }
        self.manner = manner;
        self.clause.set(0, have);
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("text", 0, have);
        }
        self.text.attach(self.frames.detach());
        let ids = self.text.input_mut::<i32>(0)?;
        for (id, symbol) in ids.iter_mut().zip(symbols.iter().copied().chain(std::iter::repeat(0))) {
            // Below the vocabulary's size, 2^16 at most.
            *id = symbol as i32;
        }
        let (isa, key) = (self.session.isa(), key(manner.seed));
        let noise = self.text.input_mut::<f32>(1)?;
        debug_assert_eq!(noise.len(), NOISES * most);
        for (which, noise) in noise.chunks_exact_mut(most).enumerate() {
            noise[have..].fill(0.0);
            normal_row(isa, key, [which as u32, manner.clause, DURATION_NOISE], &mut noise[..have]);
            noise[..have].iter_mut().for_each(|value| *value *= scale);
        }
        self.text.run()
    }

    /// Takes over what the text gave, and begins with the frames.
    fn start(&mut self) -> Result<usize, GraphError> {
        let (width, symbols) = (self.config().hidden_size, self.durations.len());
        let values = &self.text.output::<f32>(0)?[..symbols * 2 * width];
        self.stats[..values.len()].copy_from_slice(values);
        for row in self.stats[..symbols * 2 * width].chunks_exact_mut(2 * width) {
            exp_all(self.session.isa(), &mut row[width..]);
        }
        self.frames.attach(self.text.detach());
        self.pasts.iter().for_each(|past| past.reset());
        self.next = 0;
        self.total = self.durations.iter().map(|&duration| duration as usize).sum();
        Ok(self.total * self.config().hop())
    }

    /// The next samples, full scale at 1; none after the last. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails.
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>, GraphError> {
        Ok(if self.advance()? { Some(self.samples()?) } else { None })
    }

    /// Computes the next samples; whether there are any.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub fn advance(&mut self) -> Result<bool, GraphError> {
        let hop = self.config().hop();
        while self.total > 0 && self.next * hop < self.total * hop + self.samples.late() {
            self.sequence.set(self.next, self.total);
            if let Some(listener) = self.session.recorder().listener() {
                listener.step("frames", self.next / CHUNK, CHUNK);
            }
            self.draw()?;
            self.frames.run()?;
            self.next += CHUNK;
            self.sequence.set(self.next - CHUNK, self.total);
            if !self.samples.inside().is_empty() {
                return Ok(true);
            }
        }
        self.forget();
        // For what a whole chunk computes.
        self.sequence.set(0, 0);
        Ok(false)
    }

    /// What [`advance`](Self::advance) computed last.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if nothing has been computed.
    pub fn samples(&self) -> Result<&[f32], GraphError> {
        let inside = if self.total > 0 { self.samples.inside() } else { 0..0 };
        Ok(&self.frames.output::<f32>(0)?[inside])
    }

    /// Draws a chunk's frames: means of their symbols, and noise.
    fn draw(&mut self) -> Result<(), GraphError> {
        let width = self.folder.config().hidden_size;
        let scale = self.manner.noise_scale.unwrap_or(self.folder.config().noise_scale);
        let (isa, key, noise) = (self.session.isa(), key(self.manner.seed), &mut self.noise[..]);
        let rows = self.stats.chunks_exact(2 * width).zip(&self.durations);
        let rows = rows.flat_map(|(row, &duration)| std::iter::repeat_n(row, duration as usize)).enumerate().skip(self.next);
        for (out, (frame, row)) in self.frames.input_mut::<f32>(0)?.chunks_exact_mut(width).zip(rows) {
            normal_row(isa, key, [frame as u32, self.manner.clause, FRAME_NOISE], noise);
            let (means, deviations) = row.split_at(width);
            for (((out, mean), deviation), noise) in out.iter_mut().zip(means).zip(deviations).zip(&*noise) {
                *out = mean + noise * deviation * scale;
            }
        }
        Ok(())
    }
}

fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}
