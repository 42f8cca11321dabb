//! `ossicle bench mel`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use ossicle::audio::AudioReader;
use ossicle_frontend::mel::{LogMel, MelScratch, WINDOW_FRAMES};
use serde_json::json;

use super::clock::{Clock, min_and_median, rounded};
use crate::fault;
use crate::model::MachineArgs;

/// Bands of the features.
const BANDS: usize = 80;
/// Samples of the window.
const WINDOW_SAMPLES: usize = 480_000;

/// What to measure the front end with.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Recording; silence fills it up to 30 s
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    machine: MachineArgs,
    /// Runs that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: usize,
    /// One JSON object, schema ossicle.bench.mel/1
    #[arg(long)]
    json: bool,
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let isa = args.machine.isa();
    let place = args.file.display().to_string();
    let mut samples = AudioReader::open_with(&args.file, isa)
        .and_then(|mut reader| reader.read_to_end())
        .map_err(|error| fault::audio(&place, &error))?;
    samples.truncate(WINDOW_SAMPLES);
    let log_mel = LogMel::new(isa, BANDS)?;
    let (mut features, mut scratch) = (vec![0.0; WINDOW_FRAMES * BANDS], Box::new(MelScratch::new()));
    let mut times = Vec::new();
    for _ in 0..=args.rounds {
        let clock = Clock::new();
        log_mel.window(&samples, 0, &mut features, &mut scratch)?;
        times.push(clock.now().wall);
    }
    let (min, median) = min_and_median(times.into_iter().skip(1));
    let mut out = std::io::stdout().lock();
    if args.json {
        let row = json!({"schema": "ossicle.bench.mel/1", "file": place, "isa": isa.name(), "rounds": args.rounds,
            "min": {"mel": rounded(min)}, "median": {"mel": rounded(median)}});
        writeln!(out, "{row}")?;
    } else {
        writeln!(out, "log-mel of 30 s, {isa}, one thread: {min:.2} ms (median {median:.2})")?;
    }
    Ok(())
}
