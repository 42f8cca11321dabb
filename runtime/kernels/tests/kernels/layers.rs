//! Row quantisation, layer normalisation and linear layers: against f64 in plain loops, and with `==` between instruction sets.

use crate::common::{Random, bits, isas};
use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear, linear_columns, linear_onto, linear_u8, linear_u8_columns};
use ossicle_kernels::rows::{
    EPSILON, QuantRows, UnsignedRows, layer_norm_quantize_rows, layer_norm_rows, quantize_rows, quantize_unsigned_rows,
};
use ossicle_kernels::simd::Isa;

struct Quantized {
    values: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

fn quantized(rows: usize, depth: usize, fill: impl FnOnce(&mut QuantRows<'_>)) -> Quantized {
    let mut q = Quantized { values: vec![99; rows * depth], scales: vec![-1.0; rows], sums: vec![-1; rows] };
    fill(&mut QuantRows::new(&mut q.values, &mut q.scales, &mut q.sums, rows, depth));
    q
}

/// The contract's rule 1 for one row.
fn check_row(x: &[f32], q: &[i8], scale: f32, sum: i32) {
    let largest = x.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let want: Vec<i8> = x.iter().map(|x| (x * (127.0 / largest)).round_ties_even() as i8).collect();
    assert_eq!(q, want);
    assert_eq!(scale, largest / 127.0);
    assert_eq!(sum, q.iter().map(|&q| i32::from(q)).sum::<i32>());
}

#[test]
fn rows_are_quantised_by_their_largest_magnitude() {
    let mut random = Random::new(3);
    for isa in isas() {
        for (rows, depth) in [(1, 16), (3, 64), (5, 240), (2, 1536)] {
            let x = random.floats(rows * depth);
            let q = quantized(rows, depth, |out| quantize_rows(isa, &x, depth, depth, out));
            for (row, x) in x.chunks(depth).enumerate() {
                check_row(x, &q.values[row * depth..][..depth], q.scales[row], q.sums[row]);
            }
        }
        // Ties, and windows that overlap.
        let mut x: Vec<f32> = (0..64).map(|i| i as f32 - 31.5).collect();
        x[0] = 127.0;
        x[32] = 127.0;
        let q = quantized(2, 48, |out| quantize_rows(isa, &x, 48, 16, out));
        for (row, x) in [&x[..48], &x[16..]].into_iter().enumerate() {
            check_row(x, &q.values[row * 48..][..48], q.scales[row], q.sums[row]);
        }
    }
}

#[test]
fn rows_of_zeros_and_of_next_to_nothing_have_scale_zero() {
    for isa in isas() {
        for tiny in [0.0, -0.0, 1e-38, f32::from_bits(1)] {
            let q = quantized(1, 16, |out| quantize_rows(isa, &[tiny; 16], 16, 16, out));
            assert_eq!((q.values, q.scales, q.sums), (vec![0; 16], vec![0.0], vec![0]), "{tiny:e} on {isa}");
        }
    }
}

#[test]
fn layer_norm_is_close_to_f64_and_equal_everywhere() {
    let mut random = Random::new(4);
    // Some at once, and some that are left.
    let (rows, depth) = (6, 384);
    let x: Vec<f32> = random.floats(rows * depth).iter().map(|x| x * 30.0 + 5.0).collect();
    let (gamma, beta) = (random.floats(depth), random.floats(depth));
    let mut reference: Option<(Vec<u32>, Vec<i8>)> = None;
    for isa in isas() {
        let mut out = vec![f32::NAN; rows * depth];
        layer_norm_rows(isa, &x, &gamma, &beta, EPSILON, &mut out);
        for (x, y) in x.chunks(depth).zip(out.chunks(depth)) {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / depth as f64;
            let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / depth as f64;
            for i in 0..depth {
                let want = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(gamma[i]) + f64::from(beta[i]);
                assert!((f64::from(y[i]) - want).abs() < 2e-6, "{} instead of {want} on {isa}", y[i]);
            }
        }
        let mut row = vec![0.0; depth];
        let q = quantized(rows, depth, |q| layer_norm_quantize_rows(isa, &x, &gamma, &beta, &mut row, q));
        for (row, x) in out.chunks(depth).enumerate() {
            check_row(x, &q.values[row * depth..][..depth], q.scales[row], q.sums[row]);
        }
        let this = (bits(&out), q.values);
        assert_eq!(*reference.get_or_insert_with(|| this.clone()), this, "{isa}");
    }
}

fn layer_output(isa: Isa, finish: Finish, before: &[f32], rows: usize, outputs: usize) -> Vec<f32> {
    let mut random = Random::new(5);
    let depth = 64;
    let weights = random.bytes(outputs * depth);
    let (scales, bias) = (random.floats(outputs), random.floats(outputs));
    let x = random.floats(rows * depth);
    let mut q = Quantized { values: vec![0; rows * depth], scales: vec![0.0; rows], sums: vec![0; rows] };
    let mut quantized = QuantRows::new(&mut q.values, &mut q.scales, &mut q.sums, rows, depth);
    quantize_rows(isa, &x, depth, depth, &mut quantized);
    let layer = Linear { weights: Blocks::new(&weights, depth), scales: &scales, bias: &bias };
    let mut out = before.to_vec();
    linear(isa, quantized.as_rows(), quantized.scales, &layer, finish, &mut out);
    if finish == Finish::Add {
        let mut onto = vec![f32::NAN; rows * outputs];
        linear_onto(isa, quantized.as_rows(), quantized.scales, &layer, before, &mut onto);
        assert_eq!(bits(&onto), bits(&out), "added to other rows on {isa}");
    }
    if finish == Finish::Store {
        for row in 0..rows {
            for n in 0..outputs {
                let sum: i32 = (0..depth)
                    .map(|k| {
                        i32::from(weights[((n / 16 * (depth / 4) + k / 4) * 16 + n % 16) * 4 + k % 4])
                            * i32::from(quantized.values[row * depth + k])
                    })
                    .sum();
                let want = (sum as f32).mul_add(quantized.scales[row] * scales[n], bias[n]);
                assert_eq!(out[row * outputs + n].to_bits(), want.to_bits(), "row {row}, output {n} on {isa}");
            }
        }
    }
    out
}

#[test]
fn linear_layers_follow_the_contract_and_agree() {
    for (rows, outputs) in [(1, 16), (1, 32), (3, 48), (13, 64)] {
        let before = Random::new(6).floats(rows * outputs);
        let finishes = [Finish::Store, Finish::Gelu, Finish::Add, Finish::AddGelu];
        let all: Vec<Vec<Vec<f32>>> =
            isas().into_iter().map(|isa| finishes.map(|finish| layer_output(isa, finish, &before, rows, outputs)).to_vec()).collect();
        for isa in &all {
            for (i, finish) in isa.iter().enumerate() {
                assert_eq!(bits(finish), bits(&all[0][i]), "{:?}", finishes[i]);
            }
            for i in 0..before.len() {
                assert_eq!(isa[2][i], before[i] + isa[0][i]);
                assert_eq!(isa[3][i], before[i] + isa[1][i]);
                let (x, gelu) = (f64::from(isa[0][i]), f64::from(isa[1][i]));
                // The logistic stand-in for GELU is within 0.021 everywhere: a coarse check that the right function was applied.
                assert!((gelu - x / (1.0 + (-1.702 * x).exp())).abs() < 0.021, "gelu({x}) = {gelu}");
            }
        }
    }
}

/// A layer taken apart by its outputs, each part written into its columns, is the layer; what lies beside them stays.
#[test]
fn columns_of_a_layer_are_the_layer() {
    let mut random = Random::new(8);
    let depth = 32;
    for (rows, outputs, cuts) in [(1, 32, &[0, 1, 2][..]), (5, 48, &[0, 2, 3]), (13, 96, &[0, 1, 5, 6]), (17, 80, &[1, 4])] {
        let (weights, x) = (random.bytes(outputs * depth), random.floats(rows * depth));
        let (scales, bias) = (random.floats(outputs), random.floats(outputs));
        for isa in isas() {
            let layer = Linear { weights: Blocks::new(&weights, depth), scales: &scales, bias: &bias };
            let (mut values, mut row_scales, mut sums) = (vec![0; rows * depth], vec![0.0; rows], vec![0; rows]);
            let mut signed = QuantRows::new(&mut values, &mut row_scales, &mut sums, rows, depth);
            quantize_rows(isa, &x, depth, depth, &mut signed);
            let (mut values, mut row_scales) = (vec![0; rows * depth], vec![0.0; rows]);
            let mut unsigned = UnsignedRows::new(&mut values, &mut row_scales, rows, depth);
            quantize_unsigned_rows(isa, &x, &mut unsigned);
            let column_sums: Vec<i32> = (0..outputs as i32).map(|n| n * 77 - 900).collect();
            let (mut all, mut all_u8) = (vec![0.0; rows * outputs], vec![0.0; rows * outputs]);
            linear(isa, signed.as_rows(), signed.scales, &layer, Finish::Store, &mut all);
            linear_u8(isa, unsigned.as_rows(&column_sums), unsigned.scales, &layer, true, &mut all_u8);
            let outside = |n: usize| n / 16 < cuts[0] || n / 16 >= cuts[cuts.len() - 1];
            for (i, (signed, unsigned)) in all.iter_mut().zip(&mut all_u8).enumerate() {
                if outside(i % outputs) {
                    (*signed, *unsigned) = (7.5, 7.5);
                }
            }
            let (mut parts, mut parts_u8) = (vec![7.5; rows * outputs], vec![7.5; rows * outputs]);
            for cut in cuts.windows(2) {
                let (part, first) = (layer.slice(cut[0]..cut[1]), cut[0] * 16);
                linear_columns(isa, signed.as_rows(), signed.scales, &part, Finish::Store, outputs, &mut parts[first..]);
                let rows = unsigned.as_rows(&column_sums[first..]);
                linear_u8_columns(isa, rows, unsigned.scales, &part, true, outputs, &mut parts_u8[first..]);
            }
            assert_eq!(bits(&parts), bits(&all), "{rows} rows, {outputs} outputs cut at {cuts:?}, {isa}");
            assert_eq!(bits(&parts_u8), bits(&all_u8), "u8, {rows} rows, {outputs} outputs cut at {cuts:?}, {isa}");
        }
    }
}

#[test]
#[should_panic(expected = "rows of 16 for 2 blocks")]
fn columns_have_room_between_rows() {
    let weights = vec![0; 32 * 16];
    let layer = Linear { weights: Blocks::new(&weights, 16), scales: &[0.0; 32], bias: &[] };
    let (mut values, mut scales, mut sums) = (vec![0; 32], vec![0.0; 2], vec![0; 2]);
    let rows = QuantRows::new(&mut values, &mut scales, &mut sums, 2, 16);
    linear_columns(isas()[0], rows.as_rows(), rows.scales, &layer, Finish::Store, 16, &mut [0.0; 64]);
}
