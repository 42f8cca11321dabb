//! `ossicle-sim diff`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ossicle_sim::diff::diff;
use ossicle_sim::report::{self, Sides};
use ossicle_trace::{Header, Trace};

use super::{DIFFERS, KeyArgs, RowArgs};
use crate::fault::Fault;

const EXAMPLES: &str = "\
Examples:
  ossicle-sim diff pi4.trace pi5.trace

Exit status: 0 identical, 1 differs, 2 bad usage or bad input.";

/// Two traces of the same recording.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    b: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    rows: RowArgs,
}

/// Compares two traces.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (a, b) = (args.key.read(&args.a, Trace::read)?, args.key.read(&args.b, Trace::read)?);
    if let Some((what, remedy)) = incomparable(&a.header, &b.header) {
        return Err(Fault::new(what, format!("{} and {}", args.a.display(), args.b.display()), remedy).into());
    }
    let mut out = std::io::stdout().lock();
    let found = diff(&a, &b);
    writeln!(out, "{}", if found.is_some() { "differs" } else { "identical" })?;
    writeln!(out, "  A: {}", report::run(&a.header))?;
    writeln!(out, "  B: {}", report::run(&b.header))?;
    match found {
        Some(finding) => {
            report::finding(&mut out, &a, &finding, Sides { traced: "A", here: "B" }, args.rows.rows)?;
            Ok(ExitCode::from(DIFFERS))
        }
        None => {
            let tensors = a.records.len().min(b.records.len());
            let end = if a.complete && b.complete { "" } else { ", as far as both go" };
            writeln!(out, "  {tensors} tensors agree in every bit{end}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Why two traces cannot be expected to agree, and what to do.
fn incomparable(a: &Header, b: &Header) -> Option<(String, &'static str)> {
    if a.pipeline != b.pipeline || a.numerics != b.numerics {
        let what = format!("{} by numerics {}, and {} by numerics {}", a.pipeline, a.numerics, b.pipeline, b.numerics);
        return Some((what, "trace both with the same version"));
    }
    if a.input.sha256 != b.input.sha256 && a.input.sha256.is_some() && b.input.sha256.is_some() {
        return Some((format!("two recordings, {} and {}", a.input.name, b.input.name), "trace the same recording on both machines"));
    }
    if a.beside.len() != b.beside.len() {
        let what = format!("{} and {} models beside {}", a.beside.len(), b.beside.len(), a.model.name);
        return Some((what, "use the same classes or event model on both machines"));
    }
    for (a, b) in std::iter::once((&a.model, &b.model)).chain(a.beside.iter().zip(&b.beside)) {
        if a.files != b.files {
            let differing = a.files.iter().find(|(name, sum)| b.files.get(*name) != Some(sum));
            let file = differing.map_or("their files", |(name, _)| name);
            return Some((format!("two models, {} and {}: {file} differs", a.name, b.name), "use the same model folder on both machines"));
        }
    }
    let (x, y) = (a.settings.as_object()?, b.settings.as_object()?);
    let key = x.keys().chain(y.keys()).find(|&key| x.get(key) != y.get(key))?;
    let show = |settings: Option<&serde_json::Value>| settings.map_or_else(|| "nothing".to_owned(), report::json);
    Some((format!("two settings of {key}: {} and {}", show(x.get(key)), show(y.get(key))), "use the same options on both machines"))
}
