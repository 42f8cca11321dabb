//! What all layers of a model share while they run.

use std::sync::Arc;

use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::QuantRows;
use ossicle_kernels::simd::{Isa, LANES};

use crate::Options;
use crate::pool::{MAX_THREADS, Pool};
use crate::recorder::Recorder;
use crate::scratch::{Scratch, ThreadScratch};
use crate::weights::Weights;

/// Below this many bytes of weights, waking a thread costs more than it saves.
const SPLIT_BYTES: usize = 128 * 1024;

/// Rows whose intermediate results are in memory at a time, on each thread: a multiple of 12 (the tallest tile) and of 16 (a key block).
pub const ROWS: usize = 48;

/// A model's weights, the instruction set and the threads that compute with them, and who listens.
#[derive(Debug)]
pub struct Session {
    weights: Arc<Weights>,
    isa: Isa,
    pool: Pool,
    /// What graphs are planned for: those of the pool, or those that it would have.
    threads: usize,
    recorder: Recorder,
}

impl Session {
    /// A session over `weights`; its threads start here.
    pub fn new(weights: &Arc<Weights>, options: Options) -> Arc<Self> {
        let pool = Pool::new(options.threads);
        Arc::new(Self { weights: Arc::clone(weights), isa: options.isa, threads: pool.threads(), pool, recorder: Recorder::default() })
    }

    /// A session to plan graphs with that do not run: no threads start.
    pub fn for_planning(weights: &Arc<Weights>, options: Options) -> Arc<Self> {
        let threads = options.threads.clamp(1, MAX_THREADS);
        Arc::new(Self { weights: Arc::clone(weights), isa: options.isa, threads, pool: Pool::new(1), recorder: Recorder::default() })
    }

    /// The model's weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The instruction set that layers compute with.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The threads.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Number of threads that layers get scratch memory for.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Where layers' results are handed out.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Applies a layer to quantised rows; `out` holds whole blocks of 16 outputs for each row, and maybe more. A single row of enough work is
    /// split over the threads by outputs.
    pub fn linear(&self, rows: &QuantRows<'_>, layer: &Linear<'_>, finish: Finish, out: &mut [f32]) {
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

    /// Runs `work` for blocks of at most [`ROWS`] rows of `out` (`width` values each), split over the threads. `work` gets its thread's scratch
    /// memory, the block's first row and its part of `out`.
    pub fn for_rows(
        &self,
        scratch: &ThreadScratch<'_>,
        out: &mut [f32],
        width: usize,
        work: impl Fn(&mut Scratch<'_>, usize, &mut [f32]) + Sync,
    ) {
        self.for_parts(scratch, out, width, |scratch, start, out| {
            for (i, out) in out.chunks_mut(ROWS * width).enumerate() {
                work(&mut scratch.again(), start + i * ROWS, out);
            }
        });
    }

    /// As [`for_rows`](Session::for_rows), with one block for each thread, however long.
    pub fn for_parts(
        &self,
        scratch: &ThreadScratch<'_>,
        out: &mut [f32],
        width: usize,
        work: impl Fn(&mut Scratch<'_>, usize, &mut [f32]) + Sync,
    ) {
        if out.len() == width {
            // One row: the work is split within its layers instead.
            return work(&mut scratch.of(0).take_all(), 0, out);
        }
        self.pool.for_parts(out, width, LANES, |thread, start, out| work(&mut scratch.of(thread).take_all(), start, out));
    }
}
