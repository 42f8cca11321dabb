//! Texts to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::MemoryPlan;
use ossicle_models::clip::{ClipConfig, TextGraph};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
use ossicle_models::network::{NetworkConfig, unit_length};
use ossicle_text::Tokenizer;
use ossicle_trace::Tap;

use super::{EmbedError, Options};

/// Encodes texts.
#[derive(Debug)]
pub struct TextEncoder {
    path: PathBuf,
    tokenizer: Tokenizer,
    graph: Graph,
    most_tokens: usize,
    /// What is taken from each vector, if anything, and room for what is left.
    mean: Option<(Vec<f32>, Vec<f32>)>,
}

/// Whichever kind of model the folder holds.
#[derive(Debug)]
enum Graph {
    Clip(Box<TextGraph>),
    MiniLm(Box<MiniLmGraph>),
}

/// A text's vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// Of length 1.
    pub vector: &'a [f32],
    /// Tokens that were read, those around the text included.
    pub tokens: usize,
    /// Tokens at the end of the text that the model does not read, as it reads no more of them.
    pub left_out: usize,
}

impl TextEncoder {
    /// Opens the text tower of a CLIP, a sentence encoder, or the one that a network with words names.
    ///
    /// # Errors
    /// [`EmbedError::Kind`] if the model has neither; other errors if the folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let kind = crate::models::info(model).map(|info| info.kind).unwrap_or_default();
        let (tokenizer, graph, most_tokens) = if kind == MiniLmConfig::KIND {
            let folder = ModelFolder::<MiniLmConfig>::open(model)?;
            let graph = MiniLmGraph::new_within(Arc::clone(&folder), options.into(), options.most)?;
            (folder.read_text(TOKENIZER)?, Graph::MiniLm(Box::new(graph)), folder.config().max_tokens)
        } else if kind == ClipConfig::KIND {
            let folder = ModelFolder::<ClipConfig>::open(model)?;
            let Some(most) = folder.config().text.as_ref().map(|tower| tower.max_tokens) else {
                return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "texts" });
            };
            (folder.read_text(TOKENIZER)?, Graph::Clip(Box::new(TextGraph::new(Arc::clone(&folder), options.into(), options.most)?)), most)
        } else if kind == NetworkConfig::KIND {
            return Self::of_words(model, options);
        } else {
            return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "texts" });
        };
        let tokenizer = Tokenizer::from_json(&tokenizer).map_err(|source| EmbedError::Tokenizer { path: model.to_owned(), source })?;
        Ok(Self { path: model.to_owned(), tokenizer, graph, most_tokens, mean: None })
    }

    /// The sentence encoder of a network's words: next to it, or among the models.
    fn of_words(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let folder = ModelFolder::<NetworkConfig>::open(model)?;
        let Some(words) = &folder.config().words else {
            return Err(EmbedError::Kind { path: model.to_owned(), kind: NetworkConfig::KIND.into(), what: "texts" });
        };
        let absolute = model.canonicalize().unwrap_or_else(|_| model.to_owned());
        // A folder from elsewhere must not choose which files are read.
        let plain = Path::new(&words.text_model).components().count() == 1;
        let beside = absolute.parent().map(|parent| parent.join(&words.text_model)).filter(|path| plain && path.is_dir());
        let missing = || EmbedError::TextModel { path: model.to_owned(), name: words.text_model.clone() };
        let found = match beside {
            Some(path) => path,
            None if plain => crate::models::find(&words.text_model).map_err(|_| missing())?,
            None => return Err(missing()),
        };
        let mut encoder = Self::open(&found, options)?;
        if encoder.width() != words.width || encoder.text_sha256().as_ref() != Some(&words.text_sha256) {
            return Err(missing());
        }
        let mean = folder.weights().f32s(&words.mean(folder.weights())?).to_vec();
        encoder.mean = Some((mean, vec![0.0; words.width]));
        Ok(encoder)
    }

    /// Digest of the tensors that a sentence encoder's vectors depend on, in lower-case hexadecimal; none of a CLIP.
    pub fn text_sha256(&self) -> Option<String> {
        match &self.graph {
            Graph::Clip(_) => None,
            Graph::MiniLm(graph) => Some(graph.weights().tensors_sha256(|name| name.starts_with("embed.") || name.starts_with("layers."))),
        }
    }

    /// The vector of a text. What the model cannot read of a long one is left out, and counted.
    ///
    /// # Errors
    /// [`EmbedError::NotFinite`]; [`EmbedError::Graph`] would be a bug of ours.
    pub fn encode(&mut self, text: &str) -> Result<Encoded<'_>, EmbedError> {
        let encoding = self.tokenizer.encode(text, self.most_tokens);
        let vector = match &mut self.graph {
            Graph::Clip(graph) => graph.run(&encoding.ids),
            Graph::MiniLm(graph) => graph.run(&encoding.ids),
        };
        let vector = vector?;
        if !vector.iter().all(|x| x.is_finite()) {
            return Err(EmbedError::NotFinite { path: self.path.clone() });
        }
        let vector = match &mut self.mean {
            None => vector,
            Some((mean, left)) => {
                left.iter_mut().zip(vector).zip(mean).for_each(|((left, x), mean)| *left = x - *mean);
                unit_length(left);
                left
            }
        };
        Ok(Encoded { vector, tokens: encoding.ids.len(), left_out: encoding.left_out })
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        match &self.graph {
            Graph::Clip(graph) => graph.config().projection_dim,
            Graph::MiniLm(graph) => graph.config().hidden_size,
        }
    }

    /// Most tokens of a text that are read, those around it included.
    pub fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        match &self.graph {
            Graph::Clip(graph) => graph.memory_plan(),
            Graph::MiniLm(graph) => graph.memory_plan(),
        }
    }

    /// From now on `tap` gets every tensor that is computed; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match &mut self.graph {
            Graph::Clip(graph) => graph.set_tap(tap),
            Graph::MiniLm(graph) => graph.set_tap(tap),
        }
    }
}

/// What turns texts into tokens.
const TOKENIZER: &str = "tokenizer.json";
