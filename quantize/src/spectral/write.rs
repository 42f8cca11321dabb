//! A codec of spectra as a model folder.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::spectral::{SpectralDecoder, SpectralEncoder};
use ossicle_models::{GraphError, Options};

use super::{BINS, Block, Codec};
use crate::codebook::codebook;
use crate::dense::Dense;
use crate::folder::{self, Partial, Task};
use crate::tensors::Tensor;
use crate::{Error, card, refusal};

/// Values of a curve in the runtime: the bins, rounded up to whole vectors.
const CURVE: usize = BINS.next_multiple_of(16);

impl Codec {
    /// Writes the model folder, all of it or none, once the runtime has opened it and run it both ways.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<(), Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        folder::put(&at, &self.path, "spectral", &self.config, &self.tensors())?;
        let failed = |error| Error::unsupported(&self.path, format!("the runtime does not take this codec: {}", refusal(error)));
        if !self.there_and_back(&at).map_err(failed)?.iter().all(|sample| sample.is_finite()) {
            return Err(Error::unsupported(&self.path, "the runtime's samples are not finite"));
        }
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &task.notes))?;
        partial.publish(folder)
    }

    /// A tenth of a second through what was written.
    fn there_and_back(&self, at: &Path) -> Result<Vec<f32>, GraphError> {
        let options = Options { isa: Isa::detect(), threads: 1 };
        let mut encoder = SpectralEncoder::new(ModelFolder::open(at)?, options)?;
        let mut decoder = SpectralDecoder::new(ModelFolder::open(at)?, options)?;
        let samples: Vec<f32> = (0..1600).map(|n| (n * n % 71) as f32 / 142.0 - 0.25).collect();
        let (mut codes, mut out) = (vec![], vec![]);
        encoder.push(&samples, &mut |frames| codes.extend_from_slice(frames))?;
        encoder.finish(&mut |frames| codes.extend_from_slice(frames))?;
        for frame in codes.chunks_exact(self.config.num_quantizers) {
            decoder.push(frame, &mut |samples| out.extend_from_slice(samples))?;
        }
        decoder.finish(&mut |samples| out.extend_from_slice(samples))?;
        Ok(out)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![];
        for (name, dense) in &self.dense {
            match *name {
                "encoder.input" => wider(dense).put(&mut tensors, name),
                "decoder.head" => longer(dense).put(&mut tensors, name),
                _ => dense.put(&mut tensors, name),
            }
        }
        self.blocks.iter().for_each(|(name, block)| block.put(&mut tensors, name, self.config.kernel_size));
        self.norm.put(&mut tensors, "decoder.norm");
        let (channels, codes) = (self.config.latent_size, self.config.codebook_size);
        for (q, book) in self.codebooks.iter().enumerate() {
            tensors.extend(codebook(q, book, channels, codes));
        }
        tensors
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "spectral: sound to codes and back by magnitudes, one channel".to_owned()),
            ("samples a second", config.sampling_rate.to_string()),
            ("samples a frame", config.hop().to_string()),
            ("codebooks", format!("{} of {} codes", config.num_quantizers, config.codebook_size)),
            (
                "blocks",
                format!("{:?} to codes, {:?} to spectra, {} wide", config.encoder_blocks, config.decoder_blocks, config.hidden_size),
            ),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: products int8, the rest f32")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "A codec for the Ossicle runtime, made by `ossicle-quantize spectral`.", &rows, notes)
    }
}

/// The layer over magnitudes with inputs up to a whole curve, which are zero.
fn wider(dense: &Dense) -> Dense {
    let weights = dense.weights.chunks(BINS).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, CURVE - BINS)));
    Dense { weights: weights.collect(), bias: dense.bias.clone(), inputs: dense.inputs / BINS * CURVE }
}

/// The head with each of its curves up to whole vectors.
fn longer(dense: &Dense) -> Dense {
    let spread = |values: &[f32], width: usize| -> Vec<f32> {
        let zeros = (CURVE - BINS) * width;
        values.chunks(BINS * width).flat_map(|curve| curve.iter().copied().chain(std::iter::repeat_n(0.0, zeros))).collect()
    };
    Dense { weights: spread(&dense.weights, dense.inputs), bias: spread(&dense.bias, 1), inputs: dense.inputs }
}

impl Block {
    fn put(&self, tensors: &mut Vec<Tensor>, name: &str, taps: usize) {
        let width = self.filter_bias.len();
        let filters = (0..taps).flat_map(|tap| self.filters.iter().skip(tap).step_by(taps).copied()).collect();
        tensors.push(Tensor::floats(format!("{name}.depthwise.weight"), vec![taps, width], filters));
        tensors.push(Tensor::floats(format!("{name}.depthwise.bias"), vec![width], self.filter_bias.clone()));
        self.norm.put(tensors, &format!("{name}.norm"));
        self.up.put(tensors, &format!("{name}.up"));
        self.down.put(tensors, &format!("{name}.down"));
    }
}
