//! Quantisation and packing against plain loops.

use ossicle_quantize::pack::{pack, quantize_rows, tap_major, unpack};
use proptest::prelude::*;

/// `[b][k4][n][i] = q[16 b + n][4 k4 + i]`, rows past the end zero.
fn pack_by_loops(q: &[i8], rows: usize, inputs: usize) -> Vec<i8> {
    let mut out = Vec::new();
    for b in 0..rows.div_ceil(16) {
        for k4 in 0..inputs / 4 {
            for n in 0..16 {
                for i in 0..4 {
                    let row = 16 * b + n;
                    out.push(if row < rows { q[row * inputs + 4 * k4 + i] } else { 0 });
                }
            }
        }
    }
    out
}

#[test]
fn packing_matches_the_loops_and_unpacks() {
    for rows in [1, 15, 16, 17, 46, 48] {
        for inputs in [4, 8, 12, 240] {
            let q: Vec<i8> = (0..rows * inputs).map(|i| (i * 37 % 255) as u8 as i8).collect();
            let packed = pack(&q, rows, inputs);
            assert_eq!(packed, pack_by_loops(&q, rows, inputs), "{rows} x {inputs}");
            assert_eq!(unpack(&packed, rows, inputs), q, "{rows} x {inputs}");
        }
    }
}

#[test]
fn rows_follow_the_contract() {
    // 127 / 2 = 63.5: halves go to the even neighbour.
    let q = quantize_rows(&[2.0, 1.0, -1.0, 3.0 / 127.0, 0.0, 0.0, 0.0, 0.0, -4.0, 4.0, 1e-9, 2.0], 3, 4);
    assert_eq!(q.values, [127, 64, -64, 2, 0, 0, 0, 0, -127, 127, 0, 64]);
    assert_eq!(q.scales, [2.0 / 127.0, 0.0, 4.0 / 127.0]);
}

#[test]
fn subnormal_rows_become_zero() {
    let q = quantize_rows(&[1e-40, -1e-40, 0.0, 0.0, f32::MAX, f32::MIN, 0.0, 1.0], 2, 4);
    assert_eq!(q.values, [0, 0, 0, 0, 127, -127, 0, 0]);
    assert_eq!(q.scales[0], 0.0);
    assert!(q.scales[1].is_finite());
}

#[test]
fn tap_major_puts_channels_inside() {
    // [out][channel][tap] -> [out][tap][channel]
    let w: Vec<f32> = (0..12).map(|v| v as f32).collect();
    assert_eq!(tap_major(&w, 2, 2, 3), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]);
}

proptest! {
    #[test]
    fn quantised_values_stay_within_half_a_step(row in prop::collection::vec(-1e6f32..1e6, 1..64)) {
        let q = quantize_rows(&row, 1, row.len());
        for (x, v) in row.iter().zip(&q.values) {
            prop_assert!((-127..=127).contains(v));
            prop_assert!((x - f32::from(*v) * q.scales[0]).abs() <= 0.5001 * q.scales[0]);
        }
    }
}
