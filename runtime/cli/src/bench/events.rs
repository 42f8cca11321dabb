//! `ossicle bench events`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle::events::{Detector, Heard, Options, Settings};
use ossicle_frontend::yamnet::{BINS, PATCH_FRAMES, YamnetMel, YamnetScratch, frames_of};
use ossicle_models::folder::ModelFolder;
use ossicle_models::yamnet::YamnetGraph;
use serde_json::json;

use super::clock::{Clock, min_and_median, rounded};
use crate::detect::parse_hop;
use crate::fault;
use crate::model::MachineArgs;

/// What to measure detection with.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Recording; a minute or more gives steady figures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model folder, or the name of one
    #[arg(long, value_name = "NAME|FOLDER", default_value = "sound-events")]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    /// Seconds from one patch to the next [default: the model's own]
    #[arg(long, value_name = "SECONDS", value_parser = parse_hop)]
    hop: Option<usize>,
    /// Runs that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 10)]
    rounds: usize,
    /// One JSON object, schema ossicle.bench.events/1
    #[arg(long)]
    json: bool,
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (isa, threads) = (args.machine.isa(), args.machine.threads());
    let place = args.file.display().to_string();
    let samples = AudioReader::open_with(&args.file, isa)
        .and_then(|mut reader| reader.read_to_end())
        .map_err(|error| fault::audio(&place, &error))?;
    let path = ossicle::models::find(&args.model).map_err(fault::model)?;
    let options = Options { isa, threads, hop_frames: args.hop, ..Options::default() };
    let mut detector = Detector::open(&path, &Settings::default(), options).map_err(|error| fault::events(&path, error))?;
    let mut graph = YamnetGraph::new(ModelFolder::open(&path)?, ossicle_models::Options { isa, threads })?;
    let hop = detector.hop_frames() as f64 / 100.0;
    let (mel, mut scratch) = (YamnetMel::new(isa), Box::<YamnetScratch>::default());
    let mut frames = vec![0.0; frames_of(samples.len()).max(PATCH_FRAMES) * BINS];
    let audible = frames_of(samples.len()) * BINS;

    let (mut fronts, mut patches, mut wholes, mut hops) = (vec![], vec![], vec![], 0);
    for _ in 0..=args.rounds {
        let clock = Clock::new();
        let start = clock.now();
        mel.frames(&samples, &mut frames[..audible], &mut scratch)?;
        let front = clock.now();
        graph.run(&frames[..PATCH_FRAMES * BINS], 1)?;
        let patch = clock.now();
        fronts.push((front - start).cpu);
        patches.push((patch - front).wall);
        hops = 0;
        let mut count = |heard: Heard<'_>| hops += usize::from(matches!(heard, Heard::Scores(_)));
        let start = clock.now();
        detector.push(&samples, &mut count)?;
        detector.finish(&mut count)?;
        wholes.push((clock.now() - start).cpu);
    }
    let hours = samples.len() as f64 / f64::from(SAMPLE_RATE) / 3600.0;
    let hourly = |times: Vec<f64>| min_and_median(times.into_iter().skip(1).map(|ms| ms / 1000.0 / hours));
    let (front, patch, whole) = (hourly(fronts), min_and_median(patches.into_iter().skip(1)), hourly(wholes));
    let mut out = std::io::stdout().lock();
    if args.json {
        let row = |index: usize| {
            let pick = |pair: (f64, f64)| rounded(if index == 0 { pair.0 } else { pair.1 });
            json!({"patch_ms": pick(patch), "mel_cpu_seconds_an_hour": pick(front), "cpu_seconds_an_hour": pick(whole)})
        };
        let row = json!({"schema": "ossicle.bench.events/1", "file": place, "isa": isa.name(), "threads": threads,
            "hop_seconds": hop, "hops": hops, "rounds": args.rounds, "min": row(0), "median": row(1)});
        writeln!(out, "{row}")?;
    } else {
        let line = |what: &str, (min, median): (f64, f64), unit: &str| format!("{what:<24}{min:8.3} {unit} (median {median:.3})");
        writeln!(out, "{isa}, {threads} threads, a hop of {:.2} s, {hops} hops", hop)?;
        writeln!(out, "{}", line("a patch", patch, "ms"))?;
        writeln!(out, "{}", line("features of an hour", front, "s of CPU"))?;
        writeln!(out, "{}", line("an hour, all in all", whole, "s of CPU"))?;
    }
    Ok(())
}
