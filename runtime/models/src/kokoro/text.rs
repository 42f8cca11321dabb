//! Layers over phonemes. All maps are `[max_tokens][width]`, f32, of which as many rows are computed as a piece has phonemes.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::layers::{Norm, RowBuffers, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::{Need, ThreadScratch};
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{FolderError, LinearSpan, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};

use super::config::KokoroConfig;

pub(super) fn norm(weights: &Weights, name: &str, width: usize) -> Result<Norm, FolderError> {
    let span = |part: &str| weights.f32_span(&format!("{name}.{part}"), &[width]);
    Ok(Norm { gamma: span("weight")?, beta: span("bias")? })
}

/// Phonemes i32 `[max_tokens]` to rows: embeddings of the phoneme and of its place, normalised.
#[derive(Debug)]
pub(super) struct Embedding {
    flow: Flow,
    /// `[vocab_size][width]`
    words: Span,
    /// `[max_tokens][width]`
    positions: Span,
    norm: Norm,
    width: usize,
    epsilon: f32,
}

impl Embedding {
    pub(super) fn new(weights: &Weights, name: &str, config: &KokoroConfig, flow: &Flow) -> Result<Self, FolderError> {
        let width = config.embedding_size;
        Ok(Self {
            flow: flow.clone(),
            words: weights.f32_span(&format!("{name}.words"), &[config.vocab_size, width])?,
            positions: weights.f32_span(&format!("{name}.positions"), &[config.max_tokens, width])?,
            norm: norm(weights, &format!("{name}.norm"), width)?,
            width,
            epsilon: config.layer_norm_eps,
        })
    }
}

impl Layer for Embedding {
    fn name(&self) -> &'static str {
        "Embedding"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        Need::default().shared::<f32>(self.width)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (words, positions) = (session.weights().f32s(&self.words), session.weights().f32s(&self.positions));
        let (gamma, beta) = self.norm.get(session);
        let sum = io.scratch::<f32>(self.width);
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end * self.width];
        let rows = io.input::<i32>(0)?.iter().zip(positions.chunks_exact(self.width)).zip(out.chunks_exact_mut(self.width));
        for ((&id, position), out) in rows {
            let word = words.chunks_exact(self.width).nth(id.cast_unsigned() as usize);
            let word = word.ok_or(GraphError::Layer("a phoneme is beyond the vocabulary"))?;
            for ((sum, word), position) in sum.iter_mut().zip(word).zip(position) {
                *sum = word + position;
            }
            layer_norm_rows(session.isa(), sum, gamma, beta, self.epsilon, out);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// What follows attention in ALBERT: `y = norm(x + output(attention))`, then `norm(y + down(gelu(up(y))))`, GELU with a hyperbolic tangent. Inputs
/// attention and `x`.
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    flow: Flow,
    output: LinearSpan,
    norm: Norm,
    up: LinearSpan,
    down: LinearSpan,
    last_norm: Norm,
    width: usize,
    inner: usize,
    epsilon: f32,
}

impl FeedForward {
    pub(super) fn new(weights: &Weights, name: &str, config: &KokoroConfig, flow: &Flow) -> Result<Self, FolderError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            flow: flow.clone(),
            output: weights.linear_span(&format!("{name}.output"), width, width, true)?,
            norm: norm(weights, &format!("{name}.norm"), width)?,
            up: weights.linear_span(&format!("{name}.feed_forward.up"), inner, width, true)?,
            down: weights.linear_span(&format!("{name}.feed_forward.down"), width, inner, true)?,
            last_norm: norm(weights, &format!("{name}.feed_forward.norm"), width)?,
            width,
            inner,
            epsilon: config.layer_norm_eps,
        })
    }
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "FeedForward"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        let need = RowBuffers::need(Need::default(), ROWS, self.width.max(self.inner));
        need.thread::<f32>(ROWS * self.inner).thread::<f32>(ROWS * self.width).thread::<f32>(ROWS * self.width)
    }

    fn work(&self) -> Work {
        let (rows, width, inner) = (self.flow.rows(), self.width, self.inner);
        let row = Units { normalize: 2.0 * width as f64, gelu: inner as f64, quantize: (2 * width + inner) as f64, ..Units::default() };
        let products = Work::product(rows, width, inner).plus(Work::product(rows, inner, width));
        products.plus(Work::product(rows, width, width)).and(rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (attention, x, width, weights) = (io.input::<f32>(0)?, io.input::<f32>(1)?, self.width, session.weights());
        let [output, up, down] = [&self.output, &self.up, &self.down].map(|span| weights.linear(span));
        let [(gamma, beta), (last_gamma, last_beta)] = [&self.norm, &self.last_norm].map(|norm| norm.get(session));
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end * width];
        let isa = session.isa();
        session.for_rows(&io.thread_scratch(), out, width, |scratch, start, out| {
            let count = out.len() / width;
            let mut buffers = RowBuffers::take(scratch, ROWS, width.max(self.inner));
            let hidden = &mut scratch.take::<f32>(ROWS * self.inner)[..count * self.inner];
            let sum = &mut scratch.take::<f32>(ROWS * width)[..out.len()];
            let y = &mut scratch.take::<f32>(ROWS * width)[..out.len()];
            sum.copy_from_slice(&x[start * width..][..out.len()]);
            let rows = buffers.quantize(session, &attention[start * width..], count, width, width);
            session.linear(&rows, &output, Finish::Add, sum);
            layer_norm_rows(isa, sum, gamma, beta, self.epsilon, y);
            session.linear(&buffers.quantize(session, y, count, width, width), &up, Finish::Store, hidden);
            activate(isa, Activation::TanhGelu, hidden);
            session.linear(&buffers.quantize(session, hidden, count, self.inner, self.inner), &down, Finish::Add, y);
            layer_norm_rows(isa, y, last_gamma, last_beta, self.epsilon, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// Where factors and shifts of channels come from: a linear layer of half a style, `[2][width]`.
#[derive(Clone, Debug)]
pub(super) struct Styling {
    layer: LinearSpan,
    style: usize,
    width: usize,
}

impl Styling {
    /// Tensors `NAME.weight`, `NAME.weight_scale` and `NAME.bias`.
    pub(super) fn new(weights: &Weights, name: &str, style: usize, width: usize) -> Result<Self, FolderError> {
        Ok(Self { layer: weights.linear_span(name, 2 * width, style, true)?, style, width })
    }

    /// Of each thread.
    pub(super) fn need(&self, need: Need) -> Need {
        RowBuffers::need(need, 1, self.style)
    }

    /// Writes `1 + factor` and the shift of each channel.
    pub(super) fn run(&self, session: &Session, threads: &ThreadScratch<'_>, style: &[f32], out: &mut [f32]) {
        let mut memory = threads.of(0);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), 1, self.style);
        let row = buffers.quantize(session, style, 1, self.style, self.style);
        session.linear(&row, &session.weights().linear(&self.layer), Finish::Store, out);
        out[..self.width].iter_mut().for_each(|factor| *factor += 1.0);
    }
}

/// Rows, maybe normalised with factors and shifts of a style, and the style after each: inputs `[max_tokens][width]` and `[style]`, to
/// `[max_tokens][width + style]`.
#[derive(Debug)]
pub(super) struct Styled {
    pub(super) flow: Flow,
    pub(super) styling: Option<Styling>,
    pub(super) width: usize,
    pub(super) style: usize,
}

impl Layer for Styled {
    fn name(&self) -> &'static str {
        "Styled"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width + self.style])]
    }

    fn scratch(&self) -> Need {
        let need = Need::default().shared::<f32>(2 * self.width);
        self.styling.as_ref().map_or(need, |styling| styling.need(need))
    }

    fn work(&self) -> Work {
        let normalize = if self.styling.is_some() { self.width as f64 } else { 0.0 };
        Work::default().and(self.flow.rows(), Units { normalize, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, style, width) = (io.input::<f32>(0)?, &io.input::<f32>(1)?[..self.style], self.width);
        let figures = io.scratch::<f32>(2 * width);
        let threads = io.thread_scratch();
        if let Some(styling) = &self.styling {
            styling.run(session, &threads, style, figures);
        }
        let (gamma, beta) = figures.split_at(width);
        let wide = width + self.style;
        let out = &mut io.output::<f32>(0)?[..self.flow.inside().end * wide];
        for (out, x) in out.chunks_exact_mut(wide).zip(x.chunks_exact(width)) {
            let (out, rest) = out.split_at_mut(width);
            match self.styling {
                Some(_) => layer_norm_rows(session.isa(), x, gamma, beta, EPSILON, out),
                None => out.copy_from_slice(x),
            }
            rest.copy_from_slice(style);
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}
