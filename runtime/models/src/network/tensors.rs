//! The weights of a network, or of a part of one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ossicle_engine::weights::{FolderError, LinearSpan, Weights};

/// Where a part's tensors are.
pub(crate) struct Tensors<'a> {
    pub(super) weights: &'a Weights,
    /// In front of the layers' names.
    pub(super) prefix: &'a str,
    /// Sums of weights, by name: a part may be wired for several lengths.
    sums: RefCell<HashMap<String, Arc<[i32]>>>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(weights: &'a Weights, prefix: &'a str) -> Self {
        Self { weights, prefix, sums: RefCell::default() }
    }

    pub(super) fn sums(&self, name: &str, layer: &LinearSpan) -> Result<Arc<[i32]>, FolderError> {
        if let Some(sums) = self.sums.borrow().get(name) {
            return Ok(Arc::clone(sums));
        }
        let sums = self.weights.weight_sums(name, layer)?;
        self.sums.borrow_mut().insert(name.to_owned(), Arc::clone(&sums));
        Ok(sums)
    }
}
