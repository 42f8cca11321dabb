//! `ossicle-sim replay`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use ossicle::trace::PROGRAM;
use ossicle_kernels::simd::Isa;
use ossicle_sim::finding::Finding;
use ossicle_sim::replay::{ValuesFrom, Verdict, replay};
use ossicle_sim::report::{self, Sides};
use ossicle_sim::subject::Subject;
use ossicle_trace::Trace;

use super::{DIFFERS, KeyArgs, MachineArgs, RowArgs, names};
use crate::fault::{Fault, complain};

const EXAMPLES: &str = "\
Examples:
  ossicle-sim replay kitchen.trace --input kitchen.wav
  ossicle-sim replay kitchen.trace --input kitchen.wav --isa all
  ossicle-sim replay garden.trace --input garden.flac --beside my-sounds
  ossicle-sim replay pi.trace --input kitchen.wav --isa scalar --threads 1 --rows 40

Exit status: 0 identical, 1 differs, 2 bad usage or bad input.";

/// What to repeat, and where.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A trace that ossicle transcribe, detect, classify, embed or speak wrote
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The recording it is of
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The model it was made with [default: the one of the traced name]
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Option<String>,
    /// A model that ran beside it: classes of one's own or what hears events, in the trace's order [default: those of the traced names]
    #[arg(long, value_name = "NAME|FOLDER")]
    beside: Vec<String>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    rows: RowArgs,
}

/// Repeats the run on each instruction set until one differs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let isas = args.machine.isas()?;
    let isas = if isas.is_empty() { vec![Isa::detect()] } else { isas };
    let threads = args.machine.threads();
    let trace = Arc::new(args.key.read(&args.trace, Trace::read)?);
    let subject = Subject::of(&trace.header, &args.input, args.model.as_deref(), &args.beside).map_err(|error| Fault::line(&error))?;
    if trace.header.input.sha256.is_none() {
        complain("the trace names no digest of its input, which was a stream: whether this is the same shows in its first tensor, audio");
    }
    if trace.header.program != PROGRAM {
        complain(&format!("the trace was written by {}, this is {PROGRAM}: operators may have other names", trace.header.program));
    }
    let mut out = std::io::stdout().lock();
    for (done, &isa) in isas.iter().enumerate() {
        match replay(&trace, &subject, isa, threads)? {
            Verdict::Identical { tensors, steps } if done + 1 == isas.len() => {
                let end = if trace.complete { "" } else { " (the trace ends early: as far as it goes)" };
                writeln!(out, "identical{end}")?;
                writeln!(out, "  {tensors} tensors in {steps} steps agree in every bit")?;
            }
            Verdict::Identical { .. } => {}
            Verdict::Differs { finding, values } => {
                writeln!(out, "differs on {isa}")?;
                heads(&mut out, &trace, &names(&isas[..=done]), threads)?;
                report::finding(&mut out, &trace, &finding, Sides { traced: "traced", here: isa.name() }, args.rows.rows)?;
                advise(&mut out, &trace, &finding, values, isa)?;
                return Ok(ExitCode::from(DIFFERS));
            }
        }
    }
    heads(&mut out, &trace, &names(&isas), threads)?;
    Ok(ExitCode::SUCCESS)
}

fn heads(out: &mut dyn Write, trace: &Trace, isas: &str, threads: usize) -> Result<()> {
    writeln!(out, "  traced: {}", report::run(&trace.header))?;
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    writeln!(out, "  here:   {PROGRAM} on {isas}, {threads}; {}", ossicle_trace::Machine::this())?;
    Ok(())
}

/// Which side is at fault, as far as can be said, and how to know more.
fn advise(out: &mut dyn Write, trace: &Trace, finding: &Finding, values: ValuesFrom, here: Isa) -> Result<()> {
    let Some(first) = finding.name() else {
        writeln!(out, "the two runs are not of the same program or settings; all tensors before are equal")?;
        return Ok(());
    };
    let traced = &trace.header.isa;
    match values {
        ValuesFrom::Trace => writeln!(out, "the traced values are those in the trace")?,
        ValuesFrom::Repeated => {
            writeln!(out, "{traced} gives the traced values on this machine too, so the kernels of {traced} and {here} differ")?;
            writeln!(out, "  run: cargo test --release -p ossicle-kernels")?;
        }
        ValuesFrom::NotRepeated => {
            writeln!(out, "{traced} does not give the traced values on this machine: the traced machine or its program is at fault")?;
            ask(out, trace, &first)?;
        }
        ValuesFrom::NotHere => {
            writeln!(out, "this machine lacks {traced}, so the traced values are not known")?;
            ask(out, trace, &first)?;
        }
    }
    Ok(())
}

/// Pipelines have the names of their commands.
fn ask(out: &mut dyn Write, trace: &Trace, first: &str) -> Result<()> {
    let command = &trace.header.pipeline;
    writeln!(out, "  for its values, run there: ossicle {command} --trace FILE --trace-values '{first}' ..., and replay that trace")?;
    Ok(())
}
