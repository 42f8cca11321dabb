//! `ossicle bench network`: a classifier, or a tower of a CLIP, or a sentence encoder, or a voice.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use ossicle_models::clip::{ClipConfig, ImageGraph, TextGraph};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::hibari::{HibariConfig, HibariGraph};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
use ossicle_models::network::{MAX_BUFFER_BYTES, NetworkGraph};
use ossicle_models::{GraphError, MemoryPlan, Options, Work};
use ossicle_trace::{Step, Tap, Tensor};
use serde_json::json;

use super::clock::{Clock, min_and_median, peak_rss_mb, rounded};
use crate::fault;
use crate::model::MachineArgs;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder of kind network, clip, minilm or hibari, or the name of one
    #[arg(value_name = "NAME|FOLDER")]
    folder: String,
    /// Which tower of a CLIP
    #[arg(long, value_enum, default_value = "image")]
    tower: TowerName,
    /// Tokens of the text that an encoder of texts or a voice reads [default: as many as it takes]
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

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TowerName {
    Image,
    Text,
}

/// What runs, and what it reads: no image and no text, but values of the size of its input. No layer's time depends on them.
enum Subject {
    Network(Box<NetworkGraph>, Vec<f32>),
    Image(Box<ImageGraph>, Vec<f32>),
    Text(Box<TextGraph>, Vec<u32>),
    Sentence(Box<MiniLmGraph>, Vec<u32>),
    /// Half a second of speech for each ten phonemes, whatever the voice makes of them.
    Voice(Box<HibariGraph>, Vec<u32>),
}

impl Subject {
    fn open(path: &Path, args: &Args, options: Options) -> Result<Self, GraphError> {
        let kind = ossicle::models::info(path).map(|info| info.kind).unwrap_or_default();
        let values = |count: usize| (0..count).map(|i| (i * 7919 % 4096) as f32 / 1024.0 - 2.0).collect();
        let tokens = |most: usize, known: usize| {
            (0..args.tokens.unwrap_or(most)).map(|i| u32::try_from((i * 7919 + 1) % known).unwrap_or(0)).collect()
        };
        if kind == MiniLmConfig::KIND {
            let graph = MiniLmGraph::new(ModelFolder::open(path)?, options)?;
            let tokens = tokens(graph.config().max_tokens, graph.config().vocab_size);
            return Ok(Self::Sentence(Box::new(graph), tokens));
        }
        if kind == HibariConfig::KIND {
            let graph = HibariGraph::new(ModelFolder::open(path)?, options)?;
            let tokens = tokens(graph.config().max_tokens, graph.config().vocab_size);
            return Ok(Self::Voice(Box::new(graph), tokens));
        }
        if kind != ClipConfig::KIND {
            let network = NetworkGraph::new(ModelFolder::open(path)?, options)?;
            let input = values(network.input_len());
            return Ok(Self::Network(Box::new(network), input));
        }
        if args.tower == TowerName::Image {
            let graph = ImageGraph::new(ModelFolder::open(path)?, options, MAX_BUFFER_BYTES)?;
            let input = values(graph.input_len());
            return Ok(Self::Image(Box::new(graph), input));
        }
        let graph = TextGraph::new(ModelFolder::open(path)?, options, MAX_BUFFER_BYTES)?;
        let (most, known) = graph.config().text.as_ref().map_or((1, 1), |tower| (tower.max_tokens, tower.vocab_size));
        Ok(Self::Text(Box::new(graph), tokens(most, known)))
    }

    fn run(&mut self) -> Result<(), GraphError> {
        match self {
            Self::Network(graph, input) => graph.run(input).map(drop),
            Self::Image(graph, input) => graph.run(input).map(drop),
            Self::Text(graph, tokens) => graph.run(tokens).map(drop),
            Self::Sentence(graph, tokens) => graph.run(tokens).map(drop),
            Self::Voice(graph, tokens) => {
                graph.begin_with(tokens, &vec![2; tokens.len()])?;
                while graph.next_chunk()?.is_some() {}
                Ok(())
            }
        }
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match self {
            Self::Network(graph, _) => graph.set_tap(tap),
            Self::Image(graph, _) => graph.set_tap(tap),
            Self::Text(graph, _) => graph.set_tap(tap),
            Self::Sentence(graph, _) => graph.set_tap(tap),
            Self::Voice(graph, _) => graph.set_tap(tap),
        }
    }

    fn work(&self) -> HashMap<String, Work> {
        fn named<'a>(layers: impl Iterator<Item = (&'a str, &'static str, Work)>) -> HashMap<String, Work> {
            layers.map(|(name, _, work)| (name.to_owned(), work)).collect()
        }
        match self {
            Self::Network(graph, _) => named(graph.layers()),
            Self::Image(graph, _) => named(graph.layers()),
            Self::Text(graph, tokens) => named(graph.layers(tokens.len())),
            Self::Sentence(graph, _) => named(graph.layers()),
            Self::Voice(graph, _) => named(graph.layers()),
        }
    }

    fn memory_plan(&self) -> MemoryPlan {
        match self {
            Self::Network(graph, _) => graph.memory_plan(),
            Self::Image(graph, _) => graph.memory_plan(),
            Self::Text(graph, _) => graph.memory_plan(),
            Self::Sentence(graph, _) => graph.memory_plan(),
            Self::Voice(graph, _) => graph.memory_plan(),
        }
    }
}

struct Bench {
    subject: Subject,
    clock: Clock,
}

impl Bench {
    /// Milliseconds.
    fn round(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.subject.run()?;
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
    /// Tensors of this run so far.
    seen: usize,
    layers: Vec<Timed>,
}

/// A layer and how long it took in each run.
#[derive(Debug)]
struct Timed {
    name: String,
    kernel: String,
    times: Vec<f64>,
}

impl Layers {
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }
}

impl Tap for Layers {
    fn step(&self, _: Step<'_>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        (notes.last, notes.seen) = (self.now(), 0);
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        let now = self.now();
        let Notes { last, seen, layers } = &mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == layers.len() {
            layers.push(Timed { name: tensor.op.to_owned(), kernel: tensor.kernel.to_owned(), times: vec![] });
        }
        layers[*seen].times.push(now - *last);
        *seen += 1;
        *last = self.now();
    }
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (isa, threads) = (args.machine.isa(), args.machine.threads());
    let clock = Clock::new();
    let path = ossicle::models::find(&args.folder).map_err(fault::model)?;
    let subject = Subject::open(&path, args, Options { isa, threads }).map_err(|error| fault::label(&path, error.into()))?;
    let mut bench = Bench { subject, clock };
    let load = bench.clock.now().wall;
    if args.serve {
        return serve(&mut bench, load);
    }
    bench.round()?;
    let times = bench.rounds(args.rounds)?;
    let wall = min_and_median(times.into_iter());
    let layers = if args.layers { layers(&mut bench, args.rounds)? } else { vec![] };
    let work = bench.subject.work();
    let of = |name: &str| work.get(name).copied().unwrap_or_default();
    let plan = bench.subject.memory_plan();
    let mut out = std::io::stdout().lock();
    if args.json {
        let layer = |layer: Timed| {
            let (min, median) = min_and_median(layer.times.into_iter());
            let Work { bytes, .. } = of(&layer.name);
            json!({"name": layer.name, "kernel": layer.kernel, "min": rounded(min), "median": rounded(median),
                "multiplications": of(&layer.name).multiplications(), "bytes": bytes})
        };
        let layers: Vec<_> = layers.into_iter().map(layer).collect();
        let row = json!({"schema": "ossicle.bench.network/1", "model": path.display().to_string(), "isa": isa.name(), "threads": threads,
            "rounds": args.rounds, "load": rounded(load), "rss_mb": peak_rss_mb().map(rounded),
            "weight_bytes": plan.weights, "buffer_bytes": plan.buffers, "state_bytes": plan.state,
            "min": rounded(wall.0), "median": rounded(wall.1), "layers": layers});
        writeln!(out, "{row}")?;
        return Ok(());
    }
    writeln!(out, "{}, {isa}, threads: {threads}", path.display())?;
    writeln!(out, "{:>10.3} ms (median {:.3}), loaded in {load:.1} ms", wall.0, wall.1)?;
    if let Some(width) = layers.iter().map(|layer| layer.name.len()).max() {
        writeln!(out, "\n{:<width$}  {:<12}{:>10}{:>10}{:>10}{:>10}", "layer", "kernel", "min, ms", "median", "MMAC", "GMAC/s")?;
        for Timed { name, kernel, times } in layers {
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
    bench.subject.set_tap(Some(tap.clone()));
    bench.rounds(rounds)?;
    bench.subject.set_tap(None);
    Ok(std::mem::take(&mut tap.notes.lock().unwrap_or_else(PoisonError::into_inner).layers))
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
