//! `ossicle-sim verify`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ossicle_trace::{Trace, TraceError};

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
    let mut out = std::io::stdout().lock();
    let trace = match Trace::read(open(&args.trace)?, key.as_ref()) {
        Ok(trace) => trace,
        Err(error @ (TraceError::Altered { .. } | TraceError::Malformed { .. })) => {
            writeln!(out, "{error}")?;
            return Ok(ExitCode::from(DIFFERS));
        }
        Err(error) => return Err(unreadable(&args.trace, &error).into()),
    };
    let (tensors, steps) = (trace.records.len(), trace.steps.len());
    if !trace.checked {
        writeln!(out, "readable, {tensors} tensors in {steps} steps, but not checked: made with a key, give it with --key")?;
        return Ok(ExitCode::from(DIFFERS));
    }
    if !trace.complete {
        writeln!(out, "ends early, after {tensors} tensors in {steps} steps, which are as they were written")?;
        return Ok(ExitCode::from(DIFFERS));
    }
    let by = if trace.header.keyed { "the key's owner wrote it" } else { "made without a key: this shows damage, not forgery" };
    writeln!(out, "intact, {tensors} tensors in {steps} steps; {by}")?;
    Ok(ExitCode::SUCCESS)
}
