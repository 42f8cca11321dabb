//! The commands, and what several of them need.

pub(crate) mod compare;
pub(crate) mod diff;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod show;
pub(crate) mod verify;

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ossicle_kernels::simd::{Isa, IsaError};
use ossicle_models::{MAX_THREADS, default_threads};
use ossicle_trace::{Key, Trace, TraceError};

use crate::fault::{Fault, complain};

/// The exit status of two runs that differ.
pub(crate) const DIFFERS: u8 = 1;

/// How to read traces.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// The key that the trace was made with (ossicle transcribe --trace-key)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl KeyArgs {
    pub(crate) fn key(&self) -> Result<Option<Key>, Fault> {
        let Some(path) = &self.key else { return Ok(None) };
        let bytes =
            fs::read(path).map_err(|error| Fault::new(format!("cannot read the key: {error}"), path.display(), "name a readable file"))?;
        Ok(Some(Key::new(bytes).map_err(|error| Fault::new(error, path.display(), "give the file that the trace was made with"))?))
    }

    /// Reads a trace, with its values or without; says on stderr what about it is not as it should be.
    pub(crate) fn read(&self, path: &Path, read: fn(File, Option<&Key>) -> Result<Trace, TraceError>) -> Result<Trace, Fault> {
        let file = open(path)?;
        let trace = read(file, self.key()?.as_ref()).map_err(|error| unreadable(path, &error))?;
        if !trace.complete {
            complain(&format!("{}: ends early, after {} tensors: the run broke off", path.display(), trace.records.len()));
        }
        if !trace.checked {
            complain(&format!("{}: not checked: it was made with a key: give it with --key", path.display()));
        }
        Ok(trace)
    }
}

pub(crate) fn open(path: &Path) -> Result<File, Fault> {
    let file = File::open(path).map_err(|error| Fault::new(format!("cannot read the trace: {error}"), path.display(), "name a trace"))?;
    if path.is_dir() {
        return Err(Fault::new("a folder, not a trace", path.display(), "name a file that ossicle transcribe --trace wrote"));
    }
    Ok(file)
}

/// A trace that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &TraceError) -> Fault {
    let remedy = match error {
        TraceError::Version { .. } => "use the version that wrote it",
        TraceError::Altered { .. } => "fetch the trace again from where it was made",
        TraceError::NotKeyed => "leave --key out, or fetch a trace made with --trace-key",
        _ => "give a file that ossicle transcribe --trace wrote",
    };
    Fault::new(error, path.display(), remedy)
}

/// Where to run.
#[derive(clap::Args)]
pub(crate) struct MachineArgs {
    /// Instruction sets, separated by commas, or all that this CPU has
    #[arg(long, value_name = "NAME|all", value_delimiter = ',')]
    isa: Vec<String>,
    /// Threads, 8 at most [default: the machine's, at most 4]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl MachineArgs {
    /// The instruction sets asked for; none if nothing was.
    pub(crate) fn isas(&self) -> Result<Vec<Isa>, Fault> {
        let mut isas = vec![];
        for name in &self.isa {
            if name == "all" {
                isas.extend(Isa::available());
                continue;
            }
            let list = |names: Vec<&str>| names.join(", ");
            isas.push(Isa::from_name(name).map_err(|error| match error {
                IsaError::Unknown => Fault::new("no such instruction set", name, format!("give one of {}", list(Isa::NAMES.to_vec()))),
                IsaError::Unsupported => {
                    Fault::new("this CPU lacks it", name, format!("it has {}", list(Isa::available().map(Isa::name).collect())))
                }
            })?);
        }
        Ok(isas)
    }

    /// The number of threads that will run.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(default_threads, NonZeroUsize::get).min(MAX_THREADS)
    }
}

/// How much to print.
#[derive(clap::Args)]
pub(crate) struct RowArgs {
    /// Tensors shown from the first that differs on
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) rows: usize,
}

/// The names of several instruction sets.
pub(crate) fn names(isas: &[Isa]) -> String {
    isas.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}
