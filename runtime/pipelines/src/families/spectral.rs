//! Codes to sound and back, by spectra.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::spectral::{CHUNK_FRAMES, SpectralConfig, SpectralDecoder, SpectralEncoder};

use super::exercise::{exercise, tokens, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;

const DECODER: &str = "decoder";
const ENCODER: &str = "encoder";

pub(super) struct Spectral;

impl Family for Spectral {
    fn kind(&self) -> &'static str {
        SpectralConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "sounds from codes".into()
    }

    /// The decoder's: nothing on a board encodes.
    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(SpectralDecoder::plan(&ModelFolder::open(model)?, options)?.into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        SpectralEncoder::new(ModelFolder::open(model)?, options)?;
        Ok(SpectralDecoder::plan(&ModelFolder::open(model)?, options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::<SpectralConfig>::open(model)?;
        let config = folder.config();
        let chunk = (CHUNK_FRAMES * config.hop()) as f64 / config.sampling_rate as f64;
        let phase = Phase::new(DECODER, SpectralDecoder::work(&folder, options)?).every(chunk, workload.seconds());
        Ok(Job { without: "making samples of spectra", ..Job::of_seconds("sound", workload.seconds(), vec![phase]) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &[DECODER, ENCODER]
    }

    /// A chunk.
    fn exercise(&self, model: &Path, graph: &str, options: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        if graph == ENCODER {
            let encoder = SpectralEncoder::new(ModelFolder::open(model)?, options)?;
            let samples: Vec<f32> = values(CHUNK_FRAMES * encoder.config().hop()).iter().map(|value| value / 2.0).collect();
            return exercise(encoder, move |graph| graph.push(&samples, &mut |_| {}));
        }
        let decoder = SpectralDecoder::new(ModelFolder::open(model)?, options)?;
        let &SpectralConfig { num_quantizers, codebook_size, .. } = decoder.config();
        let codes = tokens(CHUNK_FRAMES * num_quantizers, codebook_size);
        exercise(decoder, move |graph| codes.chunks_exact(num_quantizers).try_for_each(|frame| graph.push(frame, &mut |_| {})))
    }
}
