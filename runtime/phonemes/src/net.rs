//! The pronunciation of unknown words: a small transformer encoder over letters that says up to four phonemes for each.
//!
//! All sums are in one order and in f32, and the exponential and the error function are the ones below, so that the same letters give the
//! same phonemes on every machine.

/// Letters of a word; what is longer is not read.
pub(crate) const MAX_LETTERS: usize = 24;

/// Numbers that describe the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// Letters known, number 0 included, which is none of them.
    pub(crate) letters: usize,
    /// Phonemes, number 0 included, which is none of them.
    pub(crate) phonemes: usize,
    /// Phonemes said for a letter.
    pub(crate) slots: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
}

impl Shape {
    /// The lengths of the weights, in the order in which they lie.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let Self { width, hidden, .. } = *self;
        let layer =
            [width, width, width * 3 * width, 3 * width, width * width, width, width, width, width * hidden, hidden, hidden * width, width];
        let out = self.slots * self.phonemes;
        let head = [self.letters * width, MAX_LETTERS * width];
        let layers = std::iter::repeat_n(layer, self.layers).flatten();
        head.into_iter().chain(layers).chain([width, width, width * out, out])
    }

    /// Floats of all weights; nothing if the shape is out of bounds.
    pub(crate) fn floats(&self) -> Option<usize> {
        let Self { letters, phonemes, slots, width, heads, hidden, layers } = *self;
        let small = letters <= 4096 && phonemes <= 256 && slots <= 8 && width <= 512 && hidden <= 2048 && layers <= 16;
        let fits = letters > 0 && phonemes > 0 && slots > 0 && heads > 0 && hidden > 0 && width > 0 && width.is_multiple_of(heads);
        (small && fits).then(|| self.lengths().sum())
    }
}

/// Weights where they lie: little-endian f32.
struct Weights<'a>(&'a [u8]);

impl<'a> Weights<'a> {
    fn take(&mut self, floats: usize) -> &'a [[u8; 4]] {
        let (here, rest) = self.0.split_at(4 * floats);
        self.0 = rest;
        here.as_chunks().0
    }
}

fn float(bytes: [u8; 4]) -> f32 {
    f32::from_le_bytes(bytes)
}

/// The numbers of the phonemes of a word, given as the numbers of its letters, at most [`MAX_LETTERS`]. `weights` has as many floats as
/// the shape says.
pub(crate) fn phonemes(shape: Shape, weights: &[u8], letters: &[usize]) -> Vec<usize> {
    let Shape { width, heads, hidden, phonemes, slots, .. } = shape;
    let letters = &letters[..letters.len().min(MAX_LETTERS)];
    let rows = letters.len();
    let mut weights = Weights(weights);
    let (embedding, places) = (weights.take(shape.letters * width), weights.take(MAX_LETTERS * width));
    let mut x: Vec<f32> = Vec::with_capacity(rows * width);
    for (row, &letter) in letters.iter().enumerate() {
        let letter = letter.min(shape.letters - 1);
        x.extend((0..width).map(|i| float(embedding[letter * width + i]) + float(places[row * width + i])));
    }
    for _ in 0..shape.layers {
        let normal = layer_norm(&x, weights.take(width), weights.take(width));
        let qkv = linear(&normal, weights.take(width * 3 * width), weights.take(3 * width));
        let mixed = attention(&qkv, rows, width, heads);
        add(&mut x, &linear(&mixed, weights.take(width * width), weights.take(width)));
        let normal = layer_norm(&x, weights.take(width), weights.take(width));
        let mut inner = linear(&normal, weights.take(width * hidden), weights.take(hidden));
        inner.iter_mut().for_each(|v| *v *= 0.5 * (1.0 + erf(*v * std::f32::consts::FRAC_1_SQRT_2)));
        add(&mut x, &linear(&inner, weights.take(hidden * width), weights.take(width)));
    }
    let normal = layer_norm(&x, weights.take(width), weights.take(width));
    let scores = linear(&normal, weights.take(width * slots * phonemes), weights.take(slots * phonemes));
    let mut said = Vec::new();
    let mut before = 0;
    for scores in scores.chunks_exact(phonemes) {
        // Of equals the first.
        let best = (1..phonemes).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
        if best != before && best != 0 {
            said.push(best);
        }
        before = best;
    }
    said
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Rows of `weight.len() / bias.len()` values, each times the weight (inputs by outputs), and the bias.
fn linear(x: &[f32], weight: &[[u8; 4]], bias: &[[u8; 4]]) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weight.len() / outputs;
    let mut out: Vec<f32> = Vec::with_capacity(x.len() / inputs * outputs);
    for row in x.chunks_exact(inputs) {
        let start = out.len();
        out.extend(bias.iter().map(|&b| float(b)));
        let sums = &mut out[start..];
        for (x, weights) in row.iter().zip(weight.chunks_exact(outputs)) {
            sums.iter_mut().zip(weights).for_each(|(sum, &w)| *sum += x * float(w));
        }
    }
    out
}

fn layer_norm(x: &[f32], scale: &[[u8; 4]], shift: &[[u8; 4]]) -> Vec<f32> {
    let width = scale.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / width as f32;
        let factor = 1.0 / (variance + 1e-5).sqrt();
        out.extend(row.iter().zip(scale).zip(shift).map(|((v, &s), &b)| (v - mean) * factor * float(s) + float(b)));
    }
    out
}

/// Every row looks at all rows, head by head.
fn attention(qkv: &[f32], rows: usize, width: usize, heads: usize) -> Vec<f32> {
    let size = width / heads;
    let part = |row: usize, which: usize, head: usize| &qkv[row * 3 * width + which * width + head * size..][..size];
    let factor = 1.0 / (size as f32).sqrt();
    let mut out = vec![0.0; rows * width];
    let mut weights = vec![0.0; rows];
    for head in 0..heads {
        for row in 0..rows {
            let query = part(row, 0, head);
            for (other, weight) in weights.iter_mut().enumerate() {
                *weight = factor * query.iter().zip(part(other, 1, head)).map(|(a, b)| a * b).sum::<f32>();
            }
            let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|weight| *weight = exp(*weight - most));
            let total: f32 = weights.iter().sum();
            let sums = &mut out[row * width + head * size..][..size];
            for (other, weight) in weights.iter().enumerate() {
                sums.iter_mut().zip(part(other, 2, head)).for_each(|(sum, v)| *sum += weight / total * v);
            }
        }
    }
    out
}

/// e^x for x up to 0, within a few units of the last place: 2^n times the series of the rest.
fn exp(x: f32) -> f32 {
    let x = x.max(-80.0);
    let n = (x * std::f32::consts::LOG2_E).round();
    let rest = x - n * std::f32::consts::LN_2;
    let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let sum = series.iter().fold(0.0, |sum, factor| sum * rest + factor);
    sum * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let sum = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6].iter().fold(0.0, |sum, factor| sum * t + factor);
    (1.0 - sum * t * exp(-size * size)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close() {
        for i in 0..800 {
            let x = -f64::from(i) / 10.0;
            assert!((f64::from(exp(x as f32)) / x.exp() - 1.0).abs() < 1e-5, "{x}");
        }
        for (x, known) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (-1.0, -0.842_700_8)] {
            assert!((erf(x) - known).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn shapes_out_of_bounds_are_none() {
        let shape = Shape { letters: 4, phonemes: 3, slots: 2, width: 8, heads: 2, hidden: 5, layers: 1 };
        let floats = shape.floats().unwrap();
        assert_eq!(phonemes(shape, &vec![0; 4 * floats], &[1, 2, 3]), Vec::<usize>::new());
        for wrong in
            [Shape { heads: 3, ..shape }, Shape { heads: 0, ..shape }, Shape { width: 1 << 40, ..shape }, Shape { letters: 0, ..shape }]
        {
            assert_eq!(wrong.floats(), None);
        }
    }
}
