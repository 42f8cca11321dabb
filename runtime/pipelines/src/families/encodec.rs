//! Codes to sound, and sound to codes.

use std::path::Path;

use ossicle_models::encodec::{CHUNK_FRAMES, EncodecConfig, EncodecDecoder, EncodecEncoder};
use ossicle_models::folder::{ModelConfig, ModelFolder};

use super::exercise::{exercise, tokens, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;

const DECODER: &str = "decoder";
const ENCODER: &str = "encoder";

pub(super) struct Encodec;

/// Seconds of a chunk.
pub(super) fn chunk_seconds(config: &EncodecConfig) -> f64 {
    (CHUNK_FRAMES * config.hop()) as f64 / config.sampling_rate as f64
}

impl Encodec {
    fn encoder(model: &Path, options: Options) -> Result<EncodecEncoder, FamilyError> {
        Ok(EncodecEncoder::new(ModelFolder::open(model)?, options, CHUNK_FRAMES)?)
    }
}

impl Family for Encodec {
    fn kind(&self) -> &'static str {
        EncodecConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "sounds from codes".into()
    }

    /// The decoder's: nothing on a board encodes.
    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(EncodecDecoder::plan(&ModelFolder::open(model)?, options, CHUNK_FRAMES)?.into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Self::encoder(model, options)?;
        Ok(EncodecDecoder::plan(&ModelFolder::open(model)?, options, CHUNK_FRAMES).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::<EncodecConfig>::open(model)?;
        let chunk = chunk_seconds(folder.config());
        let phase = Phase::new(DECODER, EncodecDecoder::work(&folder, options, CHUNK_FRAMES)?);
        let phase = phase.every(chunk, workload.seconds());
        Ok(Job::of_seconds("sound", workload.seconds(), vec![phase]))
    }

    fn graphs(&self) -> &'static [&'static str] {
        &[DECODER, ENCODER]
    }

    /// A chunk: half of a decoder's layers may be a chunk later than the others.
    fn exercise(&self, model: &Path, graph: &str, options: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        if graph == ENCODER {
            let encoder = Self::encoder(model, options)?;
            let samples: Vec<f32> = values(CHUNK_FRAMES * encoder.config().hop()).iter().map(|value| value / 2.0).collect();
            return exercise(encoder, move |graph| graph.push(&samples, &mut |_| {}));
        }
        let decoder = EncodecDecoder::new(ModelFolder::open(model)?, options, CHUNK_FRAMES)?;
        let &EncodecConfig { num_quantizers, codebook_size, .. } = decoder.config();
        let codes = tokens(CHUNK_FRAMES * num_quantizers, codebook_size);
        exercise(decoder, move |graph| codes.chunks_exact(num_quantizers).try_for_each(|frame| graph.push(frame, &mut |_| {})))
    }
}
