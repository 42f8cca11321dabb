//! Attention against f64 in plain loops, and with `==` between instruction sets.

use crate::common::{Random, bits, isas};
use ossicle_kernels::attention::{
    CausalCache, HEAD, Keys, QUERIES, Queries, Scratch, Values, attend, attend_causal, gather_key, pack_values, padded, probabilities,
    quantize_heads, scatter_keys, unpack_values,
};
use ossicle_kernels::simd::Isa;

/// `softmax(q k^T / 8) v` for one head of `[rows][heads][64]`.
fn reference(q: &[f32], k: &[f32], v: &[f32], heads: usize, head: usize, row: usize, tokens: usize) -> (Vec<f64>, Vec<f64>) {
    let at = |x: &[f32], row: usize, c: usize| f64::from(x[(row * heads + head) * HEAD + c]);
    let scores: Vec<f64> = (0..tokens).map(|t| (0..HEAD).map(|c| at(q, row, c) * at(k, t, c)).sum::<f64>() / 8.0).collect();
    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let probs: Vec<f64> = powers.iter().map(|p| p / sum).collect();
    let out = (0..HEAD).map(|c| (0..tokens).map(|t| probs[t] * at(v, t, c)).sum()).collect();
    (probs, out)
}

struct Inputs {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

fn inputs(seed: u64, rows: usize, tokens: usize, heads: usize) -> Inputs {
    let mut random = Random::new(seed);
    let sharp = |x: Vec<f32>| x.into_iter().map(|x| 2.0 * x).collect();
    Inputs {
        q: sharp(random.floats(rows * heads * HEAD)),
        k: sharp(random.floats(tokens * heads * HEAD)),
        v: random.floats(tokens * heads * HEAD),
    }
}

fn run(isa: Isa, x: &Inputs, rows: usize, tokens: usize, heads: usize) -> (Vec<f32>, Vec<f32>) {
    let (width, padded) = (heads * HEAD, padded(tokens));
    let (mut q, mut q_scales) = (vec![0; rows * width], vec![0.0; rows * heads]);
    quantize_heads(isa, &x.q, &mut q, &mut q_scales);
    // What is beyond the tokens must not matter.
    let (mut keys, mut key_scales) = (vec![77; padded * width], vec![3.0; padded * heads]);
    for token in 0..tokens {
        for head in 0..heads {
            let (mut key, mut scale) = ([0; HEAD], [0.0]);
            quantize_heads(isa, &x.k[(token * heads + head) * HEAD..][..HEAD], &mut key, &mut scale);
            scatter_keys(&key, token, head, heads, &mut keys);
            key_scales[(token / 16 * heads + head) * 16 + token % 16] = scale[0];
        }
    }
    let (mut values, mut scales, mut sums) = (vec![55; padded * width], vec![0.0; width], vec![0; width]);
    for head in 0..heads {
        let columns = head * HEAD..(head + 1) * HEAD;
        let packed = &mut values[head * padded * HEAD..][..padded * HEAD];
        pack_values(isa, &x.v[head * HEAD..], width, tokens, packed, &mut scales[columns.clone()], &mut sums[columns]);
    }
    let (mut scores, mut probs) = (vec![f32::NAN; QUERIES * padded], vec![99; QUERIES * padded]);
    let queries = Queries { values: &q, scales: &q_scales, heads };
    let keys = Keys { values: &keys, scales: &key_scales, tokens, heads };
    let values = Values { values: &values, scales: &scales, sums: &sums };
    let mut out = vec![f32::NAN; rows * width];
    let mut weights = vec![f32::NAN; heads * rows * tokens];
    for head in 0..heads {
        attend(isa, queries, keys, values, head, &mut Scratch { scores: &mut scores, probs: &mut probs }, &mut out);
        probabilities(isa, queries, keys, head, &mut scores, &mut weights[head * rows * tokens..]);
    }
    (out, weights)
}

#[test]
fn attention_is_close_to_f64_and_equal_everywhere() {
    for (rows, tokens, heads) in [(1, 1, 1), (1, 5, 2), (2, 16, 1), (12, 17, 3), (13, 30, 2), (25, 100, 1), (3, 750, 6)] {
        let x = inputs(rows as u64, rows, tokens, heads);
        let mut first: Option<(Vec<u32>, Vec<u32>)> = None;
        for isa in isas() {
            let (out, weights) = run(isa, &x, rows, tokens, heads);
            for head in 0..heads {
                for row in 0..rows {
                    let (probs, want) = reference(&x.q, &x.k, &x.v, heads, head, row, tokens);
                    for c in 0..HEAD {
                        let got = f64::from(out[(row * heads + head) * HEAD + c]);
                        assert!((got - want[c]).abs() < 0.02, "{rows} x {tokens} x {heads}: {got}, not {} on {isa}", want[c]);
                    }
                    for t in 0..tokens {
                        let got = f64::from(weights[(head * rows + row) * tokens + t]);
                        assert!((got - probs[t]).abs() < 0.02, "probability {got}, not {} on {isa}", probs[t]);
                    }
                }
            }
            let this = (bits(&out), bits(&weights));
            assert_eq!(*first.get_or_insert_with(|| this.clone()), this, "{rows} x {tokens} x {heads} on {isa}");
        }
    }
}

#[test]
fn attention_to_equal_keys_is_the_mean_of_the_values() {
    // All powers are 1, the worst case for a sum of many small probabilities.
    let (rows, tokens) = (1, 1500);
    let mut x = inputs(9, rows, tokens, 1);
    x.k.fill(0.0);
    for isa in isas() {
        let (out, _) = run(isa, &x, rows, tokens, 1);
        for c in 0..HEAD {
            let mean = (0..tokens).map(|t| f64::from(x.v[t * HEAD + c])).sum::<f64>() / tokens as f64;
            assert!((f64::from(out[c]) - mean).abs() < 2e-4, "{} instead of {mean} on {isa}", out[c]);
        }
    }
}

#[test]
fn causal_attention_is_close_to_f64_and_equal_everywhere() {
    let (tokens, heads) = (40, 2);
    let width = heads * HEAD;
    let x = inputs(11, tokens, tokens, heads);
    let mut first: Option<Vec<u32>> = None;
    for isa in isas() {
        let size = padded(tokens);
        let (mut keys, mut key_scales) = (vec![88; size * width], vec![7.0; size * heads]);
        let (mut values, mut value_scales) = (vec![66; size * width], vec![5.0; size * heads]);
        let mut cache =
            CausalCache { keys: &mut keys, key_scales: &mut key_scales, values: &mut values, value_scales: &mut value_scales, heads };
        let mut all = vec![];
        for token in 0..tokens {
            let row = token * width..(token + 1) * width;
            cache.put(isa, token, &x.k[row.clone()], &x.v[row.clone()]);
            let (mut q, mut scales) = (vec![0; width], vec![0.0; heads]);
            quantize_heads(isa, &x.q[row], &mut q, &mut scales);
            for head in 0..heads {
                let (mut scores, mut out) = (vec![f32::NAN; size], [f32::NAN; HEAD]);
                let query = Queries { values: &q, scales: &scales, heads };
                attend_causal(isa, query, &cache, token + 1, head, &mut scores, &mut out);
                let (_, want) = reference(&x.q, &x.k, &x.v, heads, head, token, token + 1);
                for (got, want) in out.iter().zip(&want) {
                    assert!((f64::from(*got) - want).abs() < 0.02, "token {token}: {got}, not {want} on {isa}");
                }
                all.extend(bits(&out));
            }
        }
        assert_eq!(*first.get_or_insert_with(|| all.clone()), all, "{isa}");
    }
}

#[test]
fn what_was_packed_can_be_read_back() {
    let mut random = Random::new(7);
    for (tokens, heads) in [(1, 1), (16, 2), (21, 3)] {
        let written = random.bytes(tokens * heads * HEAD);
        let mut keys = vec![77; padded(tokens) * heads * HEAD];
        let rows = || written.as_chunks::<HEAD>().0.iter().enumerate().map(|(i, key)| (i / heads, i % heads, key));
        rows().for_each(|(token, head, key)| scatter_keys(key, token, head, heads, &mut keys));
        assert!(rows().all(|(token, head, key)| gather_key(&keys, token, head, heads) == *key), "{tokens} tokens, {heads} heads");

        // Scales of one: every channel's largest magnitude is 127.
        let width = heads * HEAD;
        let mut x: Vec<f32> = written.iter().map(|&q| f32::from(q)).collect();
        x[..width].fill(127.0);
        for isa in isas() {
            let mut read = vec![0; tokens * width];
            for head in 0..heads {
                let (mut packed, mut scales, mut sums) = (vec![55; padded(tokens) * HEAD], [0.0; HEAD], [0; HEAD]);
                pack_values(isa, &x[head * HEAD..], width, tokens, &mut packed, &mut scales, &mut sums);
                unpack_values(&packed, tokens, width, &mut read[head * HEAD..]);
            }
            assert!(read.iter().map(|&q| f32::from(q)).eq(x.iter().copied()), "{isa}: {tokens} tokens, {heads} heads");
        }
    }
}
