//! `ossicle-quantize clip`: the image and text tower of a CLIP or SigLIP from a checkpoint as a model folder.

mod config;
mod fast_vit;
mod gemma;
mod measure;
mod open_clip;
mod siglip;
mod spiece;
mod tower;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle::label::{Preprocessor, Target};
use ossicle_text::{Cleaning, Tokenizer};
use serde_json::{Value, json};

use crate::Error;
use crate::error::TensorProblem;
use crate::float::{Float, Tensor};
use crate::network::Network;
use crate::onnx::builder::Builder;
use crate::source::{read_json, read_text};
use crate::sources::checkpoint;
use config::{Config, Scored, TextConfig, Trunk};
use tower::Taken;

pub use measure::Report;
pub use write::Task;

/// Which towers to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towers {
    /// Images to vectors.
    Image,
    /// Texts to vectors.
    Text,
    /// Both.
    Both,
}

impl Towers {
    fn image(self) -> bool {
        self != Self::Text
    }

    fn text(self) -> bool {
        self != Self::Image
    }
}

/// The token that ends a text.
const END: &str = "<|endoftext|>";

/// The same of SigLIP.
const SIGLIP_END: &str = "</s>";

/// A float CLIP.
pub struct Clip {
    path: PathBuf,
    config: Config,
    /// `exp` of the checkpoint's `logit_scale`.
    logit_scale: f32,
    logit_bias: f32,
    image: Option<ImageTower>,
    text: Option<TextTower>,
}

struct ImageTower {
    network: Network,
    preprocessor: Preprocessor,
}

struct TextTower {
    network: Network,
    tokenizer: Tokenizer,
    cleaning: Cleaning,
    tokenizer_json: String,
    /// `[vocabulary][width]`
    words: Vec<f32>,
    /// `[tokens][width]`
    positions: Vec<f32>,
    end: u32,
    /// The tower's own tensors, of which the float reference is made.
    tensors: BTreeMap<String, Tensor>,
}

impl Clip {
    /// Reads a folder of Transformers with `config.json`, or of open_clip with `open_clip_config.json`, the weights (safetensors or PyTorch's, one file or several) and, for texts, `tokenizer.json`.
    /// `preprocessor_config.json` says what becomes of images; without one it is what CLIP was trained with.
    ///
    /// # Errors
    /// A file is missing or malformed, or asks for what the runtime does not do; a tensor is missing, misshapen, not finite, or belongs to neither
    /// tower.
    pub fn open(folder: &Path, towers: Towers) -> Result<Self, Error> {
        let own = folder.join("config.json");
        let (mut config, tensors, preprocessor) = if folder.join(open_clip::CONFIG).is_file() && !own.is_file() {
            open_clip::read(folder)?
        } else {
            // Buffers of whole numbers that older versions of Transformers saved.
            let tensors = checkpoint::tensors(folder, |name| !name.ends_with("position_ids"))?;
            let config = Config::read(&own)?;
            match config.scores {
                Scored::Softmax => (config, tensors, json!({"do_center_crop": true})),
                Scored::Sigmoid if towers.image() => {
                    let tensors = siglip::tensors(folder, config.projection, tensors)?;
                    (config, tensors, json!({}))
                }
                Scored::Sigmoid => (config, tensors, json!({})),
            }
        };
        let mut graph = Builder::new(folder, tensors);
        let mut figure = |name: &str| -> Result<f32, Error> {
            // SigLIP's are lists of one.
            let shape = graph.shape(name)?.to_vec();
            graph.take(name, if shape == [1] { &[1] } else { &[] }).map(|values| values[0])
        };
        let logit_scale = figure("logit_scale")?.exp();
        let logit_bias = if config.scores == Scored::Sigmoid { figure("logit_bias")? } else { 0.0 };
        if !logit_scale.is_finite() {
            return Err(Error::unsupported(folder, "tensor logit_scale: its power is not finite"));
        }
        let of_image = |name: &str| ["vision_model.", "visual_projection.", "visual."].iter().any(|tower| name.starts_with(tower));
        let of_text = |name: &str| name.starts_with("text_model.") || name.starts_with("text_projection.");
        if let Some(name) = graph.left().find(|name| !of_image(name) && !of_text(name)) {
            return Err(Error::unsupported(folder, format!("tensor {name} does not belong to CLIP")));
        }
        let (images, texts): (BTreeMap<_, _>, BTreeMap<_, _>) = graph.into_tensors().into_iter().partition(|(name, _)| of_image(name));
        let image = towers.image().then(|| ImageTower::open(folder, &config, images, preprocessor)).transpose()?;
        let text = towers.text().then(|| TextTower::open(folder, &mut config, texts)).transpose()?;
        Ok(Self { path: folder.to_owned(), config, logit_scale, logit_bias, image, text })
    }

    /// What is done to texts before their tokens are made: without this call, [`Cleaning::Ftfy`] of a CLIP, and nothing of a SigLIP.
    ///
    /// # Errors
    /// The tokenizer is none that texts are cleaned for.
    pub fn clean_texts(&mut self, cleaning: Cleaning) -> Result<(), Error> {
        if let Some(tower) = &mut self.text {
            tower.clean_texts(&self.path, cleaning)?;
        }
        Ok(())
    }

    /// A text's tokens, those around it included; one that is too long is cut off. None without a text tower.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        self.text.as_ref().map(|tower| tower.tokenizer.encode(text, self.config.text.tokens).ids).unwrap_or_default()
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        let image = self.image.as_ref().map_or(0, |tower| tower.network.parameters());
        image + self.text.as_ref().map_or(0, |tower| tower.network.parameters() + tower.words.len() + tower.positions.len())
    }
}

/// A tensor of these values; `path` and `name` are for the error, which would be a bug.
fn made(path: &Path, name: &str, values: &[f32], shape: Vec<usize>) -> Result<Tensor, Error> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let length = bytes.len();
    Tensor::new(&Arc::new(bytes), 0..length, Float::F32, shape).ok_or_else(|| Error::tensor(path, name, TensorProblem::Missing))
}

/// All tensors of a tower were taken.
fn nothing_left(folder: &Path, graph: &Builder) -> Result<(), Error> {
    match graph.left().next() {
        Some(name) => Err(Error::unsupported(folder, format!("tensor {name} is not one of such a tower"))),
        None => Ok(()),
    }
}

impl ImageTower {
    fn open(folder: &Path, config: &Config, tensors: BTreeMap<String, Tensor>, unsaid: Value) -> Result<Self, Error> {
        let side = config.image.side;
        let figures = if config.scores == Scored::Sigmoid { siglip::preprocessor() } else { json!({}) };
        let preprocessor = preprocessor(folder, unsaid, &figures, Target { height: side, width: side, channels: 3 })?;
        let mut graph = Builder::new(folder, tensors);
        let file = match &config.image.trunk {
            Trunk::Vit(vit) => tower::image(&mut graph, vit, side, config.projection)?,
            Trunk::FastVit(trunk) => fast_vit::image(&mut graph, trunk, side, config.projection)?,
        };
        nothing_left(folder, &graph)?;
        Ok(Self { network: Network::parse(folder, &file)?, preprocessor })
    }
}

impl TextTower {
    /// What a text is filled up with comes from the tokenizer, if that is Gemma's.
    fn open(folder: &Path, config: &mut Config, mut tensors: BTreeMap<String, Tensor>) -> Result<Self, Error> {
        let TextConfig { ref blocks, vocabulary, tokens, pad, .. } = config.text;
        let (own, pieces) = (folder.join("tokenizer.json"), folder.join("spiece.model"));
        let (path, tokenizer_json) = match pad {
            Some(_) if !own.is_file() && pieces.is_file() => (pieces.clone(), spiece::tokenizer_json(&pieces, SIGLIP_END)?),
            _ => (own.clone(), read_text(&own)?),
        };
        let mut tokenizer_json = tokenizer_json;
        let mut tokenizer = Tokenizer::from_json(&tokenizer_json).map_err(|e| Error::json(&path, e))?;
        let mut pad = pad;
        if pad.is_some()
            && let Some(gemma) = gemma::ends(folder, &tokenizer)?
        {
            pad = Some(gemma.pad);
            if gemma.lowercase {
                tokenizer_json = gemma::lowercased(&path, &tokenizer_json)?;
                tokenizer = Tokenizer::from_json(&tokenizer_json).map_err(|e| Error::json(&path, e))?;
            }
        }
        if tokenizer.size() > vocabulary {
            return Err(Error::unsupported(&path, format!("{} tokens, config.json has a vocabulary of {vocabulary}", tokenizer.size())));
        }
        let ends = if pad.is_some() { &[SIGLIP_END, gemma::END][..] } else { &[END] };
        let end = ends.iter().find_map(|end| tokenizer.added_token(end));
        let end = end.ok_or_else(|| Error::unsupported(&path, format!("has no token {:?}", ends.join(" or "))))?;
        if let Some(pad) = pad.filter(|&pad| pad as usize >= vocabulary) {
            let problem = format!("text_config: pad_token_id {pad} is beyond the vocabulary of {vocabulary}");
            return Err(Error::unsupported(&folder.join("config.json"), problem));
        }
        let mut graph = Builder::new(folder, tensors);
        let words = graph.take("text_model.embeddings.token_embedding.weight", &[vocabulary, blocks.width])?;
        let positions = graph.take("text_model.embeddings.position_embedding.weight", &[tokens, blocks.width])?;
        tensors = graph.into_tensors();
        let mut graph = Builder::new(folder, tensors.clone());
        let file = tower::text(&mut graph, &config.text, tokens, config.projection, Taken::Early(tokens - 1))?;
        nothing_left(folder, &graph)?;
        let network = Network::parse(folder, &file)?;
        let mut tower = Self { network, tokenizer, cleaning: Cleaning::None, tokenizer_json, words, positions, end, tensors };
        config.text.pad = pad;
        if config.scores == Scored::Softmax {
            tower.clean_texts(&path, Cleaning::Ftfy)?;
        }
        Ok(tower)
    }

    fn clean_texts(&mut self, path: &Path, cleaning: Cleaning) -> Result<(), Error> {
        self.tokenizer = self.tokenizer.clone().cleaned(cleaning).map_err(|e| Error::json(path, e))?;
        self.cleaning = cleaning;
        Ok(())
    }

    /// Rows of some tokens: of each its own and its position's.
    fn embed(&self, tokens: &[u32], width: usize) -> Vec<f32> {
        let rows = tokens.iter().zip(self.positions.chunks_exact(width));
        rows.flat_map(|(&token, position)| self.words[token as usize * width..][..width].iter().zip(position).map(|(x, p)| x + p)).collect()
    }
}

/// What becomes of an image: what the folder's file says, or `unsaid` without one, and `figures`, or CLIP's own, where they say nothing.
fn preprocessor(folder: &Path, unsaid: Value, figures: &Value, target: Target) -> Result<Preprocessor, Error> {
    let path = folder.join("preprocessor_config.json");
    let mut value = match path.is_file() {
        true => read_json::<Value>(&path)?,
        false => unsaid,
    };
    // Old files leave out what has always been so, and name the shorter side by its length alone.
    let defaults = [
        ("rescale_factor", json!(1.0 / 255.0)),
        ("resample", json!(3)),
        ("size", json!(target.height)),
        ("image_mean", json!([0.481_454_66, 0.457_827_5, 0.408_210_73])),
        ("image_std", json!([0.268_629_54, 0.261_302_58, 0.275_777_11])),
    ];
    for (name, default) in defaults {
        if value.get(name).is_none_or(Value::is_null) {
            value[name] = figures.get(name).cloned().unwrap_or(default);
        }
    }
    if let (Some(side), Some(true)) = (value["size"].as_u64(), value["do_center_crop"].as_bool()) {
        value["size"] = json!({"shortest_edge": side});
    }
    Preprocessor::parse(value.to_string().as_bytes(), target).map_err(|e| Error::json(&path, e))
}
