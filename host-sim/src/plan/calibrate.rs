//! Costs of this machine, from kernel micro-benchmarks alone: no run of a model takes part.

use std::fmt::Write;
use std::time::{Duration, Instant};

use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::Isa;

/// Each probe runs at least this long.
const LEAST_TIME: Duration = Duration::from_millis(150);
/// Working sets whose bandwidth is measured, in MiB.
const SETS_MIB: [usize; 5] = [4, 16, 32, 64, 256];
/// Depth of the rows that bandwidth is measured with.
const DEPTH: usize = 512;

/// Measures, and writes the costs of an instruction set as `boards/costs/CORE.toml` holds them. `clock_mhz` is the clock that the profile
/// states, `error` what docs/boards.md found.
pub fn calibrate(isa: Isa, clock_mhz: u32, error: f64) -> String {
    let cycles = |name: &str| seconds(isa, name) * f64::from(clock_mhz) * 1e6;
    let mut text = format!("[{isa}]\n");
    let sets = SETS_MIB.map(|mib| format!("[{mib}.0, {:.1}]", gigabytes_per_second(isa, mib << 20)));
    let _ = writeln!(text, "bandwidth = [{}]\nerror = {error}\n\n[{isa}.cycles]", sets.join(", "));
    for (unit, cost) in ossicle_units::costs(cycles) {
        let _ = writeln!(text, "{unit} = {cost:.6}");
    }
    text
}

/// The shortest run of a probe, which is what it takes when nobody disturbs it.
fn seconds(isa: Isa, name: &str) -> f64 {
    let Some(mut probe) = ossicle_units::probe(name, isa) else { return f64::NAN };
    probe();
    // Short probes several at a time, so that the clock's grain does not show.
    let start = Instant::now();
    probe();
    let batch = (2e-4 / start.elapsed().as_secs_f64().max(1e-9)).ceil().clamp(1.0, 1e6) as usize;
    let start = Instant::now();
    let mut least = f64::INFINITY;
    while start.elapsed() < LEAST_TIME {
        let clock = Instant::now();
        (0..batch).for_each(|_| probe());
        least = least.min(clock.elapsed().as_secs_f64() / batch as f64);
    }
    least
}

/// What one core reads when a row is multiplied with `bytes` of weights.
fn gigabytes_per_second(isa: Isa, bytes: usize) -> f64 {
    let outputs = bytes / DEPTH;
    let weights: Vec<i8> = (0..bytes).map(|i| (i % 127) as i8).collect();
    let (scales, bias, mut out) = (vec![0.01; outputs], vec![0.0; outputs], vec![0.0; outputs]);
    let (mut values, mut row_scales, mut sums) = (vec![0; DEPTH], vec![0.0], vec![0]);
    let mut rows = QuantRows::new(&mut values, &mut row_scales, &mut sums, 1, DEPTH);
    quantize_rows(isa, &[1.0; DEPTH], DEPTH, DEPTH, &mut rows);
    let layer = Linear { weights: Blocks::new(&weights, DEPTH), scales: &scales, bias: &bias };
    let mut least = f64::INFINITY;
    for _ in 0..20 {
        let clock = Instant::now();
        linear(isa, rows.as_rows(), rows.scales, &layer, Finish::Store, &mut out);
        least = least.min(clock.elapsed().as_secs_f64());
    }
    bytes as f64 / least / 1e9
}
