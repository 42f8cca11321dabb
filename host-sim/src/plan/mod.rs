//! What a model will need on a board, before anything is deployed: memory, and the time of each phase.
//!
//! The work of each phase is what the model's family says ([`ossicle::families`]), its costs are those of the board's core
//! ([`ossicle_boards::cost`]), and where a phase reads more weights than the caches hold, memory's bandwidth sets a floor. docs/boards.md
//! says how far such predictions were off where they could be checked.

pub mod calibrate;
mod report;

use std::path::Path;

use ossicle::families::{self, FamilyError, Job, Needs, Options, Phase, Workload};
use ossicle_boards::cost::{self, Costs, Units};
use ossicle_boards::profile::Profile;
use ossicle_kernels::simd::Isa;
use ossicle_models::Units as Counted;

pub use report::{json, table};

/// Code and libraries of a packaged, statically linked program: 15 MB, and room.
const PROGRAM_BYTES: usize = 18_000_000;

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
    /// The model's kind.
    pub kind: &'static str,
    /// What was asked for.
    pub job: Job,
    /// Threads.
    pub threads: usize,
    /// Costs it rests on.
    pub costs: Costs,
    /// Peak memory.
    pub memory: Needs,
    /// What the board allows, in bytes.
    pub budget: u64,
    /// How long one run of each phase takes.
    pub times: Vec<Time>,
}

impl Plan {
    /// Predicts for the model in the folder `model` on a board.
    ///
    /// # Errors
    /// If the model cannot be used, does not take the workload, or no costs are known for the board's core. The message needs no context.
    pub fn new(model: &Path, profile: &Profile, workload: &Workload, threads: usize) -> Result<Self, PlanError> {
        let costs = cost::costs(profile).map_err(PlanError::Board)?;
        let (family, _) = families::of(model).map_err(PlanError::Model)?;
        // The instruction set changes nothing that is planned, and threads nothing that is computed.
        let options = Options { isa: Isa::detect(), threads };
        let memory = family.memory(model, options, workload).map_err(PlanError::Model)?.with_program(PROGRAM_BYTES);
        let job = family.job(model, Options { threads: 1, ..options }, workload).map_err(PlanError::Model)?;
        let times = job.phases.iter().map(|phase| predict(phase, profile, &costs, threads)).collect();
        Ok(Self { kind: family.kind(), threads, memory, budget: profile.budget_bytes(), times, job, costs })
    }

    /// Phases and how long one run of each takes.
    pub fn phases(&self) -> impl Iterator<Item = (&Phase, Time)> {
        self.job.phases.iter().zip(self.times.iter().copied())
    }

    /// Milliseconds for all runs of all phases.
    pub fn whole_ms(&self) -> f64 {
        self.phases().map(|(phase, time)| time.ms * phase.runs).sum()
    }

    /// Seconds of work for a second of sound, if it is sound.
    pub fn real_time_factor(&self) -> Option<f64> {
        self.job.seconds.map(|seconds| self.whole_ms() / 1e3 / seconds)
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
    Model(FamilyError),
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
fn predict(phase: &Phase, profile: &Profile, costs: &Costs, threads: usize) -> Time {
    let shared = units(phase.work.shared);
    let alone = Units { frame: phase.frames, logit: phase.logits, ..units(phase.work.alone) };
    let milliseconds = |cycles: f64| cycles / (f64::from(profile.cpu.clock_mhz) * 1e3);
    let threads = threads.clamp(1, profile.cpu.cores) as f64;
    let scaling = SERIAL_SHARE * (1.0 - 1.0 / threads) + 1.0 / threads;
    let arithmetic = milliseconds(shared.dot(&costs.cycles)) * scaling;
    let one = costs.gb_per_s(phase.work.bytes);
    let rate = (one * threads).min(profile.memory.bus_gb_per_s * BUS_SHARE).max(one);
    let memory = phase.work.bytes / rate / 1e6;
    let one_thread = milliseconds(alone.dot(&costs.cycles));
    Time {
        ms: arithmetic.max(memory) + one_thread,
        bandwidth: memory > arithmetic.max(one_thread),
        instructions: costs.instructions.map(|instructions| shared.plus(&alone).dot(&instructions)),
    }
}

/// The engine's units as those whose costs boards know.
fn units(units: Counted) -> Units {
    Units {
        mac: units.mac,
        store: units.store,
        gelu: units.gelu,
        vector_mac: units.vector_mac,
        float_mac: units.float_mac,
        filter_mac: units.filter_mac,
        quantize: units.quantize,
        normalize: units.normalize,
        head: units.head,
        pack: units.pack,
        score: units.score,
        vector_score: units.vector_score,
        causal_score: units.causal_score,
        ..Units::default()
    }
}
