//! What all operators of a network share: weights, instruction set, threads and their scratch memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_engine::Options;
use ossicle_engine::pool::{MAX_THREADS, Pool};
use ossicle_engine::recorder::Recorder;
use ossicle_engine::weights::ModelFolder;
use ossicle_kernels::attention::{self, HEAD, QUERIES, padded};
use ossicle_kernels::simd::{Isa, LANES};

use super::config::{Block, NetworkConfig, Op, Shape};
use crate::ops::ROWS;

#[derive(Debug)]
pub(super) struct Context {
    pub(super) folder: Arc<ModelFolder<NetworkConfig>>,
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    pub(super) recorder: Arc<Recorder>,
    workspaces: Vec<Mutex<Workspace>>,
    heads: Mutex<Heads>,
}

/// The figures that scratch memory depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// Deepest rows of a product.
    depth: usize,
    /// Deepest rows that are gathered from windows.
    gathered: usize,
    /// Positions of the longest attention, rounded up to whole blocks.
    tokens: usize,
    /// Widest queries.
    width: usize,
}

impl Sizes {
    /// Adds a layer that reads `input`.
    pub(super) fn add(&mut self, op: &Op, input: Shape) {
        match op {
            Op::Conv { window, channels, groups, .. } => {
                let inputs = Block::new(*groups, input.channels, *channels).map_or(0, |block| block.inputs);
                self.depth = self.depth.max((window.kernel[0] * window.kernel[1] * inputs).next_multiple_of(LANES));
            }
            Op::ConvF32 { window, .. } => {
                self.gathered = self.gathered.max(window.kernel[0] * window.kernel[1] * input.channels);
            }
            Op::Linear { .. } => self.depth = self.depth.max(input.padded()),
            Op::Attention { heads } => {
                self.tokens = self.tokens.max(padded(input.positions()));
                self.width = self.width.max(heads * HEAD);
            }
            _ => {}
        }
    }

    /// Bytes of scratch memory of all threads together.
    pub(super) fn bytes(&self, threads: usize) -> usize {
        let thread = ROWS * (4 * self.gathered + self.depth + 8) + 5 * QUERIES * self.tokens;
        threads.clamp(1, MAX_THREADS) * thread + self.tokens * self.width * 3 + self.tokens * self.width / HEAD * 8 + self.width * 8
    }
}

/// One thread's scratch memory.
#[derive(Debug)]
pub(super) struct Workspace {
    /// [`ROWS`] windows.
    pub(super) gathered: Vec<f32>,
    /// [`ROWS`] quantised rows, s8 or u8.
    pub(super) values: Vec<u8>,
    pub(super) scales: Vec<f32>,
    pub(super) sums: Vec<i32>,
    scores: Vec<f32>,
    probs: Vec<u8>,
}

impl Workspace {
    fn new(sizes: &Sizes) -> Self {
        Self {
            gathered: vec![0.0; ROWS * sizes.gathered],
            values: vec![0; ROWS * sizes.depth],
            scales: vec![0.0; ROWS],
            sums: vec![0; ROWS],
            scores: vec![0.0; QUERIES * sizes.tokens],
            probs: vec![0; QUERIES * sizes.tokens],
        }
    }

    pub(super) fn attention(&mut self) -> attention::Scratch<'_> {
        attention::Scratch { scores: &mut self.scores, probs: &mut self.probs }
    }
}

/// What attention makes of queries, keys and values, one layer at a time.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) queries: Vec<i8>,
    pub(super) query_scales: Vec<f32>,
    pub(super) keys: Vec<i8>,
    pub(super) key_scales: Vec<f32>,
    pub(super) values: Vec<i8>,
    pub(super) value_scales: Vec<f32>,
    pub(super) value_sums: Vec<i32>,
}

impl Heads {
    fn new(sizes: &Sizes) -> Self {
        let (bytes, scales, stats) = (sizes.tokens * sizes.width, sizes.tokens * sizes.width / HEAD, sizes.width);
        Self {
            queries: vec![0; bytes],
            query_scales: vec![0.0; scales],
            keys: vec![0; bytes],
            key_scales: vec![0.0; scales],
            values: vec![0; bytes],
            value_scales: vec![0.0; stats],
            value_sums: vec![0; stats],
        }
    }
}

impl Context {
    pub(super) fn new(folder: Arc<ModelFolder<NetworkConfig>>, sizes: &Sizes, options: Options) -> Self {
        let pool = Pool::new(options.threads);
        let workspaces = (0..pool.threads()).map(|_| Mutex::new(Workspace::new(sizes))).collect();
        Self { folder, isa: options.isa, pool, recorder: Arc::default(), workspaces, heads: Mutex::new(Heads::new(sizes)) }
    }

    /// The scratch memory of one thread; nobody else uses it while that thread's part runs.
    pub(super) fn workspace(&self, thread: usize) -> MutexGuard<'_, Workspace> {
        self.workspaces[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for the heads of an attention.
    pub(super) fn heads(&self) -> MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
