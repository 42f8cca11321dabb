//! Kokoro (hexgrad 2025): a StyleTTS 2 that makes samples from phonemes, in the voice that a style describes.
//!
//! An ALBERT and recurrent layers say how long each phoneme lasts; phonemes are repeated accordingly. Pitch and energy follow, then a decoder whose
//! generator shapes harmonics of the pitch and gives spectra, five samples apart. All convolutions after the durations normalise channels over
//! the whole piece, so a piece is computed at once, and memory is planned for the longest.
//!
//! ```no_run
//! use ossicle_kernels::simd::Isa;
//! use ossicle_models::Options;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::kokoro::KokoroGraph;
//!
//! let folder = ModelFolder::open("models-int8/kokoro".as_ref())?;
//! let mut voice = KokoroGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! voice.choose(&[("af_heart", 1.0)])?;
//! let frames = voice.begin(&[0, 50, 83, 54, 156, 31, 0], 1.0)?;
//! println!("{} samples in {frames} frames", voice.run()?.len());
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod generator;
mod head;
mod rows;
mod source;
mod styled;
mod text;
mod wire;

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::Runner;
use ossicle_engine::layers::sequence::{Past, Sequence};
use ossicle_engine::weights::{ModelFolder, Span};
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::Tap;

pub use config::{KokoroConfig, MAX_FRAMES, MAX_TOKENS};

/// Sizes that are the same in every voice of this family, for importers.
pub mod sizes {
    pub use super::head::{BINS, FRAME, HOP, PRODUCTS, SPECTRUM, TAPS, WINDOW};
    pub use super::source::{HARMONICS, PARTS};
    pub use super::wire::BLOCKS;
}

/// Rows of a voice: a style for each number of phonemes.
pub const STYLES: usize = 510;

/// Most voices that are mixed.
pub const MOST_MIXED: usize = 8;

/// Voices of this kind ready to speak.
pub struct KokoroGraph {
    folder: Arc<ModelFolder<KokoroConfig>>,
    session: Arc<Session>,
    piece: Arc<Sequence>,
    text: Runner,
    past: Arc<Past>,
    frames: Runner,
    sequence: Arc<Sequence>,
    /// Styles of the voices that are mixed, and how much of each there is: at least one.
    mixed: Vec<(Span, f32)>,
    /// Of the piece: the decoder's half, then prosody's.
    style: Vec<f32>,
    /// Rows of prosody, then those of sound, of each phoneme.
    phonemes: Vec<f32>,
    durations: Vec<u32>,
    /// Frames of the piece; none once it has been said.
    total: usize,
}

impl fmt::Debug for KokoroGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KokoroGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl KokoroGraph {
    /// Checks the folder's tensors, plans every buffer and starts the threads. The voice is the first one.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the buffers would
    /// take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<KokoroConfig>>, options: Options) -> Result<Self, GraphError> {
        Self::new_within(folder, options, 1 << 30)
    }

    /// As [`new`](Self::new), with another limit, in bytes. What does not fit is refused before its buffers are allocated.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_within(folder: Arc<ModelFolder<KokoroConfig>>, options: Options, most: usize) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let session = Session::new(weights, options);
        let (piece, sequence) = (Arc::new(Sequence::default()), Arc::new(Sequence::default()));
        let (text, past) = wire::text(&session, config, &piece)?;
        let frames = wire::frames(&session, config, &sequence)?;
        let needed = text.bytes().max(frames.bytes());
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        let (tokens, row) = (config.max_tokens, 2 * config.width + config.style_size);
        let (style, phonemes, durations) = (vec![0.0; 2 * config.style_size], vec![0.0; tokens * row], Vec::with_capacity(tokens));
        let first = config.voices[0].clone();
        let mut graph = Self {
            session,
            piece,
            text,
            past,
            frames,
            sequence,
            mixed: Vec::with_capacity(MOST_MIXED),
            style,
            phonemes,
            durations,
            total: 0,
            folder,
        };
        graph.choose(&[(&first, 1.0)])?;
        Ok(graph)
    }

    /// The voices' configuration.
    pub fn config(&self) -> &KokoroConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Memory in use, all of it from the start: of the weights those of one voice.
    pub fn memory_plan(&self) -> MemoryPlan {
        let weights = self.folder.weights();
        let voices = weights.bytes_of(|name| name.starts_with("voices."));
        let own = (self.style.len() + self.phonemes.len() + self.config().max_tokens) * size_of::<f32>();
        let buffers = self.text.bytes().max(self.frames.bytes());
        let weights = weights.bytes() - voices + voices / self.config().voices.len();
        MemoryPlan { weights, buffers, state: own + self.past.bytes() }
    }

    /// Each layer in the order of the run, for the longest piece or the last one: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.text.layers().chain(self.frames.layers())
    }

    /// How much the text of a piece of so many phonemes computes, and how much so many frames. A piece that has begun is lost.
    pub fn work(&mut self, phonemes: usize, frames: usize) -> [Work; 2] {
        self.total = 0;
        self.piece.set(0, phonemes);
        self.sequence.set(0, frames);
        [&self.text, &self.frames].map(Runner::work)
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `text` and `frames`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Speaks in a mixture of voices from now on, with so much of each: the styles are added up in that proportion.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if there is no such voice, none or more than [`MOST_MIXED`] of them, or a part is not a number above 0;
    /// [`GraphError::Folder`] if a voice's tensor is missing, misshapen or not finite.
    pub fn choose(&mut self, voices: &[(&str, f32)]) -> Result<(), GraphError> {
        let sum: f32 = voices.iter().map(|(_, part)| part).sum();
        let fits = (1..=MOST_MIXED).contains(&voices.len()) && sum.is_finite() && voices.iter().all(|(_, part)| *part > 0.0);
        if !fits {
            return Err(GraphError::Plan(format!("a mixture of one to {MOST_MIXED} voices, each of a part above 0, is possible")));
        }
        let mut mixed = vec![];
        for &(name, part) in voices {
            if !self.config().voices.iter().any(|known| known == name) {
                return Err(GraphError::Plan(format!("no voice {name:?}")));
            }
            let span = self.folder.weights().f32_span(&format!("voices.{name}"), &[STYLES, 2 * self.config().style_size])?;
            mixed.push((span, part / sum));
        }
        self.mixed = mixed;
        Ok(())
    }

    /// Reads a piece's phonemes and decides how long each lasts; returns its frames, of 25 ms. A piece of more than the model's `max_frames` cannot be
    /// run; one phoneme and the two around it always fit. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no phoneme or there are more than the model takes; [`GraphError::Plan`] if one is beyond the vocabulary, or the
    /// speed is not possible.
    pub fn begin(&mut self, phonemes: &[u32], speed: f32) -> Result<usize, GraphError> {
        if !(speed.is_finite() && speed > 0.0) {
            return Err(GraphError::Plan(format!("a speed of {speed}, not a number above 0")));
        }
        self.read(phonemes)?;
        let (most, isa) = (self.config().max_duration, self.session.isa());
        let wide = most.next_multiple_of(LANES);
        let values = &self.text.output::<f32>(2)?[..phonemes.len() * wide];
        let (mut durations, mut row) = (std::mem::take(&mut self.durations), [0.0; 64]);
        durations.clear();
        for values in values.chunks_exact(wide) {
            let row = &mut row[..most];
            row.copy_from_slice(&values[..most]);
            sigmoid_all(isa, row);
            let sum: f32 = row.iter().sum();
            let longest = self.config().longest() as f32;
            durations.push((sum / speed).round_ties_even().clamp(1.0, longest) as u32);
        }
        self.durations = durations;
        self.start()
    }

    /// As [`begin`](Self::begin), each phoneme lasting so many frames.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); [`GraphError::Size`] if there are not as many durations as phonemes, or one is 0 or above the model's `max_frames`.
    pub fn begin_with(&mut self, phonemes: &[u32], durations: &[u32]) -> Result<usize, GraphError> {
        let longest = self.config().max_frames as u32;
        let fits = durations.len() == phonemes.len() && durations.iter().all(|duration| (1..=longest).contains(duration));
        if !fits {
            return Err(GraphError::Size { what: "durations, one for each phoneme", have: durations.len(), most: phonemes.len() });
        }
        self.read(phonemes)?;
        self.durations.clear();
        self.durations.extend_from_slice(durations);
        self.start()
    }

    /// Frames that each phoneme lasts.
    pub fn durations(&self) -> &[u32] {
        &self.durations
    }

    /// Runs the text's part.
    fn read(&mut self, phonemes: &[u32]) -> Result<(), GraphError> {
        self.total = 0;
        let config = self.folder.config();
        let (have, most) = (phonemes.len(), config.max_tokens);
        if have < 1 || have > most {
            return Err(GraphError::Size { what: "phonemes, at least one", have, most });
        }
        if let Some(phoneme) = phonemes.iter().find(|&&phoneme| phoneme as usize >= config.vocab_size) {
            return Err(GraphError::Plan(format!("phoneme {phoneme} is beyond the vocabulary of {}", config.vocab_size)));
        }
        self.piece.set(0, have);
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("text", 0, have);
        }
        // The two around a piece do not count.
        let row = have.saturating_sub(3).min(STYLES - 1);
        self.style.fill(0.0);
        for (span, part) in &self.mixed {
            let styles = self.folder.weights().f32s(span);
            let own = &styles[row * self.style.len()..][..self.style.len()];
            self.style.iter_mut().zip(own).for_each(|(style, own)| *style += part * own);
        }
        self.text.attach(self.frames.detach());
        let ids = self.text.input_mut::<i32>(0)?;
        for (id, phoneme) in ids.iter_mut().zip(phonemes.iter().copied().chain(std::iter::repeat(0))) {
            // Below the vocabulary's size, 2^16 at most.
            *id = phoneme as i32;
        }
        self.text.input_mut::<f32>(1)?.copy_from_slice(&self.style[config.style_size..]);
        self.text.run()
    }

    /// Takes over what the text gave.
    fn start(&mut self) -> Result<usize, GraphError> {
        let (config, count) = (self.folder.config(), self.durations.len());
        let [prosody, sound] = [config.width + config.style_size, config.width];
        for (output, width, at) in [(0, prosody, 0), (1, sound, count * prosody)] {
            self.phonemes[at..at + count * width].copy_from_slice(&self.text.output::<f32>(output)?[..count * width]);
        }
        self.frames.attach(self.text.detach());
        self.total = self.durations.iter().map(|&duration| duration as usize).sum();
        Ok(self.total)
    }

    /// The samples of the piece, full scale at 1. Allocates nothing once it has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if none has begun, or it has more frames than the model takes; [`GraphError::Plan`] if a layer fails.
    pub fn run(&mut self) -> Result<&[f32], GraphError> {
        let (config, total) = (self.folder.config(), std::mem::take(&mut self.total));
        if total < 1 || total > config.max_frames {
            return Err(GraphError::Size { what: "frames, at least one", have: total, most: config.max_frames });
        }
        self.sequence.set(0, total);
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("frames", 0, total);
        }
        let (size, count) = (config.style_size, self.durations.len());
        let [prosody, sound] = [config.width + size, config.width];
        for (input, width, at) in [(0, prosody, 0), (1, sound, count * prosody)] {
            let rows = self.phonemes[at..].chunks_exact(width).zip(&self.durations);
            let rows = rows.flat_map(|(row, &duration)| std::iter::repeat_n(row, duration as usize));
            let out = self.frames.input_mut::<f32>(input)?;
            out.chunks_exact_mut(width).zip(rows).for_each(|(out, row)| out.copy_from_slice(row));
        }
        self.frames.input_mut::<f32>(2)?.copy_from_slice(&self.style[..size]);
        self.frames.input_mut::<f32>(3)?.copy_from_slice(&self.style[size..]);
        self.frames.run()?;
        Ok(&self.frames.output::<f32>(0)?[..total * config.frame_samples()])
    }

    /// What [`run`](Self::run) gave last.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if nothing has been computed.
    pub fn samples(&self) -> Result<&[f32], GraphError> {
        let total: usize = self.durations.iter().map(|&duration| duration as usize).sum();
        Ok(&self.frames.output::<f32>(0)?[..total * self.config().frame_samples()])
    }
}
