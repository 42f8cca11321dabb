//! What a model needs.

/// What a model needs, in bytes, known before it runs.
///
/// ```
/// let plan = ossicle_engine::MemoryPlan { weights: 3, buffers: 2, state: 1 };
/// assert_eq!(plan.total(), 6);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Mapped weights; resident only as far as they are used.
    pub weights: usize,
    /// What graphs run in: values between layers, and layers' scratch memory.
    pub buffers: usize,
    /// What is kept from run to run: caches, cells of a recording, rows beside the graphs.
    pub state: usize,
}

impl MemoryPlan {
    /// The sum.
    pub fn total(&self) -> usize {
        self.weights.saturating_add(self.buffers).saturating_add(self.state)
    }
}
