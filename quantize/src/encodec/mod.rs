//! `ossicle-quantize encodec`: an EnCodec of one channel, from Hugging Face or audiocraft, as a model folder.

mod config;
mod float;
mod measure;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::encodec::{EncodecConfig, Kind, Part};

use crate::Error;
use crate::source::read;
use crate::sources::taken::Tensors;
use crate::sources::{checkpoint, pickle};

pub use float::Stage;
pub use measure::Report;
pub use write::Task;

/// audiocraft's file.
const AUDIOCRAFT: &str = "compression_state_dict.bin";

/// A convolution as a checkpoint has it, weight normalisation folded.
#[derive(Clone, Debug)]
struct Conv {
    /// `[outputs][inputs][kernel]`; of a transposed one `[inputs][outputs][kernel]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A recurrent layer; gates are input, forget, cell, output.
#[derive(Clone, Debug)]
struct Recurrent {
    /// `[4][channels][channels]`, of the input and of the state.
    input: Vec<f32>,
    hidden: Vec<f32>,
    /// The sum of both.
    bias: Vec<f32>,
}

/// One layer's weights.
#[derive(Clone, Debug)]
enum Weights {
    Conv(Conv),
    Residual { first: Conv, second: Conv, shortcut: Option<Conv> },
    Lstm(Vec<Recurrent>),
}

/// A codec as read.
#[derive(Debug)]
pub struct Codec {
    path: PathBuf,
    config: EncodecConfig,
    encoder: Vec<(Part, Weights)>,
    decoder: Vec<(Part, Weights)>,
    /// `[codes][channels]` each.
    codebooks: Vec<Vec<f32>>,
}

impl Codec {
    /// Reads a folder with Hugging Face's `config.json` and weights (an EnCodec, or a MusicGen's codec), or with audiocraft's
    /// `compression_state_dict.bin`, or such a file itself.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do.
    pub fn open(source: &Path) -> Result<Self, Error> {
        let package = if source.is_file() { Some(source.to_owned()) } else { Some(source.join(AUDIOCRAFT)).filter(|path| path.is_file()) };
        match package {
            Some(path) => Self::from_audiocraft(&path),
            None => Self::from_hugging_face(source),
        }
    }

    fn from_audiocraft(path: &Path) -> Result<Self, Error> {
        let package = pickle::parse_package(path, Arc::new(read(path)?), wanted)?;
        let Some(settings) = package.texts.get("xp.cfg") else {
            let what = match package.texts.get("pretrained") {
                Some(name) => format!("it only names another model, {name:?}: take that one's file"),
                None => "it has no xp.cfg: export it with audiocraft.utils.export.export_encodec".into(),
            };
            return Err(Error::unsupported(path, what));
        };
        let tensors = package.tensors.into_iter().map(|(name, tensor)| (hugging_face_name(&name), tensor)).collect();
        let mut tensors = Tensors::new(path, tensors);
        let config = config::from_audiocraft(path, settings, codebooks(&tensors))?;
        Self::read(path, config, &mut tensors)
    }

    fn from_hugging_face(folder: &Path) -> Result<Self, Error> {
        let tensors = checkpoint::tensors(folder, wanted)?;
        let nested = tensors.keys().any(|name| name.starts_with(PREFIX));
        let own = |name: String| if nested { name.strip_prefix(PREFIX).map(str::to_owned) } else { Some(name) };
        let tensors = tensors.into_iter().filter_map(|(name, tensor)| Some((own(name)?, tensor))).collect();
        let mut tensors = Tensors::new(folder, tensors);
        let config = config::from_hugging_face(folder, codebooks(&tensors))?;
        Self::read(folder, config, &mut tensors)
    }

    fn read(path: &Path, config: EncodecConfig, tensors: &mut Tensors) -> Result<Self, Error> {
        let side = |tensors: &mut Tensors, parts: Vec<Part>| -> Result<Vec<(Part, Weights)>, Error> {
            parts.into_iter().map(|part| tensors.part(&config, &part).map(|weights| (part, weights))).collect()
        };
        let (encoder, decoder) = (side(tensors, config.encoder())?, side(tensors, config.decoder())?);
        let codebook = |q| tensors.take(&format!("quantizer.layers.{q}.codebook.embed"), &[config.codebook_size, config.hidden_size]);
        let codebooks = (0..config.num_quantizers).map(codebook).collect::<Result<_, Error>>()?;
        tensors.nothing_left("such an EnCodec")?;
        Ok(Self { path: path.to_owned(), config, encoder, decoder, codebooks })
    }

    /// The runtime's configuration.
    pub fn config(&self) -> &EncodecConfig {
        &self.config
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let conv = |conv: &Conv| conv.weight.len() + conv.bias.len();
        let layers = self.encoder.iter().chain(&self.decoder).map(|(_, weights)| match weights {
            Weights::Conv(own) => conv(own),
            Weights::Residual { first, second, shortcut } => conv(first) + conv(second) + shortcut.as_ref().map_or(0, conv),
            Weights::Lstm(layers) => layers.iter().map(|layer| layer.input.len() + layer.hidden.len() + 2 * layer.bias.len()).sum(),
        });
        layers.sum::<usize>() + self.codebooks.iter().map(Vec::len).sum::<usize>()
    }
}

/// Of a MusicGen its codec's.
const PREFIX: &str = "audio_encoder.";

/// What training keeps of codebooks is not needed.
fn wanted(name: &str) -> bool {
    !["cluster_size", "embed_avg", "inited"].iter().any(|kept| name.ends_with(kept))
}

/// audiocraft's name of a tensor as Hugging Face has it.
fn hugging_face_name(name: &str) -> String {
    let parts = [
        ("encoder.model.", "encoder.layers."),
        ("decoder.model.", "decoder.layers."),
        (".conv.conv.", ".conv."),
        (".convtr.convtr.", ".conv."),
        ("quantizer.vq.layers.", "quantizer.layers."),
        ("._codebook.", ".codebook."),
    ];
    parts.iter().fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1))
}

/// Codebooks there are, counted from the first.
fn codebooks(tensors: &Tensors) -> usize {
    (0..).take_while(|q| tensors.has(&format!("quantizer.layers.{q}.codebook.embed"))).count()
}

impl Tensors {
    /// A convolution whose weight is `shape`: as it is, or a direction and a length for each of the first dimension.
    fn conv(&mut self, name: &str, shape: [usize; 3], outputs: usize) -> Result<Conv, Error> {
        let pairs = [(".weight_g", ".weight_v"), (".parametrizations.weight.original0", ".parametrizations.weight.original1")];
        let pair = pairs.iter().find(|(length, _)| self.tensors.contains_key(&format!("{name}{length}")));
        let weight = match pair {
            None => self.take(&format!("{name}.weight"), &shape)?,
            Some((length, direction)) => {
                let lengths = self.take(&format!("{name}{length}"), &[shape[0], 1, 1])?;
                let mut weight = self.take(&format!("{name}{direction}"), &shape)?;
                for (row, length) in weight.chunks_exact_mut(shape[1] * shape[2]).zip(lengths) {
                    let own = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
                    let factor = if own > 0.0 { f64::from(length) / own } else { 0.0 };
                    row.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
                }
                weight
            }
        };
        Ok(Conv { weight, bias: self.take(&format!("{name}.bias"), &[outputs])? })
    }

    fn part(&mut self, config: &EncodecConfig, part: &Part) -> Result<Weights, Error> {
        let name = part.name.replacen('.', ".layers.", 1);
        Ok(match part.kind {
            Kind::Conv { inputs, outputs, kernel, .. } => {
                Weights::Conv(self.conv(&format!("{name}.conv"), [outputs, inputs, kernel], outputs)?)
            }
            Kind::Transposed { inputs, outputs, stride } => {
                Weights::Conv(self.conv(&format!("{name}.conv"), [inputs, outputs, 2 * stride], outputs)?)
            }
            Kind::Residual { channels, inner } => Weights::Residual {
                first: self.conv(&format!("{name}.block.1.conv"), [inner, channels, config.residual_kernel_size], inner)?,
                second: self.conv(&format!("{name}.block.3.conv"), [channels, inner, 1], channels)?,
                shortcut: match config.use_conv_shortcut {
                    true => Some(self.conv(&format!("{name}.shortcut.conv"), [channels, channels, 1], channels)?),
                    false => None,
                },
            },
            Kind::Lstm { channels } => Weights::Lstm(
                (0..config.num_lstm_layers)
                    .map(|layer| {
                        let mut take = |what: &str, shape: &[usize]| self.take(&format!("{name}.lstm.{what}_l{layer}"), shape);
                        let other = take("bias_hh", &[4 * channels])?;
                        let bias = take("bias_ih", &[4 * channels])?;
                        Ok(Recurrent {
                            input: take("weight_ih", &[4 * channels, channels])?,
                            hidden: take("weight_hh", &[4 * channels, channels])?,
                            bias: bias.iter().zip(other).map(|(a, b)| a + b).collect(),
                        })
                    })
                    .collect::<Result<_, Error>>()?,
            ),
        })
    }
}

#[cfg(test)]
mod tests;
