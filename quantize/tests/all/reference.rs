//! The float reference against Whisper in plain f64 loops, and the report made from it.

use crate::common::{Float, TempDir, Tensors, config, tensors, write_hf};
use ossicle_quantize::reference::{Decoder, Rows, encode};
use ossicle_quantize::{Source, import};

type Matrix = Vec<Vec<f64>>;

/// Whisper as its paper writes it.
struct Plain(Tensors);

impl Plain {
    fn vector(&self, name: &str) -> Vec<f64> {
        self.0[name].1.iter().map(|v| f64::from(*v)).collect()
    }

    fn linear(&self, x: &Matrix, name: &str) -> Matrix {
        let (shape, w) = &self.0[&format!("{name}.weight")];
        let bias = self.0.get(&format!("{name}.bias")).map(|b| &b.1);
        let (n, k) = (shape[0], shape[1]);
        let one = |row: &Vec<f64>, o: usize| {
            let sum: f64 = (0..k).map(|i| row[i] * f64::from(w[o * k + i])).sum();
            sum + bias.map_or(0.0, |b| f64::from(b[o]))
        };
        x.iter().map(|row| (0..n).map(|o| one(row, o)).collect()).collect()
    }

    fn norm(&self, x: &Matrix, name: &str) -> Matrix {
        let (g, b) = (self.vector(&format!("{name}.weight")), self.vector(&format!("{name}.bias")));
        x.iter()
            .map(|row| {
                let n = row.len() as f64;
                let mean = row.iter().sum::<f64>() / n;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                (0..row.len()).map(|i| (row[i] - mean) / (variance + 1e-5).sqrt() * g[i] + b[i]).collect()
            })
            .collect()
    }

    fn conv(&self, x: &Matrix, name: &str, stride: usize) -> Matrix {
        let (shape, w) = &self.0[&format!("{name}.weight")];
        let bias = self.vector(&format!("{name}.bias"));
        let (n, c) = (shape[0], shape[1]);
        let at = |t: usize, o: usize| {
            let mut sum = bias[o];
            for channel in 0..c {
                for tap in 0..3 {
                    let frame = (t * stride + tap).wrapping_sub(1);
                    sum += x.get(frame).map_or(0.0, |f| f[channel]) * f64::from(w[(o * c + channel) * 3 + tap]);
                }
            }
            gelu(sum)
        };
        (0..x.len() / stride).map(|t| (0..n).map(|o| at(t, o)).collect()).collect()
    }

    fn attention(&self, x: &Matrix, memory: &Matrix, name: &str, heads: usize, causal: bool) -> Matrix {
        let [q, k, v] = [("q_proj", x), ("k_proj", memory), ("v_proj", memory)].map(|(p, x)| self.linear(x, &format!("{name}.{p}")));
        let d = q[0].len() / heads;
        let mut out = vec![vec![0.0; d * heads]; x.len()];
        for (t, row) in out.iter_mut().enumerate() {
            for h in 0..heads {
                let seen = if causal { t + 1 } else { memory.len() };
                let score = |s: usize| (0..d).map(|i| q[t][h * d + i] * k[s][h * d + i]).sum::<f64>() / (d as f64).sqrt();
                let weights: Vec<f64> = (0..seen).map(|s| score(s).exp()).collect();
                let total: f64 = weights.iter().sum();
                for i in 0..d {
                    row[h * d + i] = (0..seen).map(|s| weights[s] / total * v[s][h * d + i]).sum();
                }
            }
        }
        self.linear(&out, &format!("{name}.out_proj"))
    }

    fn feed_forward(&self, x: &Matrix, layer: &str) -> Matrix {
        let y = self.linear(&self.norm(x, &format!("{layer}.final_layer_norm")), &format!("{layer}.fc1"));
        let y = y.into_iter().map(|row| row.into_iter().map(gelu).collect()).collect();
        sum(x, &self.linear(&y, &format!("{layer}.fc2")))
    }

    fn encode(&self, mel: &Matrix) -> Matrix {
        let x = self.conv(&self.conv(mel, "model.encoder.conv1", 1), "model.encoder.conv2", 2);
        let places = self.vector("model.encoder.embed_positions.weight");
        let mut x = sum(&x, &places.chunks(config().d_model).take(x.len()).map(<[f64]>::to_vec).collect());
        for i in 0..2 {
            let layer = format!("model.encoder.layers.{i}");
            let normed = self.norm(&x, &format!("{layer}.self_attn_layer_norm"));
            x = sum(&x, &self.attention(&normed, &normed, &format!("{layer}.self_attn"), 2, false));
            x = self.feed_forward(&x, &layer);
        }
        self.norm(&x, "model.encoder.layer_norm")
    }

    fn logits(&self, tokens: &[u32], memory: &Matrix) -> Matrix {
        let (e, p) = (self.vector("model.decoder.embed_tokens.weight"), self.vector("model.decoder.embed_positions.weight"));
        let d = config().d_model;
        let at = |t: usize| (0..d).map(|i| e[tokens[t] as usize * d + i] + p[t * d + i]).collect();
        let mut x: Matrix = (0..tokens.len()).map(at).collect();
        let layer = "model.decoder.layers.0";
        let normed = self.norm(&x, &format!("{layer}.self_attn_layer_norm"));
        x = sum(&x, &self.attention(&normed, &normed, &format!("{layer}.self_attn"), 2, true));
        let normed = self.norm(&x, &format!("{layer}.encoder_attn_layer_norm"));
        x = sum(&x, &self.attention(&normed, memory, &format!("{layer}.encoder_attn"), 2, false));
        x = self.feed_forward(&x, layer);
        self.linear(&self.norm(&x, "model.decoder.layer_norm"), "model.decoder.embed_tokens")
    }
}

fn sum(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

/// By Simpson's rule over the normal density: slow, and owes nothing to any erf.
fn gelu(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (n, h) = (200, x / 200.0);
    let inner: f64 = (1..n).map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    x * (0.5 + h / 3.0 * (density(0.0) + inner + density(x)))
}

fn source() -> (Source, Plain) {
    let dir = TempDir::new();
    // Halved: scores stay small enough for softmax without its usual shift.
    let all: Tensors = tensors().into_iter().map(|(n, (s, v))| (n, (s, v.iter().map(|x| x / 2.0).collect()))).collect();
    write_hf(&dir.0, &all, Float::F32);
    (import::open(&dir.0).unwrap(), Plain(all))
}

fn mel(frames: usize) -> Vec<f32> {
    (0..frames * config().num_mel_bins).map(|i| ((i * 7 % 23) as f32 - 11.0) / 8.0).collect()
}

fn matrix(values: &[f32], width: usize) -> Matrix {
    values.chunks(width).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
}

fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - b).abs() < 2e-5 * (1.0 + b.abs()), "{what} [{i}]: {a} for {b}");
    }
}

#[test]
fn encoder_and_decoder_match_plain_loops() {
    let (source, plain) = source();
    for frames in [2, 6, 12] {
        let mut taps = Vec::new();
        let mut keep = |tap: ossicle_quantize::reference::Tap<'_>| taps.push((tap.linear.to_owned(), tap.values.len() / tap.width));
        let encoded = encode(&source.model, &[mel(frames)], frames, &mut keep, &mut || {}).unwrap();
        let expected = plain.encode(&matrix(&mel(frames), config().num_mel_bins));
        assert_near(&encoded[0].values, &expected.concat(), &format!("encoder, {frames} frames"));
        assert_eq!(taps.iter().filter(|(name, _)| name.contains("layers")).count(), 8);
        assert!(taps.contains(&("model.encoder.conv2".to_owned(), frames)));
        assert!(taps.contains(&("model.encoder.layers.1.fc2".to_owned(), frames / 2)));

        let decoder = Decoder::new(&source.model, 5, frames / 2).unwrap();
        let cross = decoder.cross(&encoded[0], &mut |_| {}).unwrap();
        let tokens = [31, 2, 45, 7];
        let logits = decoder.logits(&tokens, 1, &cross, &mut |_| {}).unwrap();
        let expected = plain.logits(&tokens, &expected);
        assert_eq!(logits.len(), 3);
        for (i, row) in logits.iter().enumerate() {
            assert_near(row, &expected[1 + i], &format!("logits {i} of {frames} frames"));
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let (source, _) = source();
    let encode = |frames| encode(&source.model, &[mel(frames)], frames, &mut |_| {}, &mut || {});
    assert!([0, 3, 14].into_iter().all(|frames| encode(frames).is_err()));
    assert!(Decoder::new(&source.model, 6, 3).is_err());
    let decoder = Decoder::new(&source.model, 2, 3).unwrap();
    let rows = |n: usize| Rows { width: config().d_model, values: vec![0.0; config().d_model * n] };
    assert!(decoder.cross(&rows(2), &mut |_| {}).is_err());
    let cross = decoder.cross(&rows(3), &mut |_| {}).unwrap();
    assert!(decoder.logits(&[1, 2, 3], 0, &cross, &mut |_| {}).is_err());
    assert!(decoder.logits(&[1546], 0, &cross, &mut |_| {}).is_err());
    assert_eq!(config().vocab_size, 1546);
}
