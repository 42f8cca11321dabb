//! The codec of a model that makes sounds, whatever its kind.

use std::path::Path;
use std::sync::Arc;

use ossicle_models::encodec::{CHUNK_FRAMES, EncodecConfig, EncodecDecoder, EncodecEncoder};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::spectral::{SpectralConfig, SpectralDecoder, SpectralEncoder};
use ossicle_models::{GraphError, MemoryPlan, Options};
use ossicle_trace::Tap;

use super::GenerateError;
use super::describe::kind;

/// A codec's folder.
pub(super) enum Codec {
    Encodec(Arc<ModelFolder<EncodecConfig>>),
    Spectral(Arc<ModelFolder<SpectralConfig>>),
}

/// What has to be known of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Samples a second.
    pub(super) rate: usize,
    /// Samples of a frame.
    pub(super) hop: usize,
    pub(super) codebooks: usize,
    /// Codes of a codebook.
    pub(super) codes: usize,
}

impl Codec {
    pub(super) fn open(path: &Path) -> Result<Self, GenerateError> {
        match kind(path)?.as_str() {
            SpectralConfig::KIND => Ok(Self::Spectral(ModelFolder::open(path)?)),
            // Whoever opens it says what it is instead.
            _ => Ok(Self::Encodec(ModelFolder::open(path)?)),
        }
    }

    pub(super) fn facts(&self) -> Facts {
        match self {
            Self::Encodec(folder) => {
                let config = folder.config();
                let (codebooks, codes) = (config.num_quantizers, config.codebook_size);
                Facts { rate: config.sampling_rate, hop: config.hop(), codebooks, codes }
            }
            Self::Spectral(folder) => {
                let config = folder.config();
                let (codebooks, codes) = (config.num_quantizers, config.codebook_size);
                Facts { rate: config.sampling_rate, hop: config.hop(), codebooks, codes }
            }
        }
    }

    /// What its decoder needs.
    pub(super) fn plan(&self, options: Options) -> Result<MemoryPlan, GraphError> {
        match self {
            Self::Encodec(folder) => EncodecDecoder::plan(folder, options, CHUNK_FRAMES),
            Self::Spectral(folder) => SpectralDecoder::plan(folder, options),
        }
    }

    /// Its decoder, with at most so many bytes of buffers.
    pub(super) fn decoder(&self, options: Options, most: usize) -> Result<Decoder, GraphError> {
        match self {
            Self::Encodec(folder) => {
                let session = ossicle_models::session(folder.weights(), options);
                EncodecDecoder::in_session(Arc::clone(folder), session, CHUNK_FRAMES, most).map(|it| Decoder::Encodec(Box::new(it)))
            }
            Self::Spectral(folder) => {
                let session = ossicle_models::session(folder.weights(), options);
                SpectralDecoder::in_session(Arc::clone(folder), session, most).map(|it| Decoder::Spectral(Box::new(it)))
            }
        }
    }

    /// The codes of a recording, `[frames][codebooks]`.
    pub(super) fn encode(self, options: Options, samples: &[f32]) -> Result<Vec<u32>, GraphError> {
        let mut codes = vec![];
        let mut sink = |frames: &[u32]| codes.extend_from_slice(frames);
        match self {
            Self::Encodec(folder) => {
                let mut encoder = EncodecEncoder::new(folder, options, CHUNK_FRAMES)?;
                encoder.push(samples, &mut sink)?;
                encoder.finish(&mut sink)?;
            }
            Self::Spectral(folder) => {
                let mut encoder = SpectralEncoder::new(folder, options)?;
                encoder.push(samples, &mut sink)?;
                encoder.finish(&mut sink)?;
            }
        }
        Ok(codes)
    }
}

/// A codec's decoder.
pub(super) enum Decoder {
    Encodec(Box<EncodecDecoder>),
    Spectral(Box<SpectralDecoder>),
}

impl Decoder {
    /// Begins a sound; what the codec leaves to chance belongs to `seed`.
    pub(super) fn start(&mut self, seed: u64) {
        match self {
            Self::Encodec(decoder) => decoder.reset(),
            Self::Spectral(decoder) => decoder.reset(seed),
        }
    }

    /// Takes a frame's codes.
    pub(super) fn push(&mut self, codes: &[u32], sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        match self {
            Self::Encodec(decoder) => decoder.push(codes, sink),
            Self::Spectral(decoder) => decoder.push(codes, sink),
        }
    }

    /// Ends the sound.
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        match self {
            Self::Encodec(decoder) => decoder.finish(sink),
            Self::Spectral(decoder) => decoder.finish(sink),
        }
    }

    pub(super) fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match self {
            Self::Encodec(decoder) => decoder.set_tap(tap),
            Self::Spectral(decoder) => decoder.set_tap(tap),
        }
    }
}
