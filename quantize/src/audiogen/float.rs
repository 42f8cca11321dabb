//! The language model in f32, over a whole sequence at once: what INT8 is measured against.

use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::attention::HEAD;
use ossicle_kernels::simd::Isa;

use super::LanguageModel;
use crate::encodec::Stage;
use crate::vectors::{add, apply, dot};

impl LanguageModel {
    /// The position's row: cosines, then sines.
    pub(super) fn position(&self, at: usize) -> Vec<f32> {
        let half = self.config.hidden_size / 2;
        let phase = |i: usize| at as f64 / 10_000f64.powf(i as f64 / (half - 1) as f64);
        (0..half).map(|i| phase(i).cos() as f32).chain((0..half).map(|i| phase(i).sin() as f32)).collect()
    }

    /// The logits after each step of a sequence `[steps][codebooks]`, `[steps][codebooks][codes]`, with a description's rows or none; `tap` sees the
    /// rows after each layer, `[steps][hidden_size]`.
    pub fn logits(&self, tokens: &[u32], text: &[f32], tap: &mut dyn FnMut(Stage)) -> Vec<f32> {
        let config = &self.config;
        let (width, inner, codebooks) = (config.hidden_size, config.ffn_dim, config.num_codebooks);
        let mut x = vec![];
        for (at, tokens) in tokens.chunks_exact(codebooks).enumerate() {
            let mut row = vec![0.0; width];
            for (&token, embedding) in tokens.iter().zip(&self.embeddings) {
                add(&mut row, &embedding[token as usize * width..]);
            }
            add(&mut row, &self.position(at));
            x.extend(row);
        }
        let text = match &self.text_projection {
            Some((weight, bias)) => {
                let mut rows = apply(text, weight, config.text_size);
                rows.chunks_exact_mut(width).for_each(|row| add(row, bias));
                rows
            }
            None => text.to_vec(),
        };
        let mut stage = |name: String, x: &[f32]| tap(Stage { name, channels: width, values: x.to_vec() });
        stage("embed".into(), &x);
        for (i, layer) in self.layers.iter().enumerate() {
            let qkv = apply(&layer.self_norm.apply(&x), &layer.qkv, width);
            let part = |rows: &[f32], all: usize, part: usize| -> Vec<f32> {
                rows.chunks_exact(all * width).flat_map(|row| &row[part * width..][..width]).copied().collect()
            };
            let attended = attention(&part(&qkv, 3, 0), &part(&qkv, 3, 1), &part(&qkv, 3, 2), width, true);
            add(&mut x, &apply(&attended, &layer.out, width));
            if !text.is_empty() {
                let queries = apply(&layer.cross_norm.apply(&x), &layer.cross_query, width);
                let kv = apply(&text, &layer.cross_kv, width);
                let attended = attention(&queries, &part(&kv, 2, 0), &part(&kv, 2, 1), width, false);
                add(&mut x, &apply(&attended, &layer.cross_out, width));
            }
            let mut hidden = apply(&layer.forward_norm.apply(&x), &layer.up, width);
            activate(Isa::detect(), Activation::Gelu, &mut hidden);
            add(&mut x, &apply(&hidden, &layer.down, inner));
            stage(format!("layer.{i}"), &x);
        }
        apply(&self.norm.apply(&x), &self.heads, width)
    }
}

fn attention(queries: &[f32], keys: &[f32], values: &[f32], width: usize, causal: bool) -> Vec<f32> {
    let mut out = vec![0.0; queries.len()];
    for (row, (query, out)) in queries.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let seen = if causal { row + 1 } else { keys.len() / width };
        for head in 0..width / HEAD {
            let own = head * HEAD..(head + 1) * HEAD;
            let keys = keys.chunks_exact(width).take(seen);
            let mut scores: Vec<f32> = keys.map(|key| dot(&query[own.clone()], &key[own.clone()]) / (HEAD as f32).sqrt()).collect();
            softmax(Isa::detect(), &mut scores);
            for (score, value) in scores.iter().zip(values.chunks_exact(width)) {
                out[own.clone()].iter_mut().zip(&value[own.clone()]).for_each(|(out, value)| *out += score * value);
            }
        }
    }
    out
}
