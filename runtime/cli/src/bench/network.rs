//! `ossicle bench network`: a graph of a model of any kind.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use ossicle::families::{self, Exercise, FamilyError};
use ossicle_models::Work;
use ossicle_trace::{Step, Tap, Tensor};
use serde_json::json;

use super::clock::{Clock, min_and_median, peak_rss_mb, rounded};
use crate::fault;
use crate::model::MachineArgs;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder, or the name of one
    #[arg(value_name = "NAME|FOLDER")]
    folder: String,
    /// Which of the model's graphs: encoder or token of a Whisper, image or text of a CLIP, decoder or encoder of a codec [default: the first]
    #[arg(long, value_name = "NAME", alias = "tower")]
    graph: Option<String>,
    /// Tokens of the text that a graph reads [default: as many as it takes; of a Whisper or an AudioGen 16]
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Runs that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: usize,
    /// Then as many runs for the time of each layer, with the copy of its output that a listener gets
    #[arg(long)]
    layers: bool,
    /// One JSON object, schema ossicle.bench.network/1; times in milliseconds
    #[arg(long)]
    json: bool,
    /// Print {"load": ms}, then one JSON line with the least time of N runs, and their mean on processors, for every line N on stdin, so
    /// that rounds can alternate with other programs
    #[arg(long, conflicts_with_all = ["json", "rounds", "layers"])]
    serve: bool,
}

/// The graph that is asked for, and its name.
fn open(path: &Path, args: &Args) -> Result<(&'static str, Box<dyn Exercise>), FamilyError> {
    let (family, _) = families::of(path)?;
    let graphs = family.graphs();
    let name = match &args.graph {
        Some(wanted) => graphs.iter().find(|name| *name == wanted),
        None => graphs.first(),
    };
    let wanted = || args.graph.clone().unwrap_or_default();
    let &name = name.ok_or_else(|| FamilyError::Unknown { graph: wanted(), graphs })?;
    Ok((name, family.exercise(path, name, args.machine.graph_options(), args.tokens)?))
}

struct Bench {
    exercise: Box<dyn Exercise>,
    clock: Clock,
}

impl Bench {
    /// Milliseconds.
    fn round(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.exercise.run()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn rounds(&mut self, count: usize) -> Result<Vec<f64>> {
        (0..count).map(|_| self.round()).collect()
    }
}

/// Notes when each tensor was computed.
#[derive(Debug)]
struct Layers {
    start: Instant,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// When the last tensor, or the step, was handed out.
    last: f64,
    /// Tensors of this step so far.
    seen: usize,
    /// The step's kind: its place in `layers`.
    step: usize,
    /// Of each kind of step its layers.
    layers: Vec<(String, Vec<Timed>)>,
}

/// A layer and how long it took in each run.
#[derive(Debug)]
struct Timed {
    name: String,
    kernel: String,
    /// In this run so far, in one step or several.
    run: f64,
    times: Vec<f64>,
}

impl Layers {
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }
}

impl Tap for Layers {
    fn step(&self, step: Step<'_>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = notes.layers.iter().position(|(name, _)| name == step.stage);
        notes.step = known.unwrap_or(notes.layers.len());
        if known.is_none() {
            notes.layers.push((step.stage.to_owned(), vec![]));
        }
        (notes.last, notes.seen) = (self.now(), 0);
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        let now = self.now();
        let Notes { last, seen, step, layers } = &mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if layers.is_empty() {
            layers.push((String::new(), vec![]));
        }
        let layers = &mut layers[*step].1;
        if *seen == layers.len() {
            layers.push(Timed { name: tensor.op.to_owned(), kernel: tensor.kernel.to_owned(), run: 0.0, times: vec![] });
        }
        layers[*seen].run += now - *last;
        *seen += 1;
        *last = self.now();
    }
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (isa, threads) = (args.machine.isa(), args.machine.threads());
    let clock = Clock::new();
    let path = ossicle::models::find(&args.folder).map_err(fault::model)?;
    let (graph, exercise) = open(&path, args).map_err(|error| fault::family(&path, error))?;
    let mut bench = Bench { exercise, clock };
    let load = bench.clock.now().wall;
    if args.serve {
        return serve(&mut bench, load);
    }
    bench.round()?;
    let times = bench.rounds(args.rounds)?;
    let wall = min_and_median(times.into_iter());
    let layers = if args.layers { layers(&mut bench, args.rounds)? } else { vec![] };
    let work: HashMap<String, Work> = bench.exercise.graph().layers().into_iter().collect();
    let of = |name: &str| work.get(name).copied().unwrap_or_default();
    let plan = bench.exercise.graph().memory_plan();
    let mut out = std::io::stdout().lock();
    if args.json {
        let layer = |layer: Timed| {
            let (min, median) = min_and_median(layer.times.into_iter());
            let Work { bytes, .. } = of(&layer.name);
            json!({"name": layer.name, "kernel": layer.kernel, "min": rounded(min), "median": rounded(median),
                "multiplications": of(&layer.name).multiplications(), "bytes": bytes})
        };
        let layers: Vec<_> = layers.into_iter().map(layer).collect();
        let row = json!({"schema": "ossicle.bench.network/1", "model": path.display().to_string(), "graph": graph, "isa": isa.name(), "threads": threads,
            "rounds": args.rounds, "load": rounded(load), "rss_mb": peak_rss_mb().map(rounded),
            "weight_bytes": plan.weights, "buffer_bytes": plan.buffers, "state_bytes": plan.state,
            "min": rounded(wall.0), "median": rounded(wall.1), "layers": layers});
        writeln!(out, "{row}")?;
        return Ok(());
    }
    writeln!(out, "{}, {graph}, {isa}, threads: {threads}", path.display())?;
    writeln!(out, "{:>10.3} ms (median {:.3}), loaded in {load:.1} ms", wall.0, wall.1)?;
    if let Some(width) = layers.iter().map(|layer| layer.name.len()).max() {
        writeln!(out, "\n{:<width$}  {:<12}{:>10}{:>10}{:>10}{:>10}", "layer", "kernel", "min, ms", "median", "MMAC", "GMAC/s")?;
        for Timed { name, kernel, times, .. } in layers {
            let (min, median) = min_and_median(times.into_iter());
            let million = of(&name).multiplications() / 1e6;
            writeln!(out, "{name:<width$}  {kernel:<12}{min:>10.3}{median:>10.3}{million:>10.2}{:>10.1}", million / min)?;
        }
    }
    Ok(())
}

/// What each layer takes.
fn layers(bench: &mut Bench, rounds: usize) -> Result<Vec<Timed>> {
    let tap = Arc::new(Layers { start: Instant::now(), notes: Mutex::default() });
    bench.exercise.graph_mut().set_tap(Some(tap.clone()));
    for _ in 0..rounds {
        bench.round()?;
        let mut notes = tap.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in notes.layers.iter_mut().flat_map(|(_, layers)| layers) {
            layer.times.push(std::mem::take(&mut layer.run));
        }
    }
    bench.exercise.graph_mut().set_tap(None);
    let layers = std::mem::take(&mut tap.notes.lock().unwrap_or_else(PoisonError::into_inner).layers);
    Ok(layers.into_iter().flat_map(|(_, layers)| layers).collect())
}

/// The keys are those of the peers' workers.
fn serve(bench: &mut Bench, load: f64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"load": rounded(load)}))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let runs = line?.trim().parse().unwrap_or(1).max(1);
        // The system counts a thread's time in steps longer than a small network's run.
        let start = bench.clock.now();
        let times = bench.rounds(runs)?;
        let cpu = (bench.clock.now() - start).cpu / runs as f64;
        let (least, _) = min_and_median(times.into_iter());
        let row = json!({"total": rounded(least), "c_total": rounded(cpu), "rss_mb": peak_rss_mb().map(rounded)});
        writeln!(out, "{row}")?;
        out.flush()?;
    }
    Ok(())
}
