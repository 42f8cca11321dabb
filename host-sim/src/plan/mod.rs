//! What a model will need on a board, before anything is deployed: memory, and the time of each phase.
//!
//! The work of each phase is what the layers of its graph say ([`work`]), its costs are those of the board's core
//! ([`ossicle_boards::cost`]), and where a phase reads more weights than the caches hold, memory's bandwidth sets a floor. docs/boards.md
//! says how far such predictions were off where they could be checked.

pub mod calibrate;
mod report;
pub mod work;

use std::sync::Arc;

use ossicle::whisper::memory::{Memory, Request};
use ossicle_boards::cost::{self, Costs};
use ossicle_boards::profile::Profile;
use ossicle_kernels::simd::Isa;
use ossicle_models::GraphError;
use ossicle_models::folder::{ModelFolder, WhisperConfig};
use ossicle_models::whisper::Options;

pub use report::{json, table};
pub use work::{Phase, Shape};

/// Code and libraries of a packaged, statically linked program: 15 MB, and room.
const PROGRAM_BYTES: usize = 18_000_000;

/// A window that goes wrong is encoded again in the next size, up to the longest: memory is planned for that.
const LONGEST_FRAMES: usize = 3000;

/// The share of the encoder's time that does not shrink with threads: joining them, and what they wait for.
const SERIAL_SHARE: f64 = 0.04;

/// Of the bus, what all cores together reach.
const BUS_SHARE: f64 = 0.7;

/// A phase's predicted time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Milliseconds.
    pub ms: f64,
    /// Whether memory and not arithmetic sets it.
    pub bandwidth: bool,
    /// Instructions executed on one thread, where the prediction rests on those.
    pub instructions: Option<f64>,
}

/// A prediction.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub shape: Shape,
    /// Threads.
    pub threads: usize,
    /// Costs it rests on.
    pub costs: Costs,
    /// Peak memory.
    pub memory: Memory,
    /// What the board allows, in bytes.
    pub budget: u64,
    /// Log-mel features of the audible part.
    pub mel: Time,
    /// One run of the encoder, the decoder's cross-attention keys and values included.
    pub encoder: Time,
    /// The prompt.
    pub prefill: Time,
    /// A token in the middle of the text, choosing it included.
    pub token: Time,
}

impl Plan {
    /// Predicts for `shape` with a model on a board.
    ///
    /// # Errors
    /// If the model's texts cannot be read or there are no costs for the board's core; the message is whole.
    pub fn new(
        folder: &Arc<ModelFolder<WhisperConfig>>,
        profile: &Profile,
        shape: Shape,
        threads: usize,
        words: bool,
    ) -> Result<Self, PlanError> {
        let costs = cost::costs(profile).map_err(PlanError::Board)?;
        // The instruction set changes nothing that is planned.
        let options = Options { isa: Isa::detect(), threads };
        let request = Request { options, frames: LONGEST_FRAMES, words, lanes: false, others: 0, program: PROGRAM_BYTES };
        let memory = Memory::plan(folder, request).map_err(PlanError::Model)?;
        let time = |phase: Phase| {
            let work = work::of(folder, phase, &shape).map_err(PlanError::Model)?;
            Ok::<_, PlanError>(predict(&work, profile, &costs, threads))
        };
        Ok(Self {
            threads,
            memory,
            budget: profile.budget_bytes(),
            mel: time(Phase::Mel)?,
            encoder: time(Phase::Encoder)?,
            prefill: time(Phase::Prefill)?,
            token: time(Phase::Token)?,
            shape,
            costs,
        })
    }

    /// Milliseconds for the whole recording, which fits one window.
    pub fn whole_ms(&self) -> f64 {
        self.mel.ms + self.encoder.ms + self.prefill.ms + self.token.ms * self.shape.tokens as f64
    }

    /// Seconds of work for a second of audio.
    pub fn real_time_factor(&self) -> f64 {
        self.whole_ms() / 1e3 / self.shape.seconds
    }

    /// Whether the memory fits the budget.
    pub fn fits(&self) -> bool {
        self.memory.total() as u64 <= self.budget
    }
}

/// Why there is no prediction.
#[derive(Debug)]
pub enum PlanError {
    /// The board has no costs.
    Board(ossicle_boards::BoardError),
    /// The model cannot be used.
    Model(GraphError),
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Board(error) => error.fmt(f),
            Self::Model(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PlanError {}

/// Products of weights wait for arithmetic or for memory, whichever is slower; what has no weights comes on top.
fn predict(work: &work::Work, profile: &Profile, costs: &Costs, threads: usize) -> Time {
    let milliseconds = |cycles: f64| cycles / (f64::from(profile.cpu.clock_mhz) * 1e3);
    let threads = threads.clamp(1, profile.cpu.cores) as f64;
    let scaling = SERIAL_SHARE * (1.0 - 1.0 / threads) + 1.0 / threads;
    let arithmetic = milliseconds(work.shared.dot(&costs.cycles)) * scaling;
    let one = costs.gb_per_s(work.bytes);
    let rate = (one * threads).min(profile.memory.bus_gb_per_s * BUS_SHARE).max(one);
    let memory = work.bytes / rate / 1e6;
    Time {
        ms: arithmetic.max(memory) + milliseconds(work.alone.dot(&costs.cycles)),
        bandwidth: memory > arithmetic,
        instructions: costs.instructions.map(|instructions| work.shared.plus(&work.alone).dot(&instructions)),
    }
}
