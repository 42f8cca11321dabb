//! What all layers of a model share while they run.

use std::sync::Arc;

use ossicle_kernels::dot::S8Rows;
use ossicle_kernels::linear::{Finish, Linear, linear, linear_onto};
use ossicle_kernels::rows::QuantRows;
use ossicle_kernels::simd::{Isa, LANES};

use crate::Options;
use crate::pool::{MAX_THREADS, Pool};
use crate::recorder::Recorder;
use crate::scratch::{Scratch, ThreadScratch};
use crate::weights::Weights;

/// Below this many bytes of weights, waking a thread costs more than it saves.
const SPLIT_BYTES: usize = 128 * 1024;

/// Rows that are split over the threads by their outputs, as there are too few of them.
pub(crate) const FEW: usize = 4;

/// Bytes of weights that a core keeps for one row after another.
const CACHED_BYTES: usize = 64 * 1024;

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

    /// Applies a layer to quantised rows; `out` holds whole blocks of 16 outputs for each row, and maybe more. Up to four rows of enough work are
    /// split over the threads by outputs.
    pub fn linear(&self, rows: &QuantRows<'_>, layer: &Linear<'_>, finish: Finish, out: &mut [f32]) {
        let (blocks, depth, scales) = (layer.weights.count(), layer.weights.depth(), &*rows.scales);
        let outputs = blocks * LANES;
        let out = &mut out[..scales.len() * outputs];
        if scales.len() > FEW || self.pool.threads() == 1 || outputs * depth < SPLIT_BYTES {
            return linear(self.isa, rows.as_rows(), scales, layer, finish, out);
        }
        let mut rest: [&mut [f32]; FEW] = Default::default();
        for (rest, row) in rest.iter_mut().zip(out.chunks_exact_mut(outputs)) {
            *rest = row;
        }
        let mut parts = [const { None }; MAX_THREADS];
        for (part, range) in parts.iter_mut().zip(self.pool.split(blocks, 1)) {
            let own = rest.each_mut().map(|rest| rest.split_off_mut(..range.len() * LANES).unwrap_or_default());
            *part = Some((range, own));
        }
        // Weights that several rows go through stay in the cache for all of them.
        let step = if scales.len() == 1 { blocks } else { (CACHED_BYTES / (LANES * depth)).max(1) };
        self.pool.each(parts, |_, (range, own)| {
            for first in range.clone().step_by(step) {
                let blocks = first..range.end.min(first + step);
                let columns = (blocks.start - range.start) * LANES..(blocks.end - range.start) * LANES;
                let part = layer.slice(blocks);
                for (row, scale) in scales.iter().enumerate() {
                    let values = S8Rows::new(&rows.values[row * depth..][..depth], &rows.sums[row..=row], depth, depth);
                    linear(self.isa, values, std::slice::from_ref(scale), &part, finish, &mut own[row][columns.clone()]);
                }
            }
        });
    }

    /// As [`linear`](Self::linear), `out = onto + y`.
    pub fn linear_onto(&self, rows: &QuantRows<'_>, layer: &Linear<'_>, onto: &[f32], out: &mut [f32]) {
        if rows.scales.len() > FEW || self.pool.threads() == 1 {
            return linear_onto(self.isa, rows.as_rows(), rows.scales, layer, onto, out);
        }
        out.copy_from_slice(&onto[..out.len()]);
        self.linear(rows, layer, Finish::Add, out);
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
        if out.len() <= FEW * width {
            // Few rows: the work is split within their layers instead.
            return work(&mut scratch.of(0).take_all(), 0, out);
        }
        self.pool.for_parts(out, width, LANES, |thread, start, out| work(&mut scratch.of(thread).take_all(), start, out));
    }
}
