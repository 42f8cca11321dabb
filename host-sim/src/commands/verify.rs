//! `ossicle-sim verify`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ossicle_trace::{Event, Key, Reader, TraceError};

use super::{DIFFERS, KeyArgs, open, unreadable};

const EXAMPLES: &str = "\
Examples:
  ossicle-sim verify kitchen.trace
  ossicle-sim verify --key board.key kitchen.trace

Exit status: 0 as it was written, 1 altered, damaged or ends early, 2 bad usage or no trace.";

/// What to check.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A trace
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

/// Checks every checksum of a trace.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let key = args.key.key()?;
    let file = open(&args.trace)?;
    let mut out = std::io::stdout().lock();
    let checked = match check(file, key.as_ref()) {
        Ok(checked) => checked,
        Err(error @ (TraceError::Altered { .. } | TraceError::Malformed { .. } | TraceError::Header(_) | TraceError::NoHeader)) => {
            writeln!(out, "{error}")?;
            return Ok(ExitCode::from(DIFFERS));
        }
        Err(error) => return Err(unreadable(&args.trace, &error).into()),
    };
    let Checked { tensors, steps, end } = checked;
    let (line, status) = match end {
        End::NotChecked => {
            (format!("readable, {tensors} tensors in {steps} steps, but not checked: made with a key, give it with --key"), DIFFERS)
        }
        End::Early => (format!("ends early, after {tensors} tensors in {steps} steps, which are as they were written"), DIFFERS),
        End::Keyed => (format!("intact, {tensors} tensors in {steps} steps; the key's owner wrote it"), 0),
        End::Plain => (format!("intact, {tensors} tensors in {steps} steps; made without a key: this shows damage, not forgery"), 0),
    };
    writeln!(out, "{line}")?;
    Ok(ExitCode::from(status))
}

/// What checksums vouch for.
struct Checked {
    tensors: u64,
    steps: u64,
    end: End,
}

enum End {
    NotChecked,
    Early,
    Keyed,
    Plain,
}

/// Reads a trace to its end, keeping nothing.
fn check(file: File, key: Option<&Key>) -> Result<Checked, TraceError> {
    let mut reader = Reader::new(file, key)?;
    let (mut tensors, mut steps) = (0, 0);
    let (mut checked_tensors, mut checked_steps) = (0, 0);
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Step { .. } => steps += 1,
            Event::Tensor { .. } => tensors += 1,
            Event::Values(_) => {}
            Event::Check | Event::End => (checked_tensors, checked_steps) = (tensors, steps),
        }
    }
    let end = match (reader.checked(), reader.complete()) {
        (false, _) => End::NotChecked,
        (true, false) => End::Early,
        (true, true) if reader.header().keyed => End::Keyed,
        (true, true) => End::Plain,
    };
    Ok(Checked { tensors: checked_tensors, steps: checked_steps, end })
}
