//! Made-up values: no kernel's work depends on them.

use ossicle_kernels::attention::{HEAD, padded};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::Isa;

/// Values in -128..128.
pub(crate) fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 256.0 - 128.0
    };
    (0..count).map(|_| next()).collect()
}

/// Weights in -127..=127.
pub(crate) fn weights(count: usize) -> Vec<i8> {
    noise(count).iter().map(|x| (*x as i8).max(-127)).collect()
}

/// Rows quantised, with memory for them.
pub(crate) struct Rows {
    values: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    rows: usize,
    depth: usize,
}

impl Rows {
    pub(crate) fn new(rows: usize, depth: usize) -> Self {
        Self { values: vec![0; rows * depth], scales: vec![0.0; rows], sums: vec![0; rows], rows, depth }
    }

    pub(crate) fn quantized(isa: Isa, rows: usize, depth: usize) -> Self {
        let mut new = Self::new(rows, depth);
        quantize_rows(isa, &noise(rows * depth), depth, depth, &mut new.get());
        new
    }

    pub(crate) fn get(&mut self) -> QuantRows<'_> {
        QuantRows::new(&mut self.values, &mut self.scales, &mut self.sums, self.rows, self.depth)
    }
}

/// One head's keys and values.
pub(crate) struct Head {
    pub(crate) keys: Vec<i8>,
    pub(crate) key_scales: Vec<f32>,
    pub(crate) values: Vec<i8>,
    pub(crate) scales: Vec<f32>,
    pub(crate) sums: Vec<i32>,
}

impl Head {
    pub(crate) fn new(tokens: usize) -> Self {
        let width = padded(tokens);
        Self {
            keys: weights(width * HEAD),
            key_scales: vec![0.01; width],
            values: weights(width * HEAD),
            scales: vec![0.01; HEAD],
            sums: vec![0; HEAD],
        }
    }
}
