//! Signal-to-noise of quantised layers, by plain integer loops.

use crate::float::CONV_TAPS;
use crate::pack::{QuantizedRows, quantize_row};

/// Energies of a signal and of the error made on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// Adds one value and its approximation.
    pub fn add(&mut self, exact: f64, approximate: f64) {
        self.signal += exact * exact;
        self.noise += (exact - approximate) * (exact - approximate);
    }

    /// Adds what another measurement saw.
    pub fn join(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// Signal over noise in decibel; none without signal, infinite without noise.
    pub fn decibels(&self) -> Option<f64> {
        (self.signal > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// What quantising the weight alone does to the weight.
///
/// # Panics
/// When `weight` is not `q.rows * q.inputs` long.
pub fn weight_noise(weight: &[f32], q: &QuantizedRows) -> Noise {
    assert_eq!(weight.len(), q.values.len());
    let mut noise = Noise::default();
    for (i, (w, v)) in weight.iter().zip(&q.values).enumerate() {
        noise.add(f64::from(*w), f64::from(*v) * f64::from(q.scales[i / q.inputs]));
    }
    noise
}

/// What quantising input rows and weights does to the products `x W^T`, bias aside: each row with its own scale, the sums in integers.
///
/// # Panics
/// When `weight` or `rows` do not fit `q`.
pub fn output_noise(rows: &[f32], weight: &[f32], q: &QuantizedRows) -> Noise {
    assert_eq!(weight.len(), q.values.len());
    assert_eq!(rows.len() % q.inputs, 0);
    let mut noise = Noise::default();
    let mut x = vec![0i8; q.inputs];
    for row in rows.chunks_exact(q.inputs) {
        let row_scale = quantize_row(row, &mut x);
        for out in 0..q.rows {
            let at = out * q.inputs..(out + 1) * q.inputs;
            let exact = dot(row, &weight[at.clone()]);
            let sum: i32 = x.iter().zip(&q.values[at]).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            noise.add(exact, f64::from(sum) * f64::from(row_scale) * f64::from(q.scales[out]));
        }
    }
    noise
}

/// Eight sums side by side, so that the compiler may use vectors; far more exact than what is measured.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0f64; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    lanes.iter().sum::<f64>() + tail
}

/// The window of frames `stride * at - 1 ..= stride * at + 1` as one row, zeros outside: what a convolution multiplies.
pub fn conv_row(frames: &[f32], channels: usize, stride: usize, at: usize) -> Vec<f32> {
    let count = frames.len() / channels;
    let mut row = Vec::with_capacity(CONV_TAPS * channels);
    for tap in 0..CONV_TAPS {
        match (stride * at + tap).checked_sub(1).filter(|frame| *frame < count) {
            Some(frame) => row.extend_from_slice(&frames[frame * channels..][..channels]),
            None => row.resize(row.len() + channels, 0.0),
        }
    }
    row
}
