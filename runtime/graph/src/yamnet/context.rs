//! What all operators of a YAMNet share: weights, instruction set, threads and their scratch memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_kernels::rows::UnsignedRows;
use ossicle_kernels::simd::Isa;

use super::config::YamnetConfig;
use crate::folder::ModelFolder;
use crate::ops::ROWS;
use crate::options::Options;
use crate::pool::Pool;
use crate::taps::Taps;

#[derive(Debug)]
pub(super) struct Context {
    pub(super) folder: Arc<ModelFolder<YamnetConfig>>,
    pub(super) isa: Isa,
    pub(super) pool: Pool,
    pub(super) taps: Arc<Taps>,
    workspaces: Vec<Mutex<Workspace>>,
}

/// One thread's scratch memory.
#[derive(Debug)]
pub(super) struct Workspace {
    /// One position between convolution and quantisation.
    pub(super) row: Vec<f32>,
    /// [`ROWS`] quantised positions.
    pub(super) values: Vec<u8>,
    pub(super) scales: Vec<f32>,
}

impl Workspace {
    /// `rows` rows of `depth`, for whatever fills them.
    pub(super) fn rows(&mut self, rows: usize, depth: usize) -> UnsignedRows<'_> {
        UnsignedRows::new(&mut self.values, &mut self.scales, rows, depth)
    }

    /// Bytes of one.
    pub(super) fn bytes(config: &YamnetConfig) -> usize {
        config.widest() * (4 + ROWS) + 4 * ROWS
    }
}

impl Context {
    pub(super) fn new(folder: Arc<ModelFolder<YamnetConfig>>, options: Options) -> Self {
        let pool = Pool::new(options.threads);
        let widest = folder.config().widest();
        let workspace = || Workspace { row: vec![0.0; widest], values: vec![0; ROWS * widest], scales: vec![0.0; ROWS] };
        let workspaces = (0..pool.threads()).map(|_| Mutex::new(workspace())).collect();
        Self { folder, isa: options.isa, pool, taps: Arc::default(), workspaces }
    }

    /// The scratch memory of one thread; nobody else uses it while that thread's part runs.
    pub(super) fn workspace(&self, thread: usize) -> MutexGuard<'_, Workspace> {
        self.workspaces[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
