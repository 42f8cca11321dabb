//! A recording as the codes that a sound can go on from.

use std::path::Path;

use ossicle_models::Options;

use super::codec::{Codec, Facts};
use super::{CODEC, GenerateError, MAX_SECONDS};

/// What a sound goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// `[frames][codebooks]`
    pub(super) codes: Vec<u32>,
    frames: usize,
}

impl Beginning {
    /// The codes of a recording of samples in -1.0..=1.0 at `rate` a second; what makes them is let go again.
    ///
    /// # Errors
    /// The codec cannot be used or has another rate, or the recording is empty, longer than [`MAX_SECONDS`], or holds what is not a finite
    /// number.
    pub fn new(folder: &Path, options: Options, samples: &[f32], rate: usize) -> Result<Self, GenerateError> {
        let codec = Codec::open(&folder.join(CODEC))?;
        let Facts { rate: own, codebooks, .. } = codec.facts();
        if own != rate {
            return Err(GenerateError::Setting(format!("a recording of {rate} samples a second to go on from: this codec takes {own}")));
        }
        let seconds = samples.len() as f64 / rate as f64;
        if samples.is_empty() || seconds > MAX_SECONDS {
            let problem = format!("a recording of {seconds:.1} s to go on from: more than none and up to {MAX_SECONDS} s are possible");
            return Err(GenerateError::Setting(problem));
        }
        let codes = codec.encode(options, samples)?;
        Ok(Self { frames: codes.len() / codebooks, codes })
    }

    /// Frames, for [`Request::given`](super::Request::given).
    pub fn frames(&self) -> usize {
        self.frames
    }
}
