//! Maps of bytes: against plain loops, with `==`, on every instruction set.

use crate::common::{Random, bits, isas};
use crate::windows::cases;
use ossicle_kernels::bytes::{
    ByteMap, Curve, Filters, ToBytes, add_bytes, columns_bytes, depthwise_bytes, floats_of_bytes, gather_bytes, linear_bytes,
    linear_row_bytes, linear_u8_row_bytes, max_pool_bytes, mean_bytes, quantize_channels,
};
use ossicle_kernels::dot::{Blocks, S8Rows, U8Rows};
use ossicle_kernels::linear::Linear;

const TO: ToBytes = ToBytes { curve: Curve::Line, steps: 1.0, zero: 7.0, low: 7.0, high: 250.0 };

fn u8s(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| (random.next() % 256) as u8).collect()
}

/// The byte that a sum becomes. `mul_add` rounds once.
fn byte(sum: i32, scale: f32, bias: f32, to: &ToBytes) -> u8 {
    let y = (sum as f32).mul_add(scale, bias);
    let steps = match to.curve {
        Curve::HardSwish => (y * y.mul_add(1.0 / 6.0, 0.5).clamp(0.0, 1.0)).mul_add(to.steps, to.zero),
        _ => y,
    };
    steps.clamp(to.low, to.high).round_ties_even() as u8
}

fn sums(blocks: Blocks<'_>) -> Vec<i32> {
    let mut sums = vec![0; 16 * blocks.count()];
    blocks.sums(&mut sums).expect("no -128");
    sums
}

fn dot<T: Copy + Into<i32>>(row: &[T], blocks: Blocks<'_>, output: usize) -> i32 {
    let weights = (0..row.len()).map(|k| blocks.values(output / 16, k / 4, output % 16)[k % 4]);
    row.iter().zip(weights).map(|(&x, w)| x.into() * i32::from(w)).sum()
}

#[test]
fn products_become_bytes() {
    let mut random = Random::new(41);
    for (rows, depth, blocks, extreme) in [(1, 4, 1, false), (1, 64, 3, false), (3, 16, 2, false), (13, 28, 3, false), (50, 48, 5, true)] {
        let outputs = 16 * blocks;
        let mut weights = random.bytes(outputs * depth);
        let mut values = u8s(&mut random, rows * depth);
        let signed = random.bytes(rows * depth);
        if extreme {
            weights.fill(-127);
            values.fill(255);
        }
        let factor = 0.8 / depth as f32;
        let scales: Vec<f32> = random.floats(outputs).iter().map(|x| factor * (0.01 + x.abs()) / 8.0).collect();
        let bias: Vec<f32> = random.floats(outputs).iter().map(|x| 120.0 + 60.0 * x).collect();
        let row_scales: Vec<f32> = random.floats(rows).iter().map(|x| 1.0 + x / 2.0).collect();
        let weights = Blocks::new(&weights, depth);
        let layer = Linear { weights, scales: &scales, bias: &bias };
        let (weight_sums, stride) = (sums(weights), outputs + 16);
        let row_sums: Vec<i32> = signed.chunks(depth).map(|row| row.iter().map(|&x| i32::from(x)).sum()).collect();
        let curve = ToBytes { curve: Curve::HardSwish, steps: 0.9, zero: 3.0, low: 0.0, high: 255.0 };
        for (to, isa) in [TO, curve].iter().flat_map(|to| isas().into_iter().map(move |isa| (to, isa))) {
            let unsigned = U8Rows::new(&values, &weight_sums, rows, depth, depth);
            let mut out = [(); 3].map(|()| vec![0xa5; rows * stride]);
            linear_bytes(isa, unsigned, &layer, to, stride, &mut out[0]);
            linear_row_bytes(isa, S8Rows::new(&signed, &row_sums, depth, depth), &row_scales, &layer, to, stride, &mut out[1]);
            linear_u8_row_bytes(isa, unsigned, &row_scales, &layer, to, stride, &mut out[2]);
            for row in 0..rows {
                for n in 0..outputs {
                    let (u8s, s8s) = (dot(&values[row * depth..][..depth], weights, n), dot(&signed[row * depth..][..depth], weights, n));
                    let scaled = row_scales[row] * scales[n];
                    let want = [byte(u8s, scales[n], bias[n], to), byte(s8s, scaled, bias[n], to), byte(u8s, scaled, bias[n], to)];
                    assert_eq!([0, 1, 2].map(|i| out[i][row * stride + n]), want, "{isa}, row {row} of {rows}, depth {depth}, output {n}");
                }
                let poison = out.iter().all(|out| out[row * stride + outputs..][..16].iter().all(|&x| x == 0xa5));
                assert!(poison, "{isa} writes beyond its outputs");
            }
        }
    }
}

#[test]
fn depthwise_pools_and_rows_look_at_what_is_under_the_window() {
    let mut random = Random::new(42);
    for (window, size, outputs) in cases() {
        for channels in [16, 48] {
            let (zero, values) = (91u8, u8s(&mut random, size.positions() * channels));
            let map = ByteMap { values: &values, size, channels };
            let column = window.kernel[0].next_multiple_of(4);
            let depth = column * window.kernel[1];
            let mut packed = random.bytes(channels * depth);
            for (i, w) in packed.iter_mut().enumerate() {
                // What is below a column counts for nothing.
                let input = 4 * (i / 64 % (depth / 4)) + i % 4;
                *w = if input % column < window.kernel[0] { *w } else { 0 };
            }
            let blocks = Blocks::new(&packed, depth);
            let scales: Vec<f32> = random.floats(channels).iter().map(|x| 0.002 * (0.1 + x.abs())).collect();
            let bias: Vec<f32> = random.floats(channels).iter().map(|x| 100.0 + 50.0 * x).collect();
            let weight_sums = sums(blocks);
            let filters = Filters { layer: Linear { weights: blocks, scales: &scales, bias: &bias }, sums: &weight_sums, window: &window };
            let under = |taps: &[(usize, usize)], tap: usize, c: usize| {
                taps.iter().find(|(own, _)| *own == tap).map_or(zero, |(_, position)| values[position * channels + c])
            };
            for isa in isas() {
                let width = window.output(size).expect("it fits").width;
                let mut columns = vec![0; columns_bytes(&window, size)];
                let mut out = vec![0; outputs.len() * channels];
                for (row, out) in out.chunks_mut(width * channels).enumerate() {
                    depthwise_bytes(isa, map, zero, &filters, &TO, row, &mut columns, out);
                }
                for (output, taps) in outputs.iter().enumerate() {
                    for c in 0..channels {
                        let sum = (0..window.taps()).map(|tap| {
                            let input = tap % window.kernel[1] * column + tap / window.kernel[1];
                            i32::from(under(taps, tap, c)) * i32::from(blocks.values(c / 16, input / 4, c % 16)[input % 4])
                        });
                        let want = byte(sum.sum(), scales[c], bias[c], &TO);
                        assert_eq!(out[output * channels + c], want, "{isa}, {window:?} over {size:?}, output {output}, channel {c}");
                    }
                }
                if outputs.iter().all(|taps| !taps.is_empty()) {
                    let mut out = vec![0; outputs.len() * channels];
                    max_pool_bytes(isa, map, &window, 0, &mut out);
                    for (i, &x) in out.iter().enumerate() {
                        let want = outputs[i / channels].iter().map(|(_, at)| values[at * channels + i % channels]).max();
                        assert_eq!(Some(x), want, "{isa}, {window:?} over {size:?}, value {i}");
                    }
                }
            }
            for (from, count, wide) in [(0, channels, channels), (2, 7, 9), (16, channels - 16, channels - 16)] {
                let depth = window.taps() * wide + 5;
                let mut rows = vec![0xa5; outputs.len() * depth];
                if count == 0 {
                    continue;
                }
                gather_bytes(map, from..from + count, wide, &window, 0, depth, &[zero], &mut rows);
                for (i, &x) in rows.iter().enumerate() {
                    let (output, tap, c) = (i / depth, i % depth / wide, i % depth % wide);
                    let taken = tap < window.taps() && c < count;
                    assert_eq!(x, if taken { under(&outputs[output], tap, from + c) } else { 0 }, "{window:?} over {size:?}, byte {i}");
                }
            }
        }
    }
}

#[test]
fn single_bytes_become_what_the_formulas_say() {
    let mut random = Random::new(43);
    for vectors in [1, 3, 4, 9] {
        let count = 16 * vectors;
        let (a, b) = (u8s(&mut random, count), u8s(&mut random, count));
        let floats: Vec<f32> = random.floats(count).iter().map(|x| 2.0 * x).collect();
        let (steps, zeros) = (random.floats(48).iter().map(|x| 120.0 + x).collect::<Vec<_>>(), random.floats(48));
        for isa in isas() {
            let mut out = vec![0; count];
            add_bytes(isa, &a, &b, [0.7, 0.4], -20.5, &TO, &mut out);
            for i in 0..count {
                let second = f32::from(b[i]).mul_add(0.4, -20.5);
                assert_eq!(out[i], f32::from(a[i]).mul_add(0.7, second).clamp(7.0, 250.0).round_ties_even() as u8, "{isa}, value {i}");
            }
            let mut real = vec![0.0; count];
            floats_of_bytes(isa, &a, 9, 0.37, &mut real);
            let want: Vec<f32> = a.iter().map(|&x| (f32::from(x) - 9.0) * 0.37).collect();
            assert_eq!(bits(&real), bits(&want), "{isa}");
            let mut mean = vec![0.0; 16];
            mean_bytes(isa, &a, 0.11, -0.3, &mut mean);
            for (c, mean) in mean.iter().enumerate() {
                let sum: i32 = a[c..].iter().step_by(16).map(|&x| i32::from(x)).sum();
                assert_eq!(mean.to_bits(), (sum as f32).mul_add(0.11, -0.3).to_bits(), "{isa}, channel {c}");
            }
            let short = &floats[..count - 5];
            let mut out = vec![0; short.len()];
            quantize_channels(isa, short, &steps, &zeros, &mut out);
            for (i, &x) in short.iter().enumerate() {
                let want = x.mul_add(steps[i % 48], zeros[i % 48]).clamp(0.0, 255.0).round_ties_even() as u8;
                assert_eq!(out[i], want, "{isa}, value {i}");
            }
        }
    }
}
