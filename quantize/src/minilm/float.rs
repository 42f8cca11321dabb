//! The encoder in f32, as its authors wrote it: what INT8 is measured against and calibrated with.

use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::simd::Isa;

use super::{Encoder, Linear, Norm};
use crate::vectors::{add, dot, unit};

/// What goes into a layer's products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Of queries, keys and values.
    Qkv,
    /// Of the layer behind attention.
    Output,
    /// Of the feed-forward part.
    Up,
    /// What its activation gives.
    Down,
}

impl Encoder {
    /// The vector of a text's tokens, of length 1. `tap` sees the rows that go into each product.
    pub(super) fn encode(&self, tokens: &[u32], tap: &mut dyn FnMut(usize, Input, &[f32])) -> Vec<f32> {
        let (width, isa) = (self.config.hidden_size, Isa::detect());
        let mut x: Vec<f32> = Vec::with_capacity(tokens.len() * width);
        for (&token, position) in tokens.iter().zip(self.positions.chunks_exact(width)) {
            x.extend(self.words[token as usize * width..][..width].iter().zip(position).map(|(word, position)| word + position));
        }
        self.normalize(&mut x, &self.norm);
        for (i, layer) in self.layers.iter().enumerate() {
            tap(i, Input::Qkv, &x);
            let attention = self.attention(&layer.qkv.apply(&x));
            tap(i, Input::Output, &attention);
            add(&mut x, &layer.output.apply(&attention));
            self.normalize(&mut x, &layer.output_norm);
            tap(i, Input::Up, &x);
            let mut hidden = layer.up.apply(&x);
            activate(isa, Activation::Gelu, &mut hidden);
            tap(i, Input::Down, &hidden);
            add(&mut x, &layer.down.apply(&hidden));
            self.normalize(&mut x, &layer.down_norm);
        }
        let mut vector = vec![0.0; width];
        x.chunks_exact(width).for_each(|row| add(&mut vector, row));
        unit(&mut vector);
        vector
    }

    fn normalize(&self, x: &mut [f32], norm: &Norm) {
        let width = self.config.hidden_size;
        for row in x.chunks_exact_mut(width) {
            let mean = row.iter().sum::<f32>() / width as f32;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32;
            let inverse = 1.0 / (variance + self.config.layer_norm_eps).sqrt();
            for ((x, weight), bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
                *x = (*x - mean) * inverse * weight + bias;
            }
        }
    }

    /// `[tokens][3][heads][head]` to `[tokens][heads][head]`.
    fn attention(&self, qkv: &[f32]) -> Vec<f32> {
        let (width, head, isa) = (self.config.hidden_size, self.config.head_size(), Isa::detect());
        let rows: Vec<&[f32]> = qkv.chunks_exact(3 * width).collect();
        let scale = 1.0 / (head as f32).sqrt();
        let mut out = vec![0.0; rows.len() * width];
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
            for (i, out) in out.chunks_exact_mut(head).enumerate() {
                let own = |part: usize| part * width + i * head..part * width + (i + 1) * head;
                let mut scores: Vec<f32> = rows.iter().map(|other| scale * dot(&row[own(0)], &other[own(1)])).collect();
                softmax(isa, &mut scores);
                for (score, other) in scores.iter().zip(&rows) {
                    out.iter_mut().zip(&other[own(2)]).for_each(|(out, value)| *out += score * value);
                }
            }
        }
        out
    }
}

impl Linear {
    /// The layer on each row.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let inputs = self.inputs();
        let row = |x: &[f32]| -> Vec<f32> { self.weight.chunks_exact(inputs).zip(&self.bias).map(|(w, bias)| dot(x, w) + bias).collect() };
        x.chunks_exact(inputs).flat_map(row).collect()
    }
}
