//! What all operators of a model share: weights, instruction set, threads and their scratch memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_engine::pool::{MAX_THREADS, Pool};
use ossicle_engine::recorder::Recorder;
use ossicle_engine::weights::{ModelFolder, Span};
use ossicle_kernels::attention::{self, QUERIES, padded};
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::{QuantRows, layer_norm_quantize_rows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES};

use super::ROWS;
use crate::whisper::WhisperConfig;

/// Below this many bytes of weights, waking a thread costs more than it saves.
const SPLIT_BYTES: usize = 128 * 1024;

/// Shared by all operators of a model.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) folder: Arc<ModelFolder<WhisperConfig>>,
    pub(crate) isa: Isa,
    pub(crate) pool: Pool,
    pub(crate) recorder: Arc<Recorder>,
    workspaces: Vec<Mutex<Workspace>>,
}

/// The figures that scratch memory depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    width: usize,
    inner: usize,
    tokens: usize,
}

impl Sizes {
    pub(crate) fn of(config: &WhisperConfig) -> Self {
        let inner = config.encoder_ffn_dim.max(config.decoder_ffn_dim).max(3 * config.d_model).max(3 * config.num_mel_bins);
        Self { width: config.d_model, inner, tokens: padded(config.max_source_positions.max(config.max_target_positions)) }
    }

    /// Bytes of scratch memory of each thread.
    pub(crate) fn bytes(&self) -> usize {
        ROWS * (self.inner + 8) + 4 * self.wide() + 4 * self.inner + 5 * QUERIES * self.tokens
    }

    fn wide(&self) -> usize {
        (ROWS * self.inner).max((2 * ROWS + 1) * self.width)
    }
}

/// One thread's scratch memory.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) rows: RowBuffers,
    /// `ROWS` rows of the widest layer, or the convolution's intermediate rows.
    pub(crate) wide: Vec<f32>,
    pub(crate) attention: AttentionBuffers,
}

impl Workspace {
    fn new(sizes: &Sizes) -> Self {
        Self {
            rows: RowBuffers {
                values: vec![0; ROWS * sizes.inner],
                scales: vec![0.0; ROWS],
                sums: vec![0; ROWS],
                normalized: vec![0.0; sizes.inner],
            },
            wide: vec![0.0; sizes.wide()],
            attention: AttentionBuffers { scores: vec![0.0; QUERIES * sizes.tokens], probs: vec![0; QUERIES * sizes.tokens] },
        }
    }
}

/// Memory for quantised rows.
#[derive(Debug)]
pub(crate) struct RowBuffers {
    values: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    /// One row between normalisation and quantisation.
    normalized: Vec<f32>,
}

impl RowBuffers {
    /// Quantises at most [`ROWS`] rows of `depth`, `stride` apart.
    pub(crate) fn quantize(&mut self, context: &Context, x: &[f32], rows: usize, depth: usize, stride: usize) -> QuantRows<'_> {
        let mut out = QuantRows::new(&mut self.values, &mut self.scales, &mut self.sums, rows, depth);
        quantize_rows(context.isa, x, depth, stride, &mut out);
        out
    }

    /// Normalises and quantises at most [`ROWS`] rows.
    pub(crate) fn normalize(&mut self, context: &Context, norm: &Norm, x: &[f32], rows: usize) -> QuantRows<'_> {
        let (gamma, beta) = norm.get(context);
        let mut out = QuantRows::new(&mut self.values, &mut self.scales, &mut self.sums, rows, gamma.len());
        layer_norm_quantize_rows(context.isa, x, gamma, beta, &mut self.normalized, &mut out);
        out
    }
}

/// Memory for the scores of a few queries.
#[derive(Debug)]
pub(crate) struct AttentionBuffers {
    pub(crate) scores: Vec<f32>,
    probs: Vec<u8>,
}

impl AttentionBuffers {
    pub(crate) fn scratch(&mut self) -> attention::Scratch<'_> {
        attention::Scratch { scores: &mut self.scores, probs: &mut self.probs }
    }
}

impl Context {
    pub(crate) fn new(folder: Arc<ModelFolder<WhisperConfig>>, isa: Isa, threads: usize) -> Self {
        let pool = Pool::new(threads);
        let sizes = Sizes::of(folder.config());
        let workspaces = (0..pool.threads()).map(|_| Mutex::new(Workspace::new(&sizes))).collect();
        Self { folder, isa, pool, recorder: Arc::default(), workspaces }
    }

    /// For a graph that is only planned: no threads, no scratch memory.
    pub(crate) fn unused(folder: &Arc<ModelFolder<WhisperConfig>>) -> Self {
        Self { folder: Arc::clone(folder), isa: Isa::detect(), pool: Pool::new(1), recorder: Arc::default(), workspaces: vec![] }
    }

    /// The scratch memory of one thread; nobody else uses it while that thread's part runs.
    pub(crate) fn workspace(&self, thread: usize) -> MutexGuard<'_, Workspace> {
        self.workspaces[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a layer to quantised rows; `out` holds whole blocks of 16 outputs for each row, and maybe more. A single row of enough work is
    /// split over the threads by outputs.
    pub(crate) fn linear(&self, rows: &QuantRows<'_>, layer: &Linear<'_>, finish: Finish, out: &mut [f32]) {
        let (rows, scales) = (rows.as_rows(), &*rows.scales);
        let blocks = layer.weights.count();
        let outputs = blocks * LANES;
        let out = &mut out[..scales.len() * outputs];
        if scales.len() > 1 || self.pool.threads() == 1 || outputs * layer.weights.depth() < SPLIT_BYTES {
            return linear(self.isa, rows, scales, layer, finish, out);
        }
        let mut parts = [const { None }; MAX_THREADS];
        let mut rest = out;
        for (part, range) in parts.iter_mut().zip(self.pool.split(blocks, 1)) {
            let (own, after) = rest.split_at_mut(range.len() * LANES);
            rest = after;
            *part = Some((range, own));
        }
        self.pool.each(parts, |_, (range, out)| {
            let columns = range.start * LANES..range.end * LANES;
            let bias = if layer.bias.is_empty() { &[] } else { &layer.bias[columns.clone()] };
            let part = Linear { weights: layer.weights.slice(range), scales: &layer.scales[columns], bias };
            linear(self.isa, rows, scales, &part, finish, out);
        });
    }

    /// Runs `work` for blocks of at most [`ROWS`] rows of `out` (`width` values each), split over the threads. `work` gets a workspace, the
    /// block's first row and its part of `out`.
    pub(crate) fn for_rows(&self, out: &mut [f32], width: usize, work: impl Fn(&mut Workspace, usize, &mut [f32]) + Sync) {
        self.for_parts(out, width, |workspace, start, out| {
            for (i, out) in out.chunks_mut(ROWS * width).enumerate() {
                work(workspace, start + i * ROWS, out);
            }
        });
    }

    /// As [`for_rows`](Context::for_rows), with one block for each thread, however long.
    pub(crate) fn for_parts(&self, out: &mut [f32], width: usize, work: impl Fn(&mut Workspace, usize, &mut [f32]) + Sync) {
        let rows = out.len() / width;
        if rows == 1 {
            // One row: the work is split within its layers instead.
            return work(&mut self.workspace(0), 0, out);
        }
        self.pool.for_parts(out, width, LANES, |thread, start, out| work(&mut self.workspace(thread), start, out));
    }
}

/// Weights of a layer normalisation.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub(crate) gamma: Span,
    pub(crate) beta: Span,
}

impl Norm {
    pub(crate) fn get<'a>(&self, context: &'a Context) -> (&'a [f32], &'a [f32]) {
        (context.folder.f32s(&self.gamma), context.folder.f32s(&self.beta))
    }
}
