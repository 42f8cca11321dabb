//! Windows over maps and rows with an offset: against plain loops, with `==`, on every instruction set.

use crate::common::{Random, bits, isas};
use ossicle_kernels::conv::Size;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::rows::{QuantRows, UnsignedRows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::window::{Map, Pool, Window, depthwise_map, gather, pool_map};

fn window(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], before: [usize; 2], after: [usize; 2]) -> Window {
    Window { kernel, stride, dilation, before, after }
}

/// Every kind of border: symmetric, one-sided and none, wider than the map, with strides and gaps.
fn windows() -> Vec<Window> {
    vec![
        window([1, 1], [1, 1], [1, 1], [0, 0], [0, 0]),
        window([3, 3], [1, 1], [1, 1], [1, 1], [1, 1]),
        window([3, 3], [2, 2], [1, 1], [0, 0], [1, 1]),
        window([5, 5], [2, 1], [1, 1], [2, 2], [2, 2]),
        window([2, 3], [2, 2], [1, 1], [0, 1], [0, 0]),
        window([3, 2], [1, 2], [2, 3], [2, 3], [2, 0]),
        window([7, 1], [1, 1], [1, 1], [3, 0], [3, 0]),
    ]
}

const SIZES: [(usize, usize); 6] = [(1, 1), (1, 5), (4, 1), (3, 3), (6, 4), (7, 9)];

/// The taps of an output inside the map: tap and position, row by row.
fn taps(window: &Window, size: Size, row: usize, column: usize) -> Vec<(usize, usize)> {
    let mut inside = vec![];
    for i in 0..window.kernel[0] {
        for j in 0..window.kernel[1] {
            let y = (row * window.stride[0] + i * window.dilation[0]).checked_sub(window.before[0]);
            let x = (column * window.stride[1] + j * window.dilation[1]).checked_sub(window.before[1]);
            if let (Some(y), Some(x)) = (y, x)
                && y < size.height
                && x < size.width
            {
                inside.push((i * window.kernel[1] + j, y * size.width + x));
            }
        }
    }
    inside
}

/// Every window over every map it fits, with the taps of all outputs.
pub(crate) fn cases() -> impl Iterator<Item = (Window, Size, Vec<Vec<(usize, usize)>>)> {
    let all = SIZES.into_iter().flat_map(|(height, width)| windows().into_iter().map(move |w| (w, Size { height, width })));
    all.filter_map(|(window, size)| {
        let out = window.output(size)?;
        let outputs = (0..out.positions()).map(|i| taps(&window, size, i / out.width, i % out.width));
        Some((window, size, outputs.collect()))
    })
}

#[test]
fn sizes_are_those_of_the_formula() {
    let same = window([3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
    let size = Size { height: 5, width: 8 };
    assert_eq!(same.output(size), Some(size));
    assert_eq!(window([3, 3], [2, 2], [1, 1], [1, 1], [1, 1]).output(size), Some(Size { height: 3, width: 4 }));
    assert_eq!(window([3, 3], [1, 1], [3, 1], [0, 0], [0, 0]).output(size), None, "seven rows over five");
    for wrong in [window([0, 1], [1, 1], [1, 1], [0, 0], [0, 0]), window([1, 1], [0, 1], [1, 1], [0, 0], [0, 0])] {
        assert_eq!(wrong.output(size), None, "{wrong:?}");
    }
    assert_eq!(window([1, 1], [1, 1], [0, 1], [0, 0], [0, 0]).output(size), None);
    assert_eq!(window([usize::MAX, 1], [1, 1], [3, 1], [usize::MAX, 0], [1, 0]).output(size), None);
}

#[test]
fn rows_hold_what_lies_under_the_window() {
    let mut random = Random::new(31);
    for (window, size, outputs) in cases() {
        // All channels of a position, or fewer than it has.
        for (stride, channels) in [(3, 3), (16, 16), (16, 10)] {
            let map = random.floats(size.positions() * stride);
            let depth = (window.taps() * channels).next_multiple_of(16);
            let mut wanted = vec![0.0; outputs.len() * depth];
            for (row, taps) in wanted.chunks_mut(depth).zip(&outputs) {
                for &(tap, at) in taps {
                    row[tap * channels..][..channels].copy_from_slice(&map[at * stride..][..channels]);
                }
            }
            for first in [0, outputs.len() / 2] {
                let mut out = vec![f32::NAN; (outputs.len() - first) * depth];
                gather(Map { values: &map, size, channels: stride }, channels, &window, first, depth, &mut out);
                assert_eq!(bits(&out), bits(&wanted[first * depth..]), "{window:?} over {size:?}, {channels} of {stride} channels");
            }
        }
    }
}

#[test]
fn depthwise_is_the_definition_on_every_isa() {
    let mut random = Random::new(32);
    for (window, size, outputs) in cases() {
        for channels in [16, 80] {
            let map = random.floats(size.positions() * channels);
            let (weights, bias) = (random.floats(window.taps() * channels), random.floats(channels));
            let value = |taps: &[(usize, usize)], c: usize| {
                taps.iter().fold(bias[c], |acc, &(tap, at)| map[at * channels + c].mul_add(weights[tap * channels + c], acc))
            };
            let wanted: Vec<f32> = outputs.iter().flat_map(|taps| (0..channels).map(|c| value(taps, c))).collect();
            for isa in isas() {
                for first in [0, outputs.len() / 2] {
                    let mut out = vec![f32::NAN; wanted.len() - first * channels];
                    depthwise_map(isa, Map { values: &map, size, channels }, &window, &weights, &bias, first, &mut out);
                    assert_eq!(bits(&out), bits(&wanted[first * channels..]), "{window:?} over {size:?}, {channels} channels, {isa}");
                }
            }
        }
    }
}

#[test]
fn rows_of_f32_are_multiplied_by_the_definition() {
    let mut random = Random::new(35);
    for (rows, depth, outputs) in [(0, 9, 16), (1, 1, 16), (5, 27, 80), (3, 64, 48), (9, 27, 32), (8, 11, 112), (15, 5, 48)] {
        let (x, weights, bias) = (random.floats(rows * depth), random.floats(depth * outputs), random.floats(outputs));
        let value = |row: usize, n: usize| (0..depth).fold(bias[n], |acc, k| x[row * depth + k].mul_add(weights[k * outputs + n], acc));
        let wanted: Vec<f32> = (0..rows).flat_map(|row| (0..outputs).map(move |n| (row, n))).map(|(row, n)| value(row, n)).collect();
        for isa in isas() {
            let mut out = vec![f32::NAN; rows * outputs];
            multiply_rows(isa, &x, &weights, &bias, &mut out);
            assert_eq!(bits(&out), bits(&wanted), "{rows} rows of {depth} to {outputs}, {isa}");
        }
    }
}

#[test]
fn pooling_is_the_definition_on_every_isa() {
    let mut random = Random::new(33);
    let channels = 32;
    for (window, size, outputs) in cases().filter(|(.., outputs)| outputs.iter().all(|taps| !taps.is_empty())) {
        let map = random.floats(size.positions() * channels);
        for pool in [Pool::Max, Pool::Mean, Pool::PaddedMean] {
            let value = |taps: &[(usize, usize)], c: usize| {
                let x = taps.iter().map(|&(_, at)| map[at * channels + c]);
                match pool {
                    Pool::Max => x.fold(f32::MIN, f32::max),
                    Pool::Mean => x.fold(0.0, |sum, x| sum + x) / taps.len() as f32,
                    Pool::PaddedMean => x.fold(0.0, |sum, x| sum + x) / window.taps() as f32,
                }
            };
            let wanted: Vec<f32> = outputs.iter().flat_map(|taps| (0..channels).map(|c| value(taps, c))).collect();
            for isa in isas() {
                for first in [0, outputs.len() / 2] {
                    let mut out = vec![f32::NAN; wanted.len() - first * channels];
                    pool_map(isa, Map { values: &map, size, channels }, &window, pool, first, &mut out);
                    assert_eq!(bits(&out), bits(&wanted[first * channels..]), "{pool:?} of {window:?} over {size:?}, {isa}");
                }
            }
        }
    }
}

/// Figures whose products or sums wrap around to what would fit.
#[test]
fn absurd_geometry_is_refused() {
    let refused = |make: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(make)).is_err();
    let half = 1 << (usize::BITS / 2);
    let one = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], before: [0, 0], after: [0, 0] };
    let isa = ossicle_kernels::simd::Isa::detect();
    let empty = Map { values: &[], size: Size { height: half, width: half }, channels: 16 };
    assert!(refused(&|| gather(empty, 16, &one, 0, 16, &mut [0.0; 16])), "a map of 2^64 positions");
    let map = Map { values: &[0.0; 16], size: Size { height: 1, width: 1 }, channels: 16 };
    assert!(refused(&|| gather(map, 16, &one, usize::MAX, 16, &mut [0.0; 16])), "an output whose end is 0");
    assert!(refused(&|| pool_map(isa, map, &one, Pool::Max, usize::MAX, &mut [0.0; 16])), "an output whose end is 0");
    let wide = Window { kernel: [half, half], before: [half, half], ..one };
    assert!(wide.taps() > 1 << 20 && refused(&|| gather(map, 16, &wide, 0, 16, &mut [0.0; 16])), "2^64 taps");
    let far = Window { before: [usize::MAX - 7, 0], ..one };
    assert_eq!(far.output(map.size), None, "rows above that no signed number counts");
    let rows_of = |rows: usize, depth: usize, stride: usize| {
        let (mut values, mut scales, mut sums) = ([0; 48], [0.0; 3], [0; 3]);
        quantize_rows(isa, &[0.0; 16], 16, stride, &mut QuantRows::new(&mut values, &mut scales, &mut sums, rows, depth));
    };
    rows_of(1, 16, 0);
    assert!(refused(&|| rows_of(3, 16, 1 << (usize::BITS - 1))), "a third row where the first is");
    assert!(refused(&|| rows_of(2, 1 << (usize::BITS - 1), 0)), "rows of 2^63 in nothing");
}

#[test]
fn rows_with_an_offset_follow_the_contract() {
    let mut random = Random::new(34);
    let (rows, depth, stride) = (5, 48, 64);
    for offset in [0.0, 0.375] {
        // One value lies below what the offset promises, one row is nothing but the offset.
        let mut x: Vec<f32> = random.floats(rows * stride).iter().map(|x| (x * 9.0).max(-offset)).collect();
        x[3] = -offset - 0.1;
        x[2 * stride..3 * stride].fill(-offset);
        let (mut values, mut scales) = (vec![], vec![]);
        for row in x.chunks(stride).map(|row| &row[..depth]) {
            let shifted = row.iter().map(|x| (x + offset).max(0.0));
            let largest = shifted.clone().fold(0.0, f32::max);
            let zero = largest < 1e-30;
            scales.push(if zero { 0.0 } else { largest / 255.0 });
            values.extend(shifted.map(|x| if zero { 0 } else { (x * (255.0 / largest)).round_ties_even() as u8 }));
        }
        assert!(values.contains(&255) && scales.contains(&0.0));
        for isa in isas() {
            let (mut q, mut s) = (vec![99; rows * depth], vec![-1.0; rows]);
            quantize_offset_rows(isa, &x, stride, offset, &mut UnsignedRows::new(&mut q, &mut s, rows, depth));
            assert_eq!((q, bits(&s)), (values.clone(), bits(&scales)), "offset {offset}, {isa}");
        }
    }
}
