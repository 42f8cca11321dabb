//! The voice in f32, layer after layer over a whole clause, the way its authors wrote it: what the runtime is measured against.

use super::{Conv, Coupling, Layer, Separable, Spline, Voice};
use crate::norm::Norm;
use crate::vectors::{add, dot};

/// Narrowest bin, and smallest slope, of a spline.
const LEAST: f32 = 1e-3;

/// What a part of the network gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The part.
    pub name: &'static str,
    /// `[rows][channels]`
    pub values: Vec<f32>,
}

/// Normal values.
pub struct Noise<'a> {
    /// By which of two, and symbol; times what the configuration says.
    pub durations: &'a dyn Fn(usize, usize) -> f32,
    /// By frame and channel, likewise.
    pub frames: &'a dyn Fn(usize, usize) -> f32,
}

/// A signal, `[rows][channels]`.
#[derive(Clone, Debug)]
struct Rows {
    values: Vec<f32>,
    channels: usize,
}

impl Rows {
    fn count(&self) -> usize {
        self.values.len() / self.channels.max(1)
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.channels..][..self.channels]
    }

    fn map(mut self, function: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|value| *value = function(*value));
        self
    }

    fn leaky(self, slope: f32) -> Self {
        self.map(|x| if x > 0.0 { x } else { slope * x })
    }

    fn plus(mut self, other: &Self) -> Self {
        add(&mut self.values, &other.values);
        self
    }

    fn part(&self, range: std::ops::Range<usize>) -> Self {
        let channels = range.len();
        Self { values: self.values.chunks_exact(self.channels).flat_map(|row| &row[range.clone()]).copied().collect(), channels }
    }

    /// Channels in reverse order.
    fn flipped(mut self) -> Self {
        self.values.chunks_exact_mut(self.channels).for_each(<[f32]>::reverse);
        self
    }
}

fn gelu(x: f32) -> f32 {
    // erf by its series, exact to f64 within the range that counts.
    let z = f64::from(x) / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..120 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = if z.abs() > 5.0 { z.signum() } else { (sum * 2.0 / std::f64::consts::PI.sqrt()).clamp(-1.0, 1.0) };
    (f64::from(x) / 2.0 * (1.0 + erf)) as f32
}

fn softmax(values: &[f32]) -> Vec<f32> {
    let largest = values.iter().copied().fold(f32::MIN, f32::max);
    let all: Vec<f32> = values.iter().map(|value| (value - largest).exp()).collect();
    let sum: f32 = all.iter().sum();
    all.iter().map(|value| value / sum).collect()
}

impl Conv {
    /// The same number of rows, zeros beyond both ends.
    fn apply(&self, x: &Rows) -> Rows {
        let (rows, inputs) = (x.count().cast_signed(), self.inputs);
        let taps: Vec<Vec<f32>> = (0..self.taps).map(|tap| self.weight.iter().skip(tap).step_by(self.taps).copied().collect()).collect();
        let mut values = vec![];
        for row in 0..rows {
            let first = values.len();
            values.extend_from_slice(&self.bias);
            for (tap, weight) in taps.iter().enumerate() {
                let at = row + (tap.cast_signed() - (self.taps / 2).cast_signed()) * self.dilation.cast_signed();
                if (0..rows).contains(&at) {
                    let x = x.row(at.cast_unsigned());
                    let out = &mut values[first..];
                    match x.len() == inputs {
                        true => out.iter_mut().zip(weight.chunks_exact(inputs)).for_each(|(out, weight)| *out += dot(x, weight)),
                        // Each channel has a filter of its own.
                        false => out.iter_mut().zip(weight).zip(x).for_each(|((out, weight), x)| *out += x * weight),
                    }
                }
            }
        }
        Rows { values, channels: self.outputs }
    }

    fn transposed(&self, x: &Rows) -> Rows {
        let (outputs, stride) = (self.outputs, self.taps / 2);
        let mut all = vec![0.0; (x.count() + 1) * stride * outputs];
        all.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(&self.bias));
        for at in 0..x.count() {
            for (input, x) in x.row(at).iter().enumerate() {
                for (output, weight) in
                    self.weight[input * outputs * self.taps..][..outputs * self.taps].chunks_exact(self.taps).enumerate()
                {
                    for (tap, weight) in weight.iter().enumerate() {
                        all[(at * stride + tap) * outputs + output] += x * weight;
                    }
                }
            }
        }
        Rows { values: all[stride / 2 * outputs..][..x.count() * stride * outputs].to_vec(), channels: outputs }
    }
}

fn normalized(norm: &Norm, x: Rows) -> Rows {
    Rows { values: norm.apply(&x.values), channels: x.channels }
}

impl Layer {
    fn apply(&self, x: &Rows, heads: usize, window: usize) -> Rows {
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|conv| conv.apply(x));
        let (rows, head) = (x.count(), x.channels / heads);
        let mut values = vec![0.0; x.values.len()];
        for (h, row) in (0..heads).flat_map(|h| (0..rows).map(move |row| (h, row))) {
            let own = h * head..(h + 1) * head;
            let query: Vec<f32> = query.row(row)[own.clone()].iter().map(|value| value / (head as f32).sqrt()).collect();
            let place = |other: usize| (other + window).checked_sub(row).filter(|place| *place <= 2 * window);
            let relative = |table: &[f32], other: usize| place(other).map(|place| table[place * head..][..head].to_vec());
            let score = |other: usize| {
                let near = relative(&self.relative_keys, other).map_or(0.0, |key| dot(&query, &key));
                dot(&query, &key.row(other)[own.clone()]) + near
            };
            let scores = softmax(&(0..rows).map(score).collect::<Vec<_>>());
            let out = &mut values[row * x.channels..][own.clone()];
            for (other, score) in scores.iter().enumerate() {
                let near = relative(&self.relative_values, other).unwrap_or_else(|| vec![0.0; head]);
                out.iter_mut()
                    .zip(&value.row(other)[own.clone()])
                    .zip(near)
                    .for_each(|((out, value), near)| *out += score * (value + near));
            }
        }
        let attention = self.output.apply(&Rows { values, channels: x.channels });
        let x = normalized(&self.norm, attention.plus(x));
        let between = self.up.apply(&x).map(|x| x.max(0.0));
        normalized(&self.feed_forward_norm, self.down.apply(&between).plus(&x))
    }
}

fn stack(stack: &[Separable], x: Rows) -> Rows {
    stack.iter().fold(x, |x, one| {
        let between = normalized(&one.norm_1, one.depthwise.apply(&x)).map(gelu);
        normalized(&one.norm_2, one.point.apply(&between)).map(gelu).plus(&x)
    })
}

impl Spline {
    /// The pair of values of each symbol with the second bent.
    fn undo(&self, z: &Rows, condition: &Rows, bound: f32) -> Rows {
        let x = stack(&self.convs, self.input.apply(&z.part(0..1)).plus(condition));
        let decided = self.output.apply(&x);
        let bins = (decided.channels + 1) / 3;
        let root = (condition.channels as f32).sqrt();
        let mut z = z.clone();
        for row in 0..z.count() {
            let y = z.values[2 * row + 1];
            if y.abs() > bound {
                continue;
            }
            let edges = |range: std::ops::Range<usize>| {
                let shares = softmax(&decided.row(row)[range].iter().map(|value| value / root).collect::<Vec<_>>());
                let mut edges = vec![-bound];
                let mut sum = 0.0;
                for share in shares {
                    sum += LEAST + (1.0 - LEAST * bins as f32) * share;
                    edges.push(2.0 * bound * sum - bound);
                }
                edges[bins] = bound;
                edges
            };
            let (across, up) = (edges(0..bins), edges(bins..2 * bins));
            let mut slopes: Vec<f32> = decided.row(row)[2 * bins..].iter().map(|value| LEAST + value.exp().ln_1p()).collect();
            slopes.insert(0, 1.0);
            slopes.push(1.0);
            let bin = (1..bins).take_while(|&bin| y >= up[bin]).count();
            let (width, height) = (across[bin + 1] - across[bin], up[bin + 1] - up[bin]);
            let (delta, rest) = (height / width, y - up[bin]);
            let bend = slopes[bin] + slopes[bin + 1] - 2.0 * delta;
            let (a, b, c) = (rest * bend + height * (delta - slopes[bin]), height * slopes[bin] - rest * bend, -delta * rest);
            z.values[2 * row + 1] = 2.0 * c / (-b - (b * b - 4.0 * a * c).sqrt()) * width + across[bin];
        }
        z
    }
}

impl Coupling {
    fn undo(&self, x: &Rows) -> Rows {
        let half = x.channels / 2;
        let mut state = self.enter.apply(&x.part(0..half));
        let width = state.channels;
        let mut skips = Rows { values: vec![0.0; state.values.len()], channels: width };
        for (i, [enter, leave]) in self.layers.iter().enumerate() {
            let gates = enter.apply(&state);
            let gated = gates.values.chunks_exact(2 * width).flat_map(|row| {
                let (content, gate) = row.split_at(width);
                content.iter().zip(gate).map(|(content, gate)| content.tanh() / (1.0 + (-gate).exp()))
            });
            let result = leave.apply(&Rows { values: gated.collect(), channels: width });
            if i + 1 == self.layers.len() {
                skips = skips.plus(&result);
            } else {
                state = state.plus(&result.part(0..width));
                skips = skips.plus(&result.part(width..2 * width));
            }
        }
        let taken = self.leave.apply(&skips);
        let mut x = x.clone();
        for (row, taken) in x.values.chunks_exact_mut(2 * half).zip(taken.values.chunks_exact(half)) {
            row[half..].iter_mut().zip(taken).for_each(|(x, taken)| *x -= taken);
        }
        x
    }
}

impl Voice {
    /// Says symbols, each lasting as long as `durations` says, or as the voice decides; gives durations and samples. `tap` sees what parts give.
    pub fn speak(&self, symbols: &[u32], noise: &Noise<'_>, durations: Option<&[u32]>, tap: &mut dyn FnMut(Stage)) -> (Vec<u32>, Vec<f32>) {
        let (config, width) = (&self.config, self.config.hidden_size);
        let mut show = |name, x: &Rows| tap(Stage { name, values: x.values.clone() });
        let embedded = symbols.iter().flat_map(|&symbol| &self.embedding[symbol as usize * width..][..width]);
        let mut x = Rows { values: embedded.map(|value| value * (width as f32).sqrt()).collect(), channels: width };
        for layer in &self.layers {
            x = layer.apply(&x, config.num_attention_heads, config.window_size);
        }
        show("text", &x);
        let stats = self.stats.apply(&x);
        let logs = self.log_durations(&x, noise);
        show("durations", &logs);
        let own = |log: &f32| (log.exp() * config.length_scale).ceil().max(1.0) as u32;
        let durations = durations.map_or_else(|| logs.values.iter().map(own).collect(), <[u32]>::to_vec);
        let rows = durations.iter().enumerate().flat_map(|(symbol, &count)| std::iter::repeat_n(stats.row(symbol), count as usize));
        let drawn = rows.enumerate().flat_map(|(frame, row)| {
            let value =
                move |channel: usize| row[channel] + (noise.frames)(frame, channel) * row[width + channel].exp() * config.noise_scale;
            (0..width).map(value)
        });
        let mut x = Rows { values: drawn.collect(), channels: width };
        for coupling in &self.couplings {
            x = coupling.undo(&x.flipped());
        }
        show("flow", &x);
        let mut x = self.decoder_input.apply(&x);
        for (stage, name) in self.stages.iter().zip(["stage 0", "stage 1", "stage 2", "stage 3", "stage 4", "stage 5"]) {
            let up = stage.upsample.transposed(&x.leaky(config.leaky_relu_slope));
            let mut sum = Rows { values: vec![0.0; up.values.len()], channels: up.channels };
            for block in &stage.blocks {
                let through = block.iter().fold(up.clone(), |x, step| {
                    step.iter().fold(x.clone(), |x, conv| conv.apply(&x.leaky(config.leaky_relu_slope))).plus(&x)
                });
                sum = sum.plus(&through);
            }
            x = sum.map(|value| value / stage.blocks.len() as f32);
            show(name, &x);
        }
        (durations, self.decoder_output.apply(&x.leaky(0.01)).map(f32::tanh).values)
    }

    fn log_durations(&self, x: &Rows, noise: &Noise<'_>) -> Rows {
        let condition = self.duration_condition.apply(&stack(&self.duration_convs, self.duration_input.apply(x)));
        let scale = self.config.noise_scale_duration;
        let drawn = (0..x.count()).flat_map(|symbol| (0..2).map(move |which| (noise.durations)(which, symbol) * scale));
        let mut z = Rows { values: drawn.collect(), channels: 2 };
        for spline in &self.splines {
            z = spline.undo(&z.flipped(), &condition, self.config.duration_predictor_tail_bound);
        }
        z.flipped().part(0..1).map(|value| (value - self.affine[0]) * self.affine[1])
    }
}
