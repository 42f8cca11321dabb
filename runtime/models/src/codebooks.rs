//! From codes to values and back: the residual vector quantiser.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::multiply::multiply_rows;
use ossicle_trace::Values;

/// Where the codebooks are.
#[derive(Clone, Debug)]
pub(crate) struct Codebooks {
    /// `[channels][codes]`, and half of each code's squared length, below zero.
    spans: Vec<(Span, Span)>,
    channels: usize,
    codes: usize,
}

impl Codebooks {
    /// Of `books` codebooks of `codes` rows of `channels` values, whole vectors of them.
    pub(crate) fn new(weights: &Weights, books: usize, codes: usize, channels: usize) -> Result<Self, FolderError> {
        let span = |q| {
            let values = weights.f32_span(&format!("quantizer.{q}.codebook"), &[channels, codes])?;
            Ok((values, weights.f32_span(&format!("quantizer.{q}.offset"), &[codes])?))
        };
        Ok(Self { spans: (0..books).map(span).collect::<Result<_, FolderError>>()?, channels, codes })
    }

    fn rows(&self, rows: usize) -> Vec<Fact> {
        vec![Fact::f32([rows, self.channels])]
    }
}

/// Codes i32 `[rows][codebooks]` to the sums of what they stand for, `[rows][channels]`.
#[derive(Debug)]
pub(crate) struct Dequantize {
    pub(crate) codebooks: Codebooks,
    pub(crate) rows: usize,
}

impl Layer for Dequantize {
    fn name(&self) -> &'static str {
        "Dequantize"
    }

    fn outputs(&self) -> Vec<Fact> {
        self.codebooks.rows(self.rows)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let Codebooks { spans, channels, codes } = &self.codebooks;
        let out = io.output::<f32>(0)?;
        out.fill(0.0);
        for (row, out) in io.input::<i32>(0)?.chunks_exact(spans.len()).zip(out.chunks_exact_mut(*channels)) {
            for (&code, (values, _)) in row.iter().zip(spans) {
                let code =
                    usize::try_from(code).ok().filter(|code| code < codes).ok_or(GraphError::Layer("a code is beyond the codebook"))?;
                for (out, values) in out.iter_mut().zip(session.weights().f32s(values).chunks_exact(*codes)) {
                    *out += values[code];
                }
            }
        }
        Ok(())
    }
}

/// Rows that are compared with a codebook at a time.
const AT_ONCE: usize = 4;

/// `[rows][channels]` to codes i32 `[rows][codebooks]`: of each codebook the code nearest to what those before leave, the first of several.
#[derive(Debug)]
pub(crate) struct Quantize {
    pub(crate) codebooks: Codebooks,
    pub(crate) rows: usize,
}

impl Layer for Quantize {
    fn name(&self) -> &'static str {
        "Quantize"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::new::<i32>(&[self.rows, self.codebooks.spans.len()])]
    }

    fn scratch(&self) -> Need {
        let Codebooks { channels, codes, .. } = self.codebooks;
        Need::default().shared::<f32>(AT_ONCE * channels).shared::<f32>(AT_ONCE * codes)
    }

    fn work(&self) -> Work {
        let Codebooks { spans, channels, codes } = &self.codebooks;
        let products = (spans.len() * channels * codes) as f64;
        let alone = Units { float_mac: self.rows as f64 * products, ..Units::default() };
        Work { alone, bytes: 4.0 * products, ..Work::default() }
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let Codebooks { spans, channels, codes } = &self.codebooks;
        let (left, scores) = (io.scratch::<f32>(AT_ONCE * channels), io.scratch::<f32>(AT_ONCE * codes));
        let rows = io.input::<f32>(0)?.chunks(AT_ONCE * channels);
        for (x, out) in rows.zip(io.output::<i32>(0)?.chunks_mut(AT_ONCE * spans.len())) {
            let left = &mut left[..x.len()];
            let scores = &mut scores[..x.len() / channels * codes];
            left.copy_from_slice(x);
            for (q, (values, offset)) in spans.iter().enumerate() {
                // The nearest has the largest x e - e e / 2.
                let (values, offset) = (session.weights().f32s(values), session.weights().f32s(offset));
                multiply_rows(session.isa(), left, values, offset, scores);
                for (i, (left, scores)) in left.chunks_exact_mut(*channels).zip(scores.chunks_exact(*codes)).enumerate() {
                    let code = largest(scores);
                    for (left, values) in left.iter_mut().zip(values.chunks_exact(*codes)) {
                        *left -= values[code];
                    }
                    // Below the codebook's size.
                    out[i * spans.len() + q] = code as i32;
                }
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record.tensor("", results.shape(0)?, Values::U32(bytemuck::cast_slice(results.output::<i32>(0)?)));
        Ok(())
    }
}

/// Where the largest is, the first of several.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}
