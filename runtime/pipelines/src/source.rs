//! Where samples come from.

use std::error::Error;
use std::fmt;

/// Samples at 16 kHz, mono, one after the other.
///
/// ```
/// use ossicle::SampleSource;
///
/// // Samples in memory are one.
/// let samples = [0.25f32; 100];
/// let (mut source, mut block) = (&samples[..], [0.0; 64]);
/// assert_eq!((source.read(&mut block)?, source.read(&mut block)?, source.read(&mut block)?), (64, 36, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SampleSource {
    /// Fills the front of `out` and returns how many samples were written; 0 only at the end (or for an empty `out`).
    ///
    /// # Errors
    /// If the source cannot be read on.
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError>;
}

/// Fills `out` as far as `source` goes, however little it gives at a time; gives how many samples were written.
///
/// # Errors
/// If the source cannot be read on.
pub fn filled(source: &mut dyn SampleSource, out: &mut [f32]) -> Result<usize, SourceError> {
    let mut len = 0;
    while len < out.len() {
        match source.read(&mut out[len..])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
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

/// Silence, then samples.
#[derive(Clone, Debug)]
pub(crate) struct AfterSilence<'a> {
    /// Samples of silence left.
    pub silence: usize,
    /// Samples left after it.
    pub samples: &'a [f32],
}

impl SampleSource for AfterSilence<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        let silence = self.silence.min(out.len());
        self.silence -= silence;
        out[..silence].fill(0.0);
        Ok(silence + self.samples.read(&mut out[silence..])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most 7 samples at a time.
    struct Trickle<'a>(&'a [f32]);

    impl SampleSource for Trickle<'_> {
        fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
            let most = out.len().min(7);
            self.0.read(&mut out[..most])
        }
    }

    #[test]
    fn a_trickle_fills_what_there_is_room_for() {
        let all: Vec<f32> = (0..100).map(|n| n as f32).collect();
        let mut source = Trickle(&all);
        let mut out = [0.0; 60];
        assert_eq!((filled(&mut source, &mut out).unwrap(), &out[..]), (60, &all[..60]));
        assert_eq!((filled(&mut source, &mut out).unwrap(), &out[..40]), (40, &all[60..]));
        assert_eq!(filled(&mut source, &mut out).unwrap(), 0);
    }

    #[test]
    fn silence_comes_first() {
        let mut source = AfterSilence { silence: 3, samples: &[1.0, 2.0] };
        let mut out = [9.0; 4];
        assert_eq!((source.read(&mut out[..2]).unwrap(), &out[..2]), (2, &[0.0, 0.0][..]));
        assert_eq!((filled(&mut source, &mut out).unwrap(), &out[..3]), (3, &[0.0, 1.0, 2.0][..]));
        assert_eq!(source.read(&mut out).unwrap(), 0);
    }
}
