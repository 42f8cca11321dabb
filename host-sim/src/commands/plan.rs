//! `ossicle-sim plan` and `calibrate`.

use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::builder::RangedU64ValueParser;
use ossicle::families::Workload;
use ossicle_boards::catalog;
use ossicle_kernels::simd::Isa;
use ossicle_models::{MAX_THREADS, MOST_DEFAULT_THREADS};
use ossicle_sim::plan::{self, Plan};

/// Positions of Whisper's decoder: a text with its prompt has no more.
const MOST_TOKENS: u64 = 448;

const PLAN_EXAMPLES: &str = "\
Examples:
  ossicle-sim plan --board pi4 --seconds 3
  ossicle-sim plan --board pi-zero-2w --seconds 11 --threads 1 --json
  ossicle-sim plan --board pi-zero-2w --model yamnet
  ossicle-sim plan --board pi4 --model minilm --tokens 12

Exit status: 0 done, 2 bad usage or bad input.";

const CALIBRATE_EXAMPLES: &str = "\
Examples:
  ossicle-sim calibrate > boards/costs/zen5.toml

Exit status: 0 done, 2 bad usage or bad input.";

/// What to predict.
#[derive(clap::Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct PlanArgs {
    /// A board that `ossicle board list` shows, or a profile's path ending in .toml
    #[arg(long)]
    board: String,
    /// Model folder, or the name of one
    #[arg(long, default_value = "whisper-tiny.en-short")]
    model: String,
    /// Length of the recording, of speech or of a sound, 0.1 to 30; a Whisper's in one window [default: 3]
    #[arg(long, value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Always encode 30 s
    #[arg(long)]
    full_window: bool,
    /// Tokens of the text [default: of a transcript five a second, of a voice 15, of other models 16 in all]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_TOKENS))]
    tokens: Option<usize>,
    /// Tokens of a Whisper's prompt [default: start, and for multilingual models language and task]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_TOKENS))]
    prompt: Option<usize>,
    /// Threads, 8 at most [default: the board's cores, at most 4]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Plan memory for word times too
    #[arg(long)]
    word_timestamps: bool,
    /// One JSON object, schema ossicle.plan/1
    #[arg(long)]
    json: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.1..=30.0).contains(seconds)).ok_or_else(|| "give 0.1 to 30 seconds".into())
}

fn parse_part(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|part| (0.0..=1.0).contains(part)).ok_or_else(|| "give 0 to 1".into())
}

/// What to measure.
#[derive(clap::Args)]
#[command(after_help = CALIBRATE_EXAMPLES)]
pub(crate) struct CalibrateArgs {
    /// The profile whose clock counts the cycles
    #[arg(long, default_value = "host")]
    board: String,
    /// By which part times predicted from this may be off, to be written beside the costs
    #[arg(long, default_value_t = 0.35, value_parser = parse_part)]
    error: f64,
}

/// Predicts.
pub(crate) fn run(args: &PlanArgs) -> Result<ExitCode> {
    let board = catalog::find(&args.board).map_err(|error| anyhow!("{error}"))?;
    let path = ossicle::models::find(&args.model).map_err(|error| anyhow!("{error}"))?;
    let workload = Workload {
        seconds: args.seconds,
        full_window: args.full_window,
        tokens: args.tokens,
        prompt: args.prompt,
        words: args.word_timestamps,
    };
    let threads = args.threads.map_or(board.cpu.cores.min(MOST_DEFAULT_THREADS), NonZeroUsize::get).min(MAX_THREADS);
    let plan = Plan::new(&path, &board, &workload, threads).map_err(|error| anyhow!("{error}"))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", plan::json(&plan, &args.board, &args.model))?;
    } else {
        write!(out, "{}", plan::table(&plan, &board.name, &args.model))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures every vector instruction set of this machine.
pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<ExitCode> {
    let board = catalog::find(&args.board).map_err(|error| anyhow!("{error}"))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "# Costs of {} in cycles at {} MHz, one core, written by `ossicle-sim calibrate`.", board.cpu.core, board.cpu.clock_mhz)?;
    for isa in Isa::available().filter(|isa| isa.name() != "scalar") {
        writeln!(out, "\n{}", plan::calibrate::calibrate(isa, board.cpu.clock_mhz, args.error).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
