//! The codec in f32, layer after layer over a whole recording, the way its authors wrote it: what INT8 is measured against.

use ossicle_models::encodec::{EncodecConfig, Kind, PadMode, Part};

use super::{Codec, Conv, Recurrent, Weights};
use crate::vectors::{add, dot};

/// What a layer gave: `[channels][rows]`, as PyTorch has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The layer, `encoder.3` for instance, or `quantizer`.
    pub name: String,
    /// Channels.
    pub channels: usize,
    /// Its values.
    pub values: Vec<f32>,
}

/// A signal, `[rows][channels]`.
#[derive(Clone)]
struct Signal {
    values: Vec<f32>,
    channels: usize,
}

impl Signal {
    fn rows(&self) -> usize {
        self.values.len() / self.channels.max(1)
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.channels..][..self.channels]
    }

    fn elu(&self) -> Self {
        let elu = |&x: &f32| if x > 0.0 { x } else { x.exp_m1() };
        Self { values: self.values.iter().map(elu).collect(), channels: self.channels }
    }

    fn stage(&self, name: &str) -> Stage {
        let mut values = Vec::with_capacity(self.values.len());
        for channel in 0..self.channels {
            values.extend(self.values[channel..].iter().step_by(self.channels));
        }
        Stage { name: name.to_owned(), channels: self.channels, values }
    }
}

impl Codec {
    /// The samples of codes `[codebooks][frames]`; `tap` sees what each layer gives.
    pub fn decode(&self, codes: &[u32], frames: usize, tap: &mut dyn FnMut(Stage)) -> Vec<f32> {
        let channels = self.config.hidden_size;
        let mut x = Signal { values: vec![0.0; frames * channels], channels };
        for (codes, book) in codes.chunks_exact(frames.max(1)).zip(&self.codebooks) {
            for (row, &code) in x.values.chunks_exact_mut(channels).zip(codes) {
                row.iter_mut().zip(&book[code as usize * channels..]).for_each(|(x, value)| *x += value);
            }
        }
        tap(x.stage("quantizer"));
        self.run(&self.decoder, x, tap).values
    }

    /// What the encoder makes of samples, `[frames][hidden_size]`; `tap` sees what each layer gives.
    pub fn latents(&self, samples: &[f32], tap: &mut dyn FnMut(Stage)) -> Vec<f32> {
        self.run(&self.encoder, Signal { values: samples.to_vec(), channels: 1 }, tap).values
    }

    /// The codes of latents, `[codebooks][frames]`.
    pub fn codes(&self, latents: &[f32]) -> Vec<u32> {
        let channels = self.config.hidden_size;
        let mut left = latents.to_vec();
        let mut codes = vec![];
        for book in &self.codebooks {
            let halves: Vec<f32> = book.chunks_exact(channels).map(|code| dot(code, code) / 2.0).collect();
            for row in left.chunks_exact_mut(channels) {
                let scores = book.chunks_exact(channels).zip(&halves).map(|(code, half)| dot(row, code) - half);
                let best = scores.enumerate().fold((0, f32::MIN), |best, (i, score)| if score > best.1 { (i, score) } else { best }).0;
                row.iter_mut().zip(&book[best * channels..]).for_each(|(x, value)| *x -= value);
                codes.push(best as u32);
            }
        }
        codes
    }

    fn run(&self, layers: &[(Part, Weights)], mut x: Signal, tap: &mut dyn FnMut(Stage)) -> Signal {
        for (part, weights) in layers {
            if part.elu {
                x = x.elu();
            }
            x = match (part.kind, weights) {
                (Kind::Conv { outputs, kernel, stride, .. }, Weights::Conv(conv)) => conv.apply(&self.config, &x, outputs, kernel, stride),
                (Kind::Transposed { outputs, stride, .. }, Weights::Conv(conv)) => conv.transposed(&self.config, &x, outputs, stride),
                (Kind::Residual { channels, inner }, Weights::Residual { first, second, shortcut }) => {
                    let between = first.apply(&self.config, &x.elu(), inner, self.config.residual_kernel_size, 1);
                    let mut sum = shortcut.as_ref().map_or_else(|| x.clone(), |own| own.apply(&self.config, &x, channels, 1, 1));
                    add(&mut sum.values, &second.apply(&self.config, &between.elu(), channels, 1, 1).values);
                    sum
                }
                (Kind::Lstm { .. }, Weights::Lstm(layers)) => {
                    let mut sum = layers.iter().fold(x.clone(), |x, layer| layer.apply(&x));
                    add(&mut sum.values, &x.values);
                    sum
                }
                // Layers and weights are made together.
                _ => x,
            };
            tap(x.stage(&part.name));
        }
        x
    }
}

/// Pads as EnCodec does: a recording too short to be seen backwards is lengthened by zeros first.
fn pad(x: &Signal, left: usize, right: usize, mode: PadMode) -> Signal {
    let (rows, channels) = (x.rows().cast_signed(), x.channels);
    let last = rows.max(left.max(right).cast_signed() + 1) - 1;
    let mut values = Vec::with_capacity((left + right) * channels + x.values.len());
    for at in -left.cast_signed()..rows + right.cast_signed() {
        let at = match mode {
            PadMode::Constant => at,
            PadMode::Reflect if at.abs() > last => 2 * last - at.abs(),
            PadMode::Reflect => at.abs(),
        };
        match usize::try_from(at).ok().filter(|&at| at < x.rows()) {
            Some(at) => values.extend_from_slice(x.row(at)),
            None => values.resize(values.len() + channels, 0.0),
        }
    }
    Signal { values, channels }
}

impl Conv {
    fn apply(&self, config: &EncodecConfig, x: &Signal, outputs: usize, kernel: usize, stride: usize) -> Signal {
        let all = kernel - stride;
        let right = if config.use_causal_conv { 0 } else { all / 2 };
        let extra = x.rows().next_multiple_of(stride) - x.rows();
        let padded = pad(x, all - right, right + extra, config.pad_mode);
        let inputs = x.channels;
        // The order in which the window's rows lie in memory.
        let weight: Vec<f32> = (0..outputs)
            .flat_map(|out| (0..kernel * inputs).map(move |at| (out * inputs + at % inputs) * kernel + at / inputs))
            .map(|at| self.weight[at])
            .collect();
        let mut values = vec![];
        for row in 0..x.rows().div_ceil(stride) {
            let window = &padded.values[row * stride * inputs..][..kernel * inputs];
            values.extend(weight.chunks_exact(kernel * inputs).zip(&self.bias).map(|(weight, bias)| dot(window, weight) + bias));
        }
        Signal { values, channels: outputs }
    }

    fn transposed(&self, config: &EncodecConfig, x: &Signal, outputs: usize, stride: usize) -> Signal {
        let kernel = 2 * stride;
        let mut all = vec![0.0; (x.rows() + 1) * stride * outputs];
        all.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(&self.bias));
        for at in 0..x.rows() {
            for (input, x) in x.row(at).iter().enumerate() {
                for output in 0..outputs {
                    let weight = &self.weight[(input * outputs + output) * kernel..][..kernel];
                    for (tap, weight) in weight.iter().enumerate() {
                        all[(at * stride + tap) * outputs + output] += x * weight;
                    }
                }
            }
        }
        let right = if config.use_causal_conv { (stride as f64 * config.trim_right_ratio).ceil() as usize } else { stride / 2 };
        let left = stride - right;
        Signal { values: all[left * outputs..][..x.rows() * stride * outputs].to_vec(), channels: outputs }
    }
}

impl Recurrent {
    fn apply(&self, x: &Signal) -> Signal {
        let channels = x.channels;
        let (mut cell, mut hidden, mut values) = (vec![0.0; channels], vec![0.0; channels], vec![]);
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        for row in 0..x.rows() {
            let sum = |(at, bias): (usize, &f32)| {
                let weights = at * channels..(at + 1) * channels;
                bias + dot(x.row(row), &self.input[weights.clone()]) + dot(&hidden, &self.hidden[weights])
            };
            let gates: Vec<f32> = self.bias.iter().enumerate().map(sum).collect();
            for channel in 0..channels {
                let [input, forget, candidate, output] = [0, 1, 2, 3].map(|gate| gates[gate * channels + channel]);
                cell[channel] = sigmoid(forget) * cell[channel] + sigmoid(input) * candidate.tanh();
                hidden[channel] = sigmoid(output) * f32::tanh(cell[channel]);
            }
            values.extend_from_slice(&hidden);
        }
        Signal { values, channels }
    }
}
