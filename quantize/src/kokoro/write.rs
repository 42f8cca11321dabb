//! Voices as a model folder.

use std::fs;
use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::kokoro::KokoroGraph;
use ossicle_phonemes::Phonemizer;
use serde_json::json;

use super::Voices;
use crate::error::refusal;
use crate::folder::{self, Partial, Task, pretty, write_text};
use crate::{Error, card};

impl Voices {
    /// Writes the model folder, all of it or none, once the runtime has opened it and spoken.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<(), Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        folder::put(&at, &self.path, "kokoro", &self.config, &self.tensors)?;
        write_text(&at.join("vocab.json"), &pretty(&json!(self.symbols)))?;
        if !self.notice.is_empty() {
            write_text(&at.join("NOTICE"), &self.notice)?;
        }
        if let Some(phonemes) = &self.phonemes {
            Phonemizer::open(phonemes).map_err(|error| Error::unsupported(phonemes, error.to_string()))?;
            fs::copy(phonemes, at.join("phonemes.bin")).map_err(|e| Error::io(phonemes, e))?;
        }
        self.try_out(&at)?;
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &task.notes))?;
        partial.publish(folder)
    }

    /// Runs what was written.
    fn try_out(&self, at: &Path) -> Result<(), Error> {
        let failed = |error: String| Error::unsupported(&self.path, format!("the runtime refuses what was made of it: {error}"));
        let folder = ModelFolder::open(at).map_err(|error| failed(error.to_string()))?;
        let mut voice = KokoroGraph::new(folder, Options { isa: Isa::detect(), threads: 1 }).map_err(|error| failed(refusal(error)))?;
        for name in self.names() {
            voice.choose(&[(name, 1.0)]).map_err(|error| failed(refusal(error)))?;
        }
        voice.begin_with(&[0, 1, 0], &[1, 1, 1]).map_err(|error| failed(refusal(error)))?;
        let samples = voice.run().map_err(|error| failed(refusal(error)))?;
        if samples.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(failed("its samples are not finite".into())) }
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", format!("kokoro: phonemes to samples, {} Hz", config.sampling_rate)),
            ("voices", self.names().join(", ")),
            ("text encoder", format!("an ALBERT, its layer applied {} times, {} wide", config.num_hidden_layers, config.hidden_size)),
            ("decoder", format!("{} wide, upsampled {:?} times", config.decoder_width, config.upsample_rates)),
            (
                "longest piece",
                format!(
                    "{} phonemes, {} s",
                    config.max_tokens - 2,
                    (config.max_frames * config.frame_samples()) as f64 / config.sampling_rate as f64
                ),
            ),
            ("weights here", format!("{bytes} bytes: int8 as the source has them, upsampling int8, the rest f32")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "Voices for the Ossicle runtime, made by `ossicle-quantize kokoro`.", &rows, notes)
    }
}
