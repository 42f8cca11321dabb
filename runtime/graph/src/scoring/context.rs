//! What all operators of a network that scores sounds share: weights, instruction set, threads and their scratch memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_engine::Options;
use ossicle_engine::pool::Pool;
use ossicle_engine::recorder::Recorder;
use ossicle_engine::weights::ModelFolder;
use ossicle_kernels::rows::UnsignedRows;
use ossicle_kernels::simd::Isa;

use crate::ops::ROWS;

#[derive(Debug)]
pub(crate) struct Context<C> {
    pub(crate) folder: Arc<ModelFolder<C>>,
    pub(crate) isa: Isa,
    pub(crate) pool: Pool,
    pub(crate) recorder: Arc<Recorder>,
    workspaces: Vec<Mutex<Workspace>>,
}

/// One thread's scratch memory.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// One position between convolution and quantisation.
    pub(crate) row: Vec<f32>,
    /// [`ROWS`] quantised positions.
    pub(crate) values: Vec<u8>,
    pub(crate) scales: Vec<f32>,
}

impl Workspace {
    /// `rows` rows of `depth`, for whatever fills them.
    pub(crate) fn rows(&mut self, rows: usize, depth: usize) -> UnsignedRows<'_> {
        UnsignedRows::new(&mut self.values, &mut self.scales, rows, depth)
    }

    /// Bytes of one for rows of at most `widest` values.
    pub(crate) fn bytes(widest: usize) -> usize {
        widest * (4 + ROWS) + 4 * ROWS
    }
}

impl<C> Context<C> {
    /// For rows of at most `widest` values.
    pub(crate) fn new(folder: Arc<ModelFolder<C>>, options: Options, widest: usize) -> Self {
        let pool = Pool::new(options.threads);
        let workspace = || Workspace { row: vec![0.0; widest], values: vec![0; ROWS * widest], scales: vec![0.0; ROWS] };
        let workspaces = (0..pool.threads()).map(|_| Mutex::new(workspace())).collect();
        Self { folder, isa: options.isa, pool, recorder: Arc::default(), workspaces }
    }

    /// For a graph that is only planned: no threads, no scratch memory.
    pub(crate) fn unused(folder: &Arc<ModelFolder<C>>) -> Self {
        Self { folder: Arc::clone(folder), isa: Isa::detect(), pool: Pool::new(1), recorder: Arc::default(), workspaces: vec![] }
    }

    /// The scratch memory of one thread; nobody else uses it while that thread's part runs.
    pub(crate) fn workspace(&self, thread: usize) -> MutexGuard<'_, Workspace> {
        self.workspaces[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
