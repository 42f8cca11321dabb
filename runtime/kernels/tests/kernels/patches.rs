//! Windows quantised while they are gathered, against gathering first and quantising then, with `==`, on every instruction set.

use crate::common::{Random, bits, isas};
use crate::windows::cases;
use ossicle_kernels::patches::{Patches, quantize_offset_patches, quantize_patches};
use ossicle_kernels::rows::{QuantRows, UnsignedRows, quantize_offset_rows, quantize_rows};
use ossicle_kernels::window::{Map, gather};

/// Channels of the map, the first and the number of those taken, and values of each tap.
const SHAPES: [(usize, usize, usize, usize); 7] =
    [(3, 0, 3, 3), (16, 0, 16, 16), (16, 0, 10, 10), (96, 0, 96, 96), (64, 32, 32, 32), (48, 32, 16, 32), (32, 0, 27, 27)];

#[test]
fn patches_are_gathered_rows_quantised() {
    let mut random = Random::new(36);
    for (window, size, outputs) in cases() {
        for (stride, start, channels, width) in SHAPES {
            // Values above -0.3 and far below, one position of zeros.
            let mut values: Vec<f32> = random.floats(size.positions() * stride).iter().map(|x| (x * 3.0).max(-0.4)).collect();
            values[size.positions() / 2 * stride..][..stride].fill(0.0);
            let map = Map { values: &values, size, channels: stride };
            // The channels alone, and zeros up to the width, gathered.
            let own: Vec<f32> =
                values.chunks(stride).flat_map(|x| (0..width).map(|c| if c < channels { x[start + c] } else { 0.0 })).collect();
            let depth = (window.taps() * width).next_multiple_of(16);
            for first in [0, outputs.len() / 2] {
                let rows = outputs.len() - first;
                let mut gathered = vec![f32::NAN; rows * depth];
                gather(Map { values: &own, size, channels: width }, width, &window, first, depth, &mut gathered);
                let patches = Patches { map, channels: start..start + channels, width, window: &window, first };
                for isa in isas() {
                    let what = format!("{window:?} over {size:?}, {channels} of {stride} channels, {isa}");
                    let new = || (vec![99i8; rows * depth], vec![-1.0; rows], vec![7; rows]);
                    let (mut q, mut scales, mut sums) = new();
                    quantize_rows(isa, &gathered, depth, depth, &mut QuantRows::new(&mut q, &mut scales, &mut sums, rows, depth));
                    let (mut q2, mut scales2, mut sums2) = new();
                    quantize_patches(isa, &patches, &mut QuantRows::new(&mut q2, &mut scales2, &mut sums2, rows, depth));
                    assert_eq!((q, bits(&scales), sums), (q2, bits(&scales2), sums2), "{what}");
                    for offset in [0.0, 0.3] {
                        let (mut q, mut scales) = (vec![99; rows * depth], vec![-1.0; rows]);
                        let (mut q2, mut scales2) = (q.clone(), scales.clone());
                        quantize_offset_rows(isa, &gathered, depth, offset, &mut UnsignedRows::new(&mut q, &mut scales, rows, depth));
                        quantize_offset_patches(isa, &patches, offset, &mut UnsignedRows::new(&mut q2, &mut scales2, rows, depth));
                        assert_eq!((q, bits(&scales)), (q2, bits(&scales2)), "offset {offset}, {what}");
                    }
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "rows of 16")]
fn rows_too_short_for_a_window_are_no_patches() {
    let (window, size, _) = cases().find(|(window, ..)| window.taps() == 9).expect("a window of nine");
    let values = vec![0.0; size.positions() * 16];
    let patches = Patches { map: Map { values: &values, size, channels: 16 }, channels: 0..16, width: 16, window: &window, first: 0 };
    let (mut q, mut scales) = (vec![0; 16], vec![0.0; 1]);
    quantize_offset_patches(isas()[0], &patches, 0.0, &mut UnsignedRows::new(&mut q, &mut scales, 1, 16));
}
