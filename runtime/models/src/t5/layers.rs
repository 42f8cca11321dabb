//! The encoder's layers: `[tokens][width]` of f32 throughout.

use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::{RowBuffers, UnsignedBuffers, UnsignedLinear, add};
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{LinearSpan, Span};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::linear::{Finish, linear_u8};
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::rows::quantize_unsigned_rows;
use ossicle_kernels::simd::LANES;

use super::T5Config;

/// Tokens i32 `[tokens]` to their embeddings.
#[derive(Debug)]
pub(super) struct Embed {
    pub(super) embedding: LinearSpan,
    pub(super) tokens: usize,
    pub(super) width: usize,
}

impl Layer for Embed {
    fn name(&self) -> &'static str {
        "EmbedTokens"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let embedding = session.weights().linear(&self.embedding);
        for (&token, out) in io.input::<i32>(0)?.iter().zip(io.output::<f32>(0)?.chunks_exact_mut(self.width)) {
            let token = token.cast_unsigned() as usize;
            let scale = *embedding.scales.get(token).ok_or(GraphError::Layer("a token is beyond the vocabulary"))?;
            for (group, out) in out.chunks_exact_mut(4).enumerate() {
                let values = embedding.weights.values(token / LANES, group, token % LANES);
                out.iter_mut().zip(values).for_each(|(out, q)| *out = f32::from(q) * scale);
            }
        }
        Ok(())
    }
}

/// Normalisation by the root of the mean square (Zhang and Sennrich 2019): `x * (1 / sqrt(mean + epsilon)) * weight`, the squares added in 16
/// lanes that fold 8, 4, 2, 1.
#[derive(Clone, Debug)]
pub(super) struct RmsNorm {
    pub(super) weight: Span,
    pub(super) epsilon: f32,
}

impl RmsNorm {
    fn rows(&self, session: &Session, x: &[f32], out: &mut [f32]) {
        let weight = session.weights().f32s(&self.weight);
        for (x, out) in x.chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
            let mut lanes = [0.0f32; LANES];
            for x in x.as_chunks::<LANES>().0 {
                lanes.iter_mut().zip(x).for_each(|(lane, x)| *lane += x * x);
            }
            let mut half = LANES / 2;
            while half > 0 {
                for lane in 0..half {
                    lanes[lane] += lanes[lane + half];
                }
                half /= 2;
            }
            let inverse = 1.0 / (lanes[0] / weight.len() as f32 + self.epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * weight;
            }
        }
    }
}

/// A linear layer without a bias of normalised rows.
#[derive(Debug)]
pub(super) struct NormProject {
    pub(super) norm: RmsNorm,
    pub(super) layer: LinearSpan,
    pub(super) tokens: usize,
    pub(super) outputs: usize,
}

impl Layer for NormProject {
    fn name(&self) -> &'static str {
        "RmsNormProject"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.outputs])]
    }

    fn scratch(&self) -> Need {
        let depth = self.layer.depth();
        RowBuffers::need(Need::default(), self.tokens, depth).thread::<f32>(self.tokens.min(ROWS) * depth)
    }

    fn work(&self) -> Work {
        let row = Units { normalize: self.layer.depth() as f64, ..Units::default() };
        Work::product(self.tokens, self.layer.depth(), self.outputs).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, depth) = (io.input::<f32>(0)?, self.layer.depth());
        let layer = session.weights().linear(&self.layer);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.outputs, |scratch, start, out| {
            let rows = out.len() / self.outputs;
            let mut buffers = RowBuffers::take(scratch, self.tokens, depth);
            let normed = &mut scratch.take::<f32>(self.tokens.min(ROWS) * depth)[..rows * depth];
            self.norm.rows(session, &x[start * depth..][..rows * depth], normed);
            session.linear(&buffers.quantize(session, normed, rows, depth, depth), &layer, Finish::Store, out);
        });
        Ok(())
    }
}

/// `[tokens][3][heads][head]` to `[tokens][heads][head]`: attention in f32 whose scores are not scaled and have a bias by distance. Texts are
/// short: the products of rows with weights are nearly all of the work.
#[derive(Debug)]
pub(super) struct BiasedAttention {
    /// `[heads][distances]`, from `-max_distance` on.
    pub(super) bias: Span,
    pub(super) config: T5Config,
    pub(super) tokens: usize,
}

impl BiasedAttention {
    /// Tokens in whole vectors.
    fn padded(&self) -> usize {
        self.tokens.next_multiple_of(LANES)
    }
}

impl Layer for BiasedAttention {
    fn name(&self) -> &'static str {
        "BiasedAttention"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.config.inner()])]
    }

    fn scratch(&self) -> Need {
        let (inner, head) = (self.config.inner(), self.config.d_kv);
        let need = Need::default().shared::<f32>(inner * self.padded()).shared::<f32>(self.tokens * inner).shared::<f32>(head);
        need.thread::<f32>(self.padded()).thread::<f32>(self.padded())
    }

    fn work(&self) -> Work {
        let values = 2.0 * (self.config.inner() * self.tokens) as f64;
        Work::default().and(self.tokens, Units { float_mac: values, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (isa, tokens, padded) = (session.isa(), self.tokens, self.padded());
        let (head, inner, distances) = (self.config.d_kv, self.config.inner(), self.config.distances());
        let far = self.config.max_distance.cast_signed();
        let qkv = io.input::<f32>(0)?;
        // Keys `[heads][head][padded]`, values `[heads][tokens][head]`.
        let (keys, values, zeros) = (io.scratch::<f32>(inner * padded), io.scratch::<f32>(tokens * inner), io.scratch::<f32>(head));
        keys.fill(0.0);
        zeros.fill(0.0);
        for (token, row) in qkv.chunks_exact(3 * inner).enumerate() {
            for (channel, key) in row[inner..2 * inner].iter().enumerate() {
                keys[channel * padded + token] = *key;
            }
            for (own, value) in row[2 * inner..].chunks_exact(head).enumerate() {
                values[(own * tokens + token) * head..][..head].copy_from_slice(value);
            }
        }
        let (keys, values, zeros) = (&*keys, &*values, &*zeros);
        let bias = session.weights().f32s(&self.bias);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, inner, |scratch, start, out| {
            let (biases, scores) = (scratch.take::<f32>(padded), scratch.take::<f32>(padded));
            for (i, out) in out.chunks_exact_mut(inner).enumerate() {
                let row = start + i;
                let queries = &qkv[row * 3 * inner..][..inner];
                for (own, (query, out)) in queries.chunks_exact(head).zip(out.chunks_exact_mut(head)).enumerate() {
                    for (token, out) in biases.iter_mut().enumerate() {
                        let distance = (token.cast_signed() - row.cast_signed()).clamp(-far, far);
                        *out = bias[own * distances + (distance + far).cast_unsigned()];
                    }
                    multiply_rows(isa, query, &keys[own * head * padded..][..head * padded], biases, scores);
                    softmax(isa, &mut scores[..tokens]);
                    multiply_rows(isa, &scores[..tokens], &values[own * tokens * head..][..tokens * head], zeros, out);
                }
            }
        });
        Ok(())
    }
}

/// `residual + layer(x)` without a bias: inputs the residual stream `[tokens][width]`, which is taken over, and `x`, which may be of another
/// width.
#[derive(Debug)]
pub(super) struct ProjectAdd {
    pub(super) layer: LinearSpan,
    pub(super) tokens: usize,
    pub(super) width: usize,
}

impl Layer for ProjectAdd {
    fn name(&self) -> &'static str {
        "ProjectAdd"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.tokens, self.layer.depth())
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.layer.depth() as f64, ..Units::default() };
        Work::product(self.tokens, self.layer.depth(), self.width).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, depth) = (io.input::<f32>(0)?, self.layer.depth());
        let layer = session.weights().linear(&self.layer);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.width, |scratch, start, out| {
            let mut buffers = RowBuffers::take(scratch, self.tokens, depth);
            let rows = buffers.quantize(session, &x[start * depth..], out.len() / self.width, depth, depth);
            session.linear(&rows, &layer, Finish::Add, out);
        });
        Ok(())
    }
}

/// `x + down(relu(up(norm(x))))` on `[tokens][width]`, which is taken over.
#[derive(Debug)]
pub(super) struct ReluForward {
    pub(super) norm: RmsNorm,
    pub(super) up: LinearSpan,
    pub(super) down: UnsignedLinear,
    pub(super) tokens: usize,
    pub(super) width: usize,
}

impl ReluForward {
    fn inner(&self) -> usize {
        self.down.layer.depth()
    }

    fn block(&self) -> usize {
        self.tokens.min(ROWS)
    }
}

impl Layer for ReluForward {
    fn name(&self) -> &'static str {
        "ReluForward"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        let need = RowBuffers::need(Need::default(), self.tokens, self.width).thread::<f32>(self.block() * self.width);
        UnsignedBuffers::need(need.thread::<f32>(self.block() * self.inner()), self.block(), self.inner())
    }

    fn work(&self) -> Work {
        let (width, inner) = (self.width, self.inner());
        let row = Units { normalize: width as f64, quantize: inner as f64, ..Units::default() };
        Work::product(self.tokens, width, inner).plus(Work::product(self.tokens, inner, width)).and(self.tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (isa, width, inner) = (session.isa(), self.width, self.inner());
        let (up, down) = (session.weights().linear(&self.up), session.weights().linear(&self.down.layer));
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, width, |scratch, _, out| {
            let rows = out.len() / width;
            let mut buffers = RowBuffers::take(scratch, self.tokens, width);
            let row = &mut scratch.take::<f32>(self.block() * width)[..rows * width];
            let hidden = &mut scratch.take::<f32>(self.block() * inner)[..rows * inner];
            let mut unsigned = UnsignedBuffers::take(scratch, self.block(), inner);
            self.norm.rows(session, out, row);
            session.linear(&buffers.quantize(session, row, rows, width, width), &up, Finish::Store, hidden);
            activate(isa, Activation::Relu, hidden);
            let mut quantized = unsigned.rows(rows, inner);
            quantize_unsigned_rows(isa, hidden, &mut quantized);
            linear_u8(isa, quantized.as_rows(&self.down.sums), quantized.scales, &down, false, row);
            add(out, row);
        });
        Ok(())
    }
}

/// The normalisation after the last layer.
#[derive(Debug)]
pub(super) struct FinalNorm {
    pub(super) norm: RmsNorm,
    pub(super) tokens: usize,
    pub(super) width: usize,
}

impl Layer for FinalNorm {
    fn name(&self) -> &'static str {
        "RmsNorm"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.tokens, self.width])]
    }

    fn work(&self) -> Work {
        Work::default().and(self.tokens, Units { normalize: self.width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        self.norm.rows(session, io.input::<f32>(0)?, io.output::<f32>(0)?);
        Ok(())
    }
}
