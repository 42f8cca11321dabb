//! What is asked for.

use std::path::Path;

use ossicle_generate::{Sampling, Settings};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::FolderError;
use serde::{Deserialize, Serialize};

use super::GenerateError;

/// Longest sound, in seconds.
pub const MAX_SECONDS: f64 = 600.0;

/// Shortest sound, in seconds.
const MIN_SECONDS: f64 = 0.1;

/// What a model recommends, `generation_config.json`: names are those of Hugging Face where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recommended {
    /// How closely to follow the description.
    pub guidance_scale: f32,
    /// How freely to draw, 0 for the likeliest code always.
    pub temperature: f32,
    /// Likeliest codes to draw among, 0 for all.
    pub top_k: usize,
    /// The probability that the codes to draw among make up; 0 leaves it out.
    pub top_p: f32,
    /// Longest sound that is made at once.
    pub window_seconds: f64,
    /// What each further window adds to a longer one.
    pub stride_seconds: f64,
}

impl Default for Recommended {
    fn default() -> Self {
        let Sampling { temperature, top_k, top_p } = Sampling::default();
        Self { guidance_scale: 3.0, temperature, top_k, top_p, window_seconds: 10.0, stride_seconds: 2.0 }
    }
}

impl Recommended {
    /// Of a model folder; the usual where there is no such file.
    pub(super) fn read(folder: &Path) -> Result<Self, GenerateError> {
        let path = folder.join("generation_config.json");
        if !path.is_file() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
        let malformed = |problem: String| FolderError::Malformed { path: path.clone(), problem };
        let read: Self = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        let seconds = read.window_seconds;
        if !(1.0..=60.0).contains(&seconds) || !(0.1..seconds).contains(&read.stride_seconds) {
            return Err(malformed(format!("windows of {seconds} s with a stride of {} s", read.stride_seconds)).into());
        }
        Ok(read)
    }
}

/// What sound to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Its length, without what it goes on from.
    pub seconds: f64,
    /// Frames of the sound that it goes on from; 0 for one that begins.
    pub given: usize,
    /// The same one gives the same bytes, whatever the machine and the number of threads.
    pub seed: u64,
    /// How closely to follow the description; 1 leaves guidance out and takes less time.
    pub guidance: f32,
    /// How codes are drawn.
    pub sampling: Sampling,
}

impl Request {
    /// As the model in `folder` recommends, with seed 0.
    ///
    /// # Errors
    /// What it recommends cannot be read.
    pub fn new(folder: &Path, seconds: f64) -> Result<Self, GenerateError> {
        let Recommended { guidance_scale, temperature, top_k, top_p, .. } = Recommended::read(folder)?;
        Ok(Self { seconds, given: 0, seed: 0, guidance: guidance_scale, sampling: Sampling { temperature, top_k, top_p } })
    }

    /// Frames of the sound.
    pub(super) fn frames(&self, rate: f64) -> Result<usize, GenerateError> {
        if !(MIN_SECONDS..=MAX_SECONDS).contains(&self.seconds) {
            return Err(GenerateError::Setting(format!("{} seconds: {MIN_SECONDS} to {MAX_SECONDS} are possible", self.seconds)));
        }
        // Ten minutes of the fastest codec are far below 2^53.
        Ok(((self.seconds * rate).round() as usize).max(1))
    }

    pub(super) fn settings(&self, isa: Isa) -> Settings {
        Settings { isa, sampling: self.sampling, guidance: self.guidance, seed: self.seed }
    }
}
