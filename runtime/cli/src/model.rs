//! Loading a model for any command.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle_graph::folder::ModelFolder;
use ossicle_graph::whisper::{MemoryPlan, Options as GraphOptions, WhisperGraph};
use ossicle_kernels::simd::{Isa, IsaError};

use crate::fault::{self, Fault};
use crate::size;

/// Threads used unless told otherwise: more share the memory's bandwidth without gain.
const MOST_DEFAULT_THREADS: usize = 4;

/// Code, stacks, vocabulary, features and audio: 13.3 MB were measured beside tiny.en's network, on 19 minutes of opus.
const PROGRAM_BYTES: usize = 16_000_000;

/// Alignment of a window of text, one head of its cross-attention at a time: 2.1 MB were measured on the same recording.
const WORD_BYTES: usize = 4_000_000;

/// Mel frames that become one position of the encoder.
const FRAMES_PER_POSITION: usize = 2;

/// Which model, and what it may use.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// Model folder, or the name of one (see `ossicle models list`)
    #[arg(long, value_name = "NAME|FOLDER", default_value = "whisper-tiny.en")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Refuse to run if the plan needs more, for example 60MB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) memory: Option<u64>,
}

/// What of the machine to use.
#[derive(clap::Args)]
pub(crate) struct MachineArgs {
    /// Threads [default: the machine's, at most 4]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Instruction set: scalar, avx2 or avx512vnni [default: the best of this CPU]
    #[arg(long, value_name = "NAME", env = "OSSICLE_ISA", hide_env_values = true, value_parser = parse_isa)]
    pub(crate) isa: Option<Isa>,
}

fn parse_isa(name: &str) -> Result<Isa, String> {
    let list = |names: Vec<&str>| names.join(", ");
    Isa::from_name(name).map_err(|error| match error {
        IsaError::Unknown => format!("give one of {}", list(Isa::NAMES.to_vec())),
        IsaError::Unsupported => format!("this CPU lacks it and has {}", list(Isa::available().map(Isa::name).collect())),
    })
}

impl MachineArgs {
    /// The instruction set to use.
    pub(crate) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// The number of threads to use.
    pub(crate) fn threads(&self) -> usize {
        let available = || thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_DEFAULT_THREADS);
        self.threads.map_or_else(available, NonZeroUsize::get)
    }
}

impl ModelArgs {
    /// The model's folder.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        Ok(ossicle::models::find(&self.model).map_err(Fault::from)?)
    }

    /// What windows of up to `frames` mel frames need, if `--memory` allows that much.
    pub(crate) fn plan(&self, path: &Path, frames: usize, words: bool) -> Result<Plan> {
        let folder = ModelFolder::open(path).map_err(Fault::from)?;
        let positions = (frames / FRAMES_PER_POSITION).min(folder.config().max_source_positions);
        let options = GraphOptions { isa: self.machine.isa(), threads: self.machine.threads() };
        let plan = Plan { network: WhisperGraph::memory_plan(&folder, options, positions), words: if words { WORD_BYTES } else { 0 } };
        if let Some(allowed) = self.memory.filter(|&allowed| plan.total() as u64 > allowed) {
            let (needed, allowed) = (size::megabytes(plan.total()), size::megabytes(allowed as usize));
            let what = format!("the plan needs {needed}, more than --memory {allowed}");
            return Err(Fault::new(what, path.display(), plan.figures()).into());
        }
        Ok(plan)
    }

    /// The model, ready for windows of up to `frames` mel frames.
    pub(crate) fn open(&self, frames: usize, words: bool) -> Result<Transcriber> {
        let path = self.path()?;
        self.plan(&path, frames, words)?;
        let options = Options { isa: self.machine.isa(), threads: self.machine.threads() };
        Transcriber::open_folder(&path, options).map_err(|error| fault::opening(&path, error))
    }
}

/// Bytes that a transcription needs.
pub(crate) struct Plan {
    pub(crate) network: MemoryPlan,
    /// For word timestamps.
    pub(crate) words: usize,
}

impl Plan {
    /// All of it.
    pub(crate) fn total(&self) -> usize {
        self.network.total() + PROGRAM_BYTES + self.words
    }

    /// The parts.
    pub(crate) fn figures(&self) -> String {
        let Self { network, words } = self;
        let parts = [
            ("weights", network.weights),
            ("activations", network.slots),
            ("scratch", network.scratch),
            ("caches", network.kv_cache),
            ("program", PROGRAM_BYTES),
            ("words", *words),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|part| part.1 > 0).map(|&(name, bytes)| format!("{name} {}", size::megabytes(bytes))).collect();
        parts.join(", ")
    }
}
