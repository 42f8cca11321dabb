//! `ossicle-quantize spectral`: a codec of spectra, as `models-int8/effects/train` makes it, as a model folder.

mod write;

pub use crate::folder::Task;

use std::path::{Path, PathBuf};

use ossicle_models::folder::ModelConfig;
use ossicle_models::spectral::{ROWS, SPECTRA, SpectralConfig};
use serde::Deserialize;

use crate::Error;
use crate::dense::Dense;
use crate::error::only;
use crate::norm::Norm;
use crate::source::read_json;
use crate::sources::checkpoint;
use crate::sources::taken::Tensors;

/// Magnitudes of a spectrum.
const BINS: usize = 129;

/// `config.json` of a checkpoint.
#[derive(Deserialize)]
struct Checkpoint {
    model_type: String,
    #[serde(flatten)]
    config: SpectralConfig,
}

/// A ConvNeXt block.
#[derive(Clone, Debug)]
struct Block {
    /// `[width][taps]`
    filters: Vec<f32>,
    filter_bias: Vec<f32>,
    norm: Norm,
    up: Dense,
    down: Dense,
}

/// A codec as read; names are those of its tensors.
#[derive(Debug)]
pub struct Codec {
    path: PathBuf,
    config: SpectralConfig,
    dense: Vec<(&'static str, Dense)>,
    blocks: Vec<(String, Block)>,
    norm: Norm,
    /// `[codes][latent_size]` each.
    codebooks: Vec<Vec<f32>>,
}

impl Codec {
    /// Reads a folder with `config.json` and safetensors.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let Checkpoint { model_type, config } = read_json(&path)?;
        only(&path, "model_type", &model_type.into(), &"spectral_codec".into())?;
        if let Some(problem) = config.problem() {
            return Err(Error::unsupported(&path, problem));
        }
        let mut tensors = Tensors::new(folder, checkpoint::tensors(folder, |_| true)?);
        let &SpectralConfig { hidden_size: width, intermediate_size: inner, latent_size: latent, .. } = &config;
        let mut dense = vec![];
        for (name, outputs, inputs) in [
            ("encoder.input", width, SPECTRA * BINS),
            ("encoder.merge", width, ROWS * width),
            ("encoder.latent", latent, width),
            ("decoder.open", width, latent),
            ("decoder.split", ROWS * width, width),
            ("decoder.head", SPECTRA * 2 * BINS, width),
        ] {
            dense.push((name, linear(&mut tensors, name, outputs, inputs)?));
        }
        let [fast, slow] = config.encoder_blocks;
        let [decoder_slow, decoder_fast] = config.decoder_blocks;
        let mut blocks = vec![];
        for (stack, count) in
            [("encoder.fast", fast), ("encoder.slow", slow), ("decoder.slow", decoder_slow), ("decoder.fast", decoder_fast)]
        {
            for name in (0..count).map(|i| format!("{stack}.{i}")) {
                let part = |part: &str| format!("{name}.{part}");
                let block = Block {
                    filters: tensors.take(&part("depthwise.weight"), &[width, 1, config.kernel_size])?,
                    filter_bias: tensors.take(&part("depthwise.bias"), &[width])?,
                    norm: norm(&mut tensors, &part("norm"), width)?,
                    up: linear(&mut tensors, &part("up"), inner, width)?,
                    down: linear(&mut tensors, &part("down"), width, inner)?,
                };
                blocks.push((name, block));
            }
        }
        let norm = norm(&mut tensors, "decoder.norm", width)?;
        let codebook = |q| tensors.take(&format!("quantizer.{q}.codebook"), &[config.codebook_size, latent]);
        let codebooks = (0..config.num_quantizers).map(codebook).collect::<Result<_, Error>>()?;
        tensors.nothing_left("such a codec")?;
        Ok(Self { path: folder.to_owned(), config, dense, blocks, norm, codebooks })
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let dense = |dense: &Dense| dense.weights.len() + dense.bias.len();
        let norm = |norm: &Norm| norm.weight.len() + norm.bias.len();
        let blocks = self
            .blocks
            .iter()
            .map(|(_, block)| block.filters.len() + block.filter_bias.len() + norm(&block.norm) + dense(&block.up) + dense(&block.down));
        let layers = self.dense.iter().map(|(_, own)| dense(own)).sum::<usize>() + blocks.sum::<usize>() + norm(&self.norm);
        layers + self.codebooks.iter().map(Vec::len).sum::<usize>()
    }
}

fn linear(tensors: &mut Tensors, name: &str, outputs: usize, inputs: usize) -> Result<Dense, Error> {
    let weights = tensors.take(&format!("{name}.weight"), &[outputs, inputs])?;
    Ok(Dense { weights, bias: tensors.take(&format!("{name}.bias"), &[outputs])?, inputs })
}

fn norm(tensors: &mut Tensors, name: &str, width: usize) -> Result<Norm, Error> {
    Ok(Norm { weight: tensors.take(&format!("{name}.weight"), &[width])?, bias: tensors.take(&format!("{name}.bias"), &[width])? })
}
