//! A checkpoint's tensors, each taken once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;

/// Tensors that are left, by name.
#[derive(Debug)]
pub(crate) struct Tensors {
    pub(crate) path: PathBuf,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    pub(crate) fn new(path: &Path, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { path: path.to_owned(), tensors }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of one that is left.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(Tensor::shape)
    }

    /// Takes one of this shape, all of it finite.
    ///
    /// # Errors
    /// It is missing, has another shape, or holds a value that is not finite.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let problem = |problem| Error::tensor(&self.path, name, problem);
        let tensor = self.tensors.remove(name).ok_or_else(|| problem(TensorProblem::Missing))?;
        if tensor.shape() != shape {
            return Err(problem(TensorProblem::Shape { expected: shape.to_owned(), found: tensor.shape().to_owned() }));
        }
        let values = tensor.to_f32();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(problem(TensorProblem::NotFinite { index })),
        }
    }

    /// Several of one shape, one after another.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn joined(&mut self, names: &[String], shape: &[usize]) -> Result<Vec<f32>, Error> {
        let mut all = vec![];
        for name in names {
            all.extend(self.take(name, shape)?);
        }
        Ok(all)
    }

    /// All were taken: `what` they belong to.
    ///
    /// # Errors
    /// One is left.
    pub(crate) fn nothing_left(&self, what: &str) -> Result<(), Error> {
        match self.tensors.keys().next() {
            Some(name) => Err(Error::unsupported(&self.path, format!("tensor {name} does not belong to {what}"))),
            None => Ok(()),
        }
    }
}
