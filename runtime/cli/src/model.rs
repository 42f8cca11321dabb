//! Loading a model for any command.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ossicle::whisper::memory::{Memory, Request, program_bytes};
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle_boards::catalog;
use ossicle_kernels::simd::{Isa, IsaError};
use ossicle_models::folder::{self, ModelFolder};
use ossicle_models::whisper::Options as GraphOptions;
use ossicle_models::{MAX_THREADS, default_threads};

use crate::fault::{self, Fault};
use crate::size;

/// Hears as OpenAI's tiny.en does, in windows as short as the speech.
const DEFAULT_MODEL: &str = "whisper-tiny.en-short";

/// Which model, and what it may use.
#[derive(Clone, clap::Args)]
pub(crate) struct ModelArgs {
    /// Model folder, or the name of one (see `ossicle models list`) [default: whisper-tiny.en-short]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// How much memory may be used.
#[derive(Clone, clap::Args)]
pub(crate) struct BudgetArgs {
    /// Refuse to run if the plan needs more, for example 90MB
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    memory: Option<u64>,
    /// Refuse to run if the plan needs more than this board's budget (see `ossicle board list`)
    #[arg(long, value_name = "NAME|FILE.toml")]
    board: Option<String>,
}

impl BudgetArgs {
    /// What sets a limit, and the limit in bytes.
    pub(crate) fn limits(&self) -> Result<Vec<(String, u64)>> {
        let mut limits: Vec<_> = self.memory.map(|allowed| ("--memory".to_owned(), allowed)).into_iter().collect();
        if let Some(name) = &self.board {
            let board = catalog::find(name).map_err(Fault::line)?;
            limits.push((format!("the budget of --board {name},"), board.budget_bytes()));
        }
        Ok(limits)
    }
}

/// What of the machine to use.
#[derive(Clone, clap::Args)]
pub(crate) struct MachineArgs {
    /// Threads, 8 at most [default: the machine's, at most 4]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Instruction set: scalar, avx2 or avx512vnni; on ARM scalar, neon, dotprod or i8mm [default: the best of this CPU]
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

    /// The number of threads that will run.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(default_threads, NonZeroUsize::get).min(MAX_THREADS)
    }

    /// Both, as graphs take them.
    pub(crate) fn graph_options(&self) -> GraphOptions {
        GraphOptions { isa: self.isa(), threads: self.threads() }
    }
}

impl ModelArgs {
    /// The model's folder.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        Ok(ossicle::models::find(self.model.as_deref().unwrap_or(DEFAULT_MODEL)).map_err(fault::model)?)
    }

    /// What sets a limit, and the limit in bytes.
    pub(crate) fn limits(&self) -> Result<Vec<(String, u64)>> {
        self.budget.limits()
    }

    /// Checks every file and every weight, which reads all of them: what a service does once, when it starts.
    pub(crate) fn verify(&self) -> Result<()> {
        Ok(folder::verify(&self.path()?).map_err(fault::folder)?)
    }

    /// What windows of up to `frames` mel frames need, if `--memory` and `--board` allow that much.
    pub(crate) fn plan(&self, path: &Path, frames: usize, words: bool) -> Result<Memory> {
        self.plan_for(path, frames, words, false, 0)
    }

    fn plan_for(&self, path: &Path, frames: usize, words: bool, lanes: bool, others: usize) -> Result<Memory> {
        let folder = ModelFolder::open(path).map_err(fault::folder)?;
        let options = self.machine.graph_options();
        let request = Request { options, frames, words, lanes, others, program: program_bytes() };
        let plan = Memory::plan(&folder, request).map_err(|error| fault::graph(path, error))?;
        self.allow(path, plan.total(), || figures(&plan.parts()))?;
        Ok(plan)
    }

    /// Refuses a model whose plan needs `total` bytes if `--memory` or `--board` allow less; `parts` says what they are.
    pub(crate) fn allow(&self, path: &Path, total: usize, parts: impl Fn() -> String) -> Result<()> {
        for (limit, allowed) in self.budget.limits()? {
            if total as u64 > allowed {
                let (needed, allowed) = (size::megabytes(total as u64), size::megabytes(allowed));
                let what = format!("the plan needs {needed}, more than {limit} {allowed}");
                return Err(Fault::new(what, path.display(), parts()).into());
            }
        }
        Ok(())
    }

    /// The model, ready for windows of up to `frames` mel frames, and what it was planned to need.
    pub(crate) fn open(&self, frames: usize, words: bool) -> Result<(Transcriber, Memory)> {
        self.open_beside(frames, words, 0)
    }

    /// The same, beside others in this process that need so many bytes.
    pub(crate) fn open_beside(&self, frames: usize, words: bool, others: usize) -> Result<(Transcriber, Memory)> {
        let path = self.path()?;
        let plan = self.plan_for(&path, frames, words, false, others)?;
        Ok((self.load(&path)?, plan))
    }

    /// The model, ready for commands in windows of up to `frames` mel frames, beside others in this process that need so many bytes.
    pub(crate) fn open_for_commands(&self, frames: usize, words: bool, others: usize) -> Result<Transcriber> {
        let path = self.path()?;
        self.plan_for(&path, frames, words, true, others)?;
        self.load(&path)
    }

    /// The model several times, ready for windows of up to `frames` mel frames: `count` times, or as often as memory allows up to `most`; beside
    /// others in this process that need so many bytes.
    pub(crate) fn open_several(
        &self,
        frames: usize,
        words: bool,
        lanes: bool,
        count: Option<usize>,
        most: usize,
        others: usize,
    ) -> Result<Vec<Transcriber>> {
        let path = self.path()?;
        let alone = self.plan_for(&path, frames, words, lanes, 0)?;
        // They share the weights and the program.
        let more = alone.total() - alone.network.weights - alone.program;
        let plan = |count: usize| self.plan_for(&path, frames, words, lanes, others + (count - 1) * more);
        let count = match count {
            Some(count) => plan(count).map(|_| count)?,
            None => (1..=most).rev().find(|&count| plan(count).is_ok()).unwrap_or(1),
        };
        Transcriber::open_several(&path, self.options(), count).map_err(|error| fault::opening(&path, error))
    }

    fn load(&self, path: &Path) -> Result<Transcriber> {
        Transcriber::open_folder(path, self.options()).map_err(|error| fault::opening(path, error))
    }

    fn options(&self) -> Options {
        Options { isa: self.machine.isa(), threads: self.machine.threads() }
    }
}

/// Most memory that was resident at once so far, in bytes; `None` where the system does not tell.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The parts of a plan.
pub(crate) fn figures(parts: &[(&'static str, usize)]) -> String {
    let parts = parts.iter().filter(|part| part.1 > 0);
    let parts: Vec<_> = parts.map(|&(name, bytes)| format!("{name} {}", size::megabytes(bytes as u64))).collect();
    parts.join(", ")
}
