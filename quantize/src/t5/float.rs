//! The encoder in f32: what INT8 is measured against.

use ossicle_kernels::activation::softmax;
use ossicle_kernels::simd::Isa;

use super::Encoder;
use crate::encodec::Stage;
use crate::vectors::{add, apply, dot};

impl Encoder {
    /// The rows of a text's tokens, `[tokens][d_model]`; `tap` sees the rows after each layer.
    pub fn rows(&self, tokens: &[u32], tap: &mut dyn FnMut(Stage)) -> Vec<f32> {
        let (width, inner) = (self.config.d_model, self.config.inner());
        let mut x: Vec<f32> = tokens.iter().flat_map(|&token| &self.embedding[token as usize * width..][..width]).copied().collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let qkv = apply(&self.norm_rows(&x, &layer.norm), &layer.qkv, width);
            add(&mut x, &apply(&self.attention(&qkv, tokens.len()), &layer.out, inner));
            let mut hidden = apply(&self.norm_rows(&x, &layer.forward_norm), &layer.up, width);
            hidden.iter_mut().for_each(|x| *x = x.max(0.0));
            add(&mut x, &apply(&hidden, &layer.down, self.config.d_ff));
            tap(Stage { name: format!("layer.{i}"), channels: width, values: x.clone() });
        }
        self.norm_rows(&x, &self.norm)
    }

    fn norm_rows(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| -> Vec<f32> {
            let inverse = 1.0 / (dot(row, row) / row.len() as f32 + self.config.layer_norm_epsilon).sqrt();
            row.iter().zip(weight).map(|(x, weight)| x * inverse * weight).collect()
        };
        x.chunks_exact(weight.len()).flat_map(row).collect()
    }

    fn attention(&self, qkv: &[f32], tokens: usize) -> Vec<f32> {
        let (head, inner) = (self.config.d_kv, self.config.inner());
        let part = |token: usize, part: usize, own: usize| &qkv[token * 3 * inner + part * inner + own * head..][..head];
        let mut out = vec![0.0; tokens * inner];
        for (row, out) in out.chunks_exact_mut(inner).enumerate() {
            for (own, out) in out.chunks_exact_mut(head).enumerate() {
                let score =
                    |key: usize| dot(part(row, 0, own), part(key, 1, own)) + self.bias_of(own, key.cast_signed() - row.cast_signed());
                let mut scores: Vec<f32> = (0..tokens).map(score).collect();
                softmax(Isa::detect(), &mut scores);
                for (key, score) in scores.iter().enumerate() {
                    out.iter_mut().zip(part(key, 2, own)).for_each(|(out, value)| *out += score * value);
                }
            }
        }
        out
    }
}
