//! Where samples come from.

use std::error::Error;
use std::fmt;

/// Samples at 16 kHz, mono, one after the other.
pub trait SampleSource {
    /// Fills the front of `out` and returns how many samples were written; 0 only at the end (or for an empty `out`).
    ///
    /// # Errors
    /// If the source cannot be read on.
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError>;
}

/// A source could not be read on.
#[derive(Debug)]
pub struct SourceError(pub Box<dyn Error + Send + Sync>);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl SampleSource for &[f32] {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        let n = out.len().min(self.len());
        let (front, rest) = self.split_at(n);
        out[..n].copy_from_slice(front);
        *self = rest;
        Ok(n)
    }
}
