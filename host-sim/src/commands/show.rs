//! `ossicle-sim show`.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ossicle_sim::report;
use ossicle_trace::{Owned, Pattern, Trace};

use super::KeyArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle-sim show kitchen.trace
  ossicle-sim show kitchen.trace --only 'decoder.layers.0.*'
  ossicle-sim show sounds.trace --only audiogen.codes --values";

/// What to list.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A trace
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Only tensors of this name; * stands for any characters
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    only: String,
    /// Print values too, of the tensors whose values the trace has
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    key: KeyArgs,
}

/// Lists a trace's header, steps and tensors.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let trace = args.key.read(&args.trace, if args.values { Trace::read } else { Trace::read_digests })?;
    let only = Pattern::new(&args.only);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let header = &trace.header;
    writeln!(out, "run       {}", report::run(header))?;
    writeln!(out, "pipeline  {} by numerics version {}", header.pipeline, header.numerics)?;
    writeln!(out, "input     {} {}", header.input.name, header.input.sha256.as_deref().unwrap_or("(a stream)"))?;
    for (what, model) in std::iter::once(("model", &header.model)).chain(header.beside.iter().map(|model| ("beside", model))) {
        for (name, sum) in &model.files {
            writeln!(out, "{what:<9} {}/{name} {sum}", model.name)?;
        }
    }
    writeln!(out, "settings  {}", report::json(&header.settings))?;
    let mut steps = trace.steps.iter().peekable();
    for (index, record) in trace.records.iter().enumerate() {
        while let Some(step) = steps.next_if(|step| step.first <= index) {
            writeln!(out, "step      {} at {} of {}", step.stage, step.at, step.count)?;
        }
        let descriptor = trace.descriptor(record);
        if only.matches(&descriptor.op, &descriptor.part) {
            let values = if record.has_values { " with values" } else { "" };
            writeln!(out, "{index:>9} {:016x} {descriptor}{values}", record.digest)?;
            if let Some(values) = &record.values {
                list(&mut out, values)?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Values in one line, in the shortest form that reads back as the same.
fn list(out: &mut impl Write, values: &Owned) -> std::io::Result<()> {
    match values {
        Owned::F32(values) => row(out, values),
        Owned::I8(values) => row(out, values),
        Owned::I32(values) => row(out, values),
        Owned::U32(values) => row(out, values),
    }
}

fn row(out: &mut impl Write, values: &[impl std::fmt::Display]) -> std::io::Result<()> {
    write!(out, "{:>9}", "values")?;
    for value in values {
        write!(out, " {value}")?;
    }
    writeln!(out)
}
