//! The probes.

use std::hint::black_box;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_kernels::attention::{
    CausalCache, HEAD, Keys, QUERIES as TALL, Queries, Scratch, Values, attend, attend_causal, pack_values, padded, quantize_heads,
    scatter_keys,
};
use ossicle_kernels::conv::Size;
use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::math;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::rows::{layer_norm_quantize_rows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};
use ossicle_kernels::window::{Map, Window, depthwise_map};

use crate::data::{Head, Rows, noise, weights};
use crate::{DEPTHS, ELEMENTS, FLOAT_FILTER, FLOAT_PRODUCT, FRAMES, KEYS, LOGITS, OUTPUTS, QUERIES, ROWS, TEXT, VECTOR};

/// Runs a kernel once on buffers of its own.
pub type Probe = Box<dyn FnMut()>;

/// All probes.
pub const NAMES: [&str; 15] = [
    "product-short",
    "product-long",
    "product-gelu",
    "vector",
    "float-product",
    "float-filter",
    "quantize",
    "normalize",
    "head",
    "pack",
    "attend",
    "attend-one",
    "causal",
    "mel",
    "logits",
];

/// The probe of that name, its buffers filled.
pub fn probe(name: &str, isa: Isa) -> Option<Probe> {
    Some(match name {
        "product-short" => product(isa, ROWS, DEPTHS[0], OUTPUTS, Finish::Store),
        "product-long" => product(isa, ROWS, DEPTHS[1], OUTPUTS, Finish::Store),
        "product-gelu" => product(isa, ROWS, DEPTHS[0], OUTPUTS, Finish::Gelu),
        "vector" => product(isa, 1, VECTOR[0], VECTOR[1], Finish::Store),
        "float-product" => {
            let [rows, depth, outputs] = FLOAT_PRODUCT;
            let (x, weights, bias, mut out) = (noise(rows * depth), noise(depth * outputs), vec![0.0; outputs], vec![0.0; rows * outputs]);
            Box::new(move || multiply_rows(isa, black_box(&x), &weights, &bias, &mut out))
        }
        "float-filter" => {
            let [height, width, channels] = FLOAT_FILTER;
            let size = Size { height, width };
            let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], before: [1, 1], after: [1, 1] };
            let (x, weights, bias) = (noise(size.positions() * channels), noise(9 * channels), vec![0.0; channels]);
            let mut out = vec![0.0; size.positions() * channels];
            Box::new(move || depthwise_map(isa, Map { values: black_box(&x), size, channels }, &window, &weights, &bias, 0, &mut out))
        }
        "quantize" => {
            let [rows, width] = ELEMENTS;
            let (x, mut out) = (noise(rows * width), Rows::new(rows, width));
            Box::new(move || quantize_rows(isa, black_box(&x), width, width, &mut out.get()))
        }
        "normalize" => {
            let [rows, width] = ELEMENTS;
            let (x, gamma, beta) = (noise(rows * width), vec![1.0; width], vec![0.0; width]);
            let (mut row, mut out) = (vec![0.0; width], Rows::new(rows, width));
            Box::new(move || layer_norm_quantize_rows(isa, black_box(&x), &gamma, &beta, &mut row, &mut out.get()))
        }
        "head" => {
            let [rows, width] = ELEMENTS;
            let heads = width / HEAD;
            let (x, mut keys) = (noise(rows * width), vec![0; padded(rows) * width]);
            Box::new(move || {
                for (i, head) in black_box(&x).chunks_exact(HEAD).enumerate() {
                    let (mut values, mut scale) = ([0; HEAD], [0.0]);
                    quantize_heads(isa, head, &mut values, &mut scale);
                    scatter_keys(&values, i / heads, i % heads, heads, &mut keys);
                }
                black_box(&keys);
            })
        }
        "pack" => {
            let (x, mut values) = (noise(KEYS * HEAD), vec![0; padded(KEYS) * HEAD]);
            let (mut scales, mut sums) = (vec![0.0; HEAD], vec![0; HEAD]);
            Box::new(move || pack_values(isa, black_box(&x), HEAD, KEYS, &mut values, &mut scales, &mut sums))
        }
        "attend" => attention(isa, QUERIES),
        "attend-one" => attention(isa, 1),
        "causal" => causal(isa),
        "mel" => {
            let samples: Vec<f32> = noise(FRAMES * 160).iter().map(|x| x / 256.0).collect();
            let (log_mel, mut scratch) = (LogMel::new(isa, 80).ok()?, Box::<MelScratch>::default());
            let mut out = vec![0.0; FRAMES * 80];
            Box::new(move || {
                let _ = black_box(log_mel.window(black_box(&samples), 0, &mut out, &mut scratch));
            })
        }
        "logits" => {
            let x = noise(LOGITS);
            Box::new(move || {
                black_box(isa.dispatch(Choose(black_box(&x))));
            })
        }
        _ => return None,
    })
}

fn product(isa: Isa, rows: usize, depth: usize, outputs: usize, finish: Finish) -> Probe {
    let (weights, scales, bias) = (weights(outputs * depth), vec![0.01; outputs], vec![0.0; outputs]);
    let (mut rows, mut out) = (Rows::quantized(isa, rows, depth), vec![0.0; rows * outputs]);
    Box::new(move || {
        let layer = Linear { weights: Blocks::new(black_box(&weights), depth), scales: &scales, bias: &bias };
        let rows = rows.get();
        linear(isa, rows.as_rows(), rows.scales, &layer, finish, &mut out);
    })
}

fn attention(isa: Isa, queries: usize) -> Probe {
    let (head, query, query_scales) = (Head::new(KEYS), weights(queries * HEAD), vec![0.001; queries]);
    let (mut scores, mut probs) = (vec![0.0; TALL * padded(KEYS)], vec![0; TALL * padded(KEYS)]);
    let mut out = vec![0.0; queries * HEAD];
    Box::new(move || {
        let queries = Queries { values: black_box(&query), scales: &query_scales, heads: 1 };
        let keys = Keys { values: &head.keys, scales: &head.key_scales, tokens: KEYS, heads: 1 };
        let values = Values { values: &head.values, scales: &head.scales, sums: &head.sums };
        attend(isa, queries, keys, values, 0, &mut Scratch { scores: &mut scores, probs: &mut probs }, &mut out);
    })
}

fn causal(isa: Isa) -> Probe {
    let (mut head, query) = (Head::new(TEXT), weights(HEAD));
    let (mut value_scales, mut scores, mut out) = (vec![0.01; TEXT], vec![0.0; padded(TEXT)], vec![0.0; HEAD]);
    Box::new(move || {
        let cache = CausalCache {
            keys: &mut head.keys,
            key_scales: &mut head.key_scales,
            values: &mut head.values,
            value_scales: &mut value_scales,
            heads: 1,
        };
        let query = Queries { values: black_box(&query), scales: &[0.001], heads: 1 };
        attend_causal(isa, query, &cache, TEXT, 0, &mut scores, &mut out);
    })
}

/// What choosing a token does to each logit: two maxima, and a sum of exponentials.
struct Choose<'a>(&'a [f32]);

impl SimdOp for Choose<'_> {
    type Output = (f32, usize);

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Self::Output {
        let chunks = self.0.as_chunks::<LANES>().0;
        let largest = |lanes: S::F32| {
            let mut out = [0.0; LANES];
            s.store(lanes, &mut out);
            out.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b))
        };
        let most = || largest(chunks.iter().fold(s.splat(f32::NEG_INFINITY), |m, chunk| s.max(m, s.load(chunk))));
        let (first, second) = (most(), black_box(most()));
        let lowest = s.splat(-87.0);
        let add = |sum, chunk: &[f32; LANES]| s.add(sum, math::exp(s, s.max(s.sub(s.load(chunk), s.splat(second)), lowest)));
        let sum = chunks.iter().fold(s.splat(0.0), add);
        (largest(sum), self.0.iter().position(|&x| x == first).unwrap_or(0))
    }
}
