//! `ossicle bench kernels`: the matrix products of a model's shapes, on one thread, with made-up values.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_models::folder::{ModelFolder, WhisperConfig};
use serde_json::json;

use super::clock::{min_and_median, rounded};
use crate::fault;
use crate::model::MachineArgs;

/// Each shape runs at least this long and this often.
const LEAST_TIME: Duration = Duration::from_millis(100);
const LEAST_RUNS: usize = 5;

/// Which shapes to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model folder, or the name of one, whose shapes to take
    #[arg(long, value_name = "NAME|FOLDER", default_value = "whisper-tiny.en-short")]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    /// One JSON object, schema ossicle.bench.kernels/1
    #[arg(long)]
    json: bool,
}

/// A product of `rows x depth` activations with `depth x outputs` weights.
struct Shape {
    name: &'static str,
    rows: usize,
    depth: usize,
    outputs: usize,
    finish: Finish,
}

/// Everything an encoder window of 30 s and a decoder step multiply.
fn shapes(config: &WhisperConfig) -> Vec<Shape> {
    let (d, frames) = (config.d_model, config.max_source_positions);
    let shape = |name, rows, depth, outputs, finish| Shape { name, rows, depth, outputs, finish };
    let (store, gelu, add) = (Finish::Store, Finish::Gelu, Finish::Add);
    vec![
        shape("encoder conv1", 2 * frames, 3 * config.num_mel_bins, d, gelu),
        shape("encoder conv2", frames, 3 * d, d, gelu),
        shape("encoder qkv", frames, d, 3 * d, store),
        shape("encoder out", frames, d, d, add),
        shape("encoder fc1", frames, d, config.encoder_ffn_dim, gelu),
        shape("encoder fc2", frames, config.encoder_ffn_dim, d, add),
        shape("cross kv", frames, d, 2 * d, store),
        shape("token qkv", 1, d, 3 * d, store),
        shape("token out", 1, d, d, add),
        shape("token fc1", 1, d, config.decoder_ffn_dim, gelu),
        shape("token fc2", 1, config.decoder_ffn_dim, d, add),
        shape("token logits", 1, d, config.vocab_size, store),
    ]
}

/// Best and middle seconds of one product, quantising left out.
fn measure(isa: Isa, shape: &Shape) -> (f64, f64) {
    let Shape { rows, depth, outputs, finish, .. } = *shape;
    let padded = outputs.next_multiple_of(LANES);
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i32 - 128
    };
    let weights: Vec<i8> = (0..padded * depth).map(|_| random().max(-127) as i8).collect();
    let (scales, bias) = (vec![0.01; padded], vec![0.0; padded]);
    let input: Vec<f32> = (0..rows * depth).map(|_| random() as f32).collect();
    let (mut values, mut row_scales, mut sums) = (vec![0; rows * depth], vec![0.0; rows], vec![0; rows]);
    let mut quantised = QuantRows::new(&mut values, &mut row_scales, &mut sums, rows, depth);
    quantize_rows(isa, &input, depth, depth, &mut quantised);
    let layer = Linear { weights: Blocks::new(&weights, depth), scales: &scales, bias: &bias };
    let mut out = vec![0.0; rows * padded];
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < LEAST_RUNS || start.elapsed() < LEAST_TIME {
        let clock = Instant::now();
        linear(isa, quantised.as_rows(), quantised.scales, &layer, finish, &mut out);
        times.push(clock.elapsed().as_secs_f64());
    }
    min_and_median(times.into_iter())
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = ossicle::models::find(&args.model).map_err(fault::model)?;
    let folder = ModelFolder::open(&path).map_err(fault::folder)?;
    let isa = args.machine.isa();
    let mut rows = Vec::new();
    let mut out = std::io::stdout().lock();
    if !args.json {
        writeln!(out, "{isa}, one thread\n{:<16}{:>6}{:>7}{:>8}{:>12}{:>12}", "", "rows", "depth", "outputs", "ms", "GMAC/s")?;
    }
    for shape in shapes(folder.config()) {
        let (min, median) = measure(isa, &shape);
        let Shape { name, rows: m, depth, outputs, .. } = shape;
        let macs = (m * depth * outputs) as f64 / 1e9;
        if args.json {
            rows.push(json!({"name": name, "rows": m, "depth": depth, "outputs": outputs, "min_ms": rounded(min * 1e3),
                "median_ms": rounded(median * 1e3), "gmac_per_s": rounded(macs / min)}));
        } else {
            writeln!(out, "{name:<16}{m:>6}{depth:>7}{outputs:>8}{:>12.3}{:>12.1}", min * 1e3, macs / min)?;
        }
    }
    if args.json {
        writeln!(out, "{}", json!({"schema": "ossicle.bench.kernels/1", "isa": isa.name(), "shapes": rows}))?;
    }
    Ok(())
}
