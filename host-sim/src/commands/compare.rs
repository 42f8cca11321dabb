//! `ossicle-sim compare`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ossicle::whisper::options::TranscribeOptions;
use ossicle_kernels::simd::Isa;
use ossicle_sim::replay::{Verdict, record, replay};
use ossicle_sim::report::{self, Sides};
use ossicle_sim::subject::Subject;

use super::{DIFFERS, MachineArgs, RowArgs, names};
use crate::fault::Fault;

const EXAMPLES: &str = "\
Examples:
  ossicle-sim compare --input kitchen.wav
  ossicle-sim compare --input kitchen.wav --isa scalar,avx2 --threads 1

Exit status: 0 identical, 1 differs, 2 bad usage or bad input.";

/// What to run on several instruction sets.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A recording
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Model folder, or the name of one
    #[arg(long, value_name = "NAME|FOLDER", default_value = "whisper-tiny.en-short")]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    rows: RowArgs,
}

/// Runs the first instruction set, and compares the others with it until one differs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let isas = args.machine.isas()?;
    let isas = if isas.is_empty() { Isa::available().collect() } else { isas };
    let [first, others @ ..] = &isas[..] else { return Err(Fault::line("no instruction set").into()) };
    if others.is_empty() {
        return Err(Fault::new("nothing to compare with", format!("--isa {first}"), "give two or more, such as --isa scalar,avx2").into());
    }
    let threads = args.machine.threads();
    let subject = Subject::new(&args.input, &args.model, &TranscribeOptions::default()).map_err(|error| Fault::line(&error))?;
    let trace = record(&subject, *first, threads).map_err(|error| Fault::line(&error))?;
    let mut out = std::io::stdout().lock();
    for isa in others {
        if let Verdict::Differs { finding, .. } = replay(&trace, &subject, *isa, threads)? {
            writeln!(out, "{isa} differs from {first}")?;
            report::finding(&mut out, &trace, &finding, Sides { traced: first.name(), here: isa.name() }, args.rows.rows)?;
            return Ok(ExitCode::from(DIFFERS));
        }
    }
    writeln!(out, "identical")?;
    writeln!(out, "  {} tensors in {} steps agree in every bit on {}", trace.records.len(), trace.steps.len(), names(&isas))?;
    Ok(ExitCode::SUCCESS)
}
