//! Convolutions, pooling, unsigned rows and what is multiplied with them: against plain loops, and with `==` between instruction sets.

use crate::common::{Random, bits, isas};
use ossicle_kernels::conv::{Filters, Size, convolve_plane, depthwise, mean_rows};
use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Linear, linear_u8};
use ossicle_kernels::math::sigmoid_all;
use ossicle_kernels::rows::{UnsignedRows, quantize_unsigned_rows};

/// Sizes with every kind of border, odd ones, and maps narrower than a filter.
const SIZES: [(usize, usize); 8] = [(1, 1), (1, 4), (4, 1), (2, 2), (3, 2), (6, 4), (5, 7), (12, 8)];

/// The definition: sums from the bias over the taps inside, row by row, then ReLU. `x(row, column, channel)`
fn convolved(size: Size, filters: &Filters<'_>, x: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let channels = filters.bias.len();
    let out = size.strided(filters.stride);
    let lead = if filters.stride == 1 { 1 } else { 0 };
    let mut y = vec![];
    for row in 0..out.height {
        for column in 0..out.width {
            for c in 0..channels {
                let mut acc = filters.bias[c];
                for tap in 0..9 {
                    let (r, k) =
                        ((row * filters.stride + tap / 3).checked_sub(lead), (column * filters.stride + tap % 3).checked_sub(lead));
                    if let (Some(r), Some(k)) = (r, k)
                        && r < size.height
                        && k < size.width
                    {
                        acc = x(r, k, c).mul_add(filters.weights[tap * channels + c], acc);
                    }
                }
                y.push(if acc > 0.0 { acc } else { 0.0 });
            }
        }
    }
    y
}

/// Values and scales by the contract.
fn quantized(x: &[f32], depth: usize) -> (Vec<u8>, Vec<u32>) {
    let (mut values, mut scales) = (vec![], vec![]);
    for row in x.chunks(depth) {
        let largest = row.iter().copied().fold(0.0, f32::max);
        let zero = largest < 1e-30;
        scales.push(if zero { 0 } else { (largest / 255.0).to_bits() });
        values.extend(row.iter().map(|x| if zero { 0 } else { (x * (255.0 / largest)).round_ties_even() as u8 }));
    }
    (values, scales)
}

#[test]
fn depthwise_is_the_definition_on_every_isa() {
    let mut random = Random::new(11);
    for (height, width) in SIZES {
        for (stride, channels) in [(1, 16), (2, 16), (1, 48), (2, 64)] {
            let size = Size { height, width };
            let (map, weights, bias) = (random.floats(size.positions() * channels), random.floats(9 * channels), random.floats(channels));
            let filters = Filters { weights: &weights, bias: &bias, stride };
            let (values, scales) = quantized(&convolved(size, &filters, |r, k, c| map[(r * width + k) * channels + c]), channels);
            let outputs = scales.len();
            for isa in isas() {
                // All at once, and the later half alone.
                for first in [0, outputs / 2] {
                    let count = outputs - first;
                    let (mut q, mut s, mut row) = (vec![99; count * channels + 1], vec![-1.0; count + 1], vec![f32::NAN; channels]);
                    let mut out = UnsignedRows::new(&mut q, &mut s, count, channels);
                    depthwise(isa, &map, size, &filters, first, &mut row, &mut out);
                    assert_eq!(q[..count * channels], values[first * channels..], "{size:?}, stride {stride}, {channels} channels, {isa}");
                    assert_eq!(bits(&s[..count]), scales[first..], "{size:?}, stride {stride}, {channels} channels, {isa}");
                    assert_eq!((q[count * channels], s[count]), (99, -1.0), "behind the end, {isa}");
                }
            }
        }
    }
}

#[test]
fn planes_are_convolved_by_the_definition_on_every_isa() {
    let mut random = Random::new(12);
    for (height, width) in SIZES {
        for (stride, channels) in [(1, 16), (2, 32)] {
            let size = Size { height, width };
            let (plane, weights, bias) = (random.floats(size.positions()), random.floats(9 * channels), random.floats(channels));
            let filters = Filters { weights: &weights, bias: &bias, stride };
            let wanted = bits(&convolved(size, &filters, |r, k, _| plane[r * width + k]));
            for isa in isas() {
                for first in [0, wanted.len() / channels / 2] {
                    let mut out = vec![f32::NAN; wanted.len() - first * channels];
                    convolve_plane(isa, &plane, size, &filters, first, &mut out);
                    assert_eq!(bits(&out), wanted[first * channels..], "{size:?}, stride {stride}, {isa}");
                }
            }
        }
    }
}

#[test]
fn unsigned_rows_and_their_products_follow_the_contract() {
    let mut random = Random::new(13);
    for (rows, depth, outputs) in [(1, 16, 16), (6, 512, 32), (13, 48, 64), (24, 64, 48)] {
        let x: Vec<f32> = random.floats(rows * depth).iter().map(|x| x.max(0.0) * 40.0).collect();
        let (values, scales) = quantized(&x, depth);
        // The largest magnitudes as well: 255 x 127 must not saturate.
        let weights = if depth == 48 { vec![127; outputs * depth] } else { random.bytes(outputs * depth) };
        let (column_scales, bias) = (random.floats(outputs), random.floats(outputs));
        let layer = Linear { weights: Blocks::new(&weights, depth), scales: &column_scales, bias: &bias };
        let mut sums = vec![0; outputs];
        layer.weights.sums(&mut sums).expect("weights above -128");
        let weight = |n: usize, k: usize| i32::from(weights[((n / 16 * (depth / 4) + k / 4) * 16 + n % 16) * 4 + k % 4]);
        for n in 0..outputs {
            assert_eq!(sums[n], (0..depth).map(|k| weight(n, k)).sum::<i32>());
        }
        for isa in isas() {
            let (mut q, mut s) = (vec![99; rows * depth], vec![-1.0; rows]);
            let mut out = UnsignedRows::new(&mut q, &mut s, rows, depth);
            quantize_unsigned_rows(isa, &x, &mut out);
            for relu in [false, true] {
                let mut y = vec![f32::NAN; rows * outputs];
                linear_u8(isa, out.as_rows(&sums), out.scales, &layer, relu, &mut y);
                for row in 0..rows {
                    for n in 0..outputs {
                        let sum: i32 = (0..depth).map(|k| weight(n, k) * i32::from(values[row * depth + k])).sum();
                        let mut want = (sum as f32).mul_add(f32::from_bits(scales[row]) * column_scales[n], bias[n]);
                        if relu && want <= 0.0 {
                            want = 0.0;
                        }
                        assert_eq!(y[row * outputs + n].to_bits(), want.to_bits(), "row {row}, output {n}, relu {relu}, {isa}");
                    }
                }
            }
            assert_eq!((q, bits(&s)), (values.clone(), scales.clone()), "{isa}");
        }
    }
}

#[test]
fn rows_of_next_to_nothing_are_zero() {
    for isa in isas() {
        for tiny in [0.0, 1e-38] {
            let (mut q, mut s) = ([7; 32], [1.0; 2]);
            quantize_unsigned_rows(isa, &[tiny; 32], &mut UnsignedRows::new(&mut q, &mut s, 2, 16));
            assert_eq!((q, s), ([0; 32], [0.0; 2]), "{tiny:e} on {isa}");
        }
    }
}

#[test]
fn means_and_sigmoids_agree() {
    let mut random = Random::new(14);
    for (rows, channels) in [(1, 16), (6, 1024), (7, 48)] {
        let map = random.floats(rows * channels);
        let wanted: Vec<u32> = (0..channels)
            .map(|c| {
                let sum = (0..rows).fold(0.0f32, |sum, row| sum + map[row * channels + c]);
                (sum / rows as f32).to_bits()
            })
            .collect();
        for isa in isas() {
            let mut out = vec![f32::NAN; channels];
            mean_rows(isa, &map, &mut out);
            assert_eq!(bits(&out), wanted, "{rows} rows, {isa}");
        }
    }
    for len in [0, 1, 15, 16, 17, 521] {
        let x: Vec<f32> = random.floats(len).iter().map(|x| x * 30.0).collect();
        let mut first: Option<Vec<u32>> = None;
        for isa in isas() {
            let mut y = x.clone();
            sigmoid_all(isa, &mut y);
            for (x, y) in x.iter().zip(&y) {
                assert!((f64::from(*y) - 1.0 / (1.0 + (-f64::from(*x)).exp())).abs() < 3e-7, "sigmoid({x}) = {y} on {isa}");
            }
            assert_eq!(*first.get_or_insert_with(|| bits(&y)), bits(&y), "{len} values, {isa}");
        }
    }
}
