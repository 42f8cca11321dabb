//! Codebooks of residual vector quantisers, as they stand in a model folder.

use crate::tensors::Tensor;

/// Tensors of codebook `q`, `[codes][channels]`: `[channels][codes]`, and half of each code's squared length, below zero.
pub(crate) fn codebook(q: usize, book: &[f32], channels: usize, codes: usize) -> [Tensor; 2] {
    let mut turned = vec![0.0; channels.next_multiple_of(16) * codes];
    let half = |code: &[f32]| -> f64 { code.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / 2.0 };
    let offset = book.chunks_exact(channels).map(|code| -half(code) as f32).collect();
    for (code, values) in book.chunks_exact(channels).enumerate() {
        values.iter().enumerate().for_each(|(channel, value)| turned[channel * codes + code] = *value);
    }
    [
        Tensor::floats(format!("quantizer.{q}.codebook"), vec![channels.next_multiple_of(16), codes], turned),
        Tensor::floats(format!("quantizer.{q}.offset"), vec![codes], offset),
    ]
}
