//! Texts to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::MemoryPlan;
use ossicle_models::clip::{ClipConfig, TextGraph};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
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
}

/// Whichever kind of model the folder holds.
#[derive(Debug)]
enum Graph {
    Clip(TextGraph),
    MiniLm(MiniLmGraph),
}

/// A text's vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// Of length 1.
    pub vector: &'a [f32],
    /// Tokens at the end of the text that the model does not read, as it reads no more of them.
    pub left_out: usize,
}

impl TextEncoder {
    /// Opens the text tower of a CLIP, or a sentence encoder.
    ///
    /// # Errors
    /// [`EmbedError::Kind`] if the model has neither; other errors if the folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let kind = crate::models::info(model).map(|info| info.kind).unwrap_or_default();
        let (tokenizer, graph, most_tokens) = if kind == MiniLmConfig::KIND {
            let folder = ModelFolder::<MiniLmConfig>::open(model)?;
            let graph = MiniLmGraph::new_within(Arc::clone(&folder), options.into(), options.most)?;
            (folder.read_text(TOKENIZER)?, Graph::MiniLm(graph), folder.config().max_tokens)
        } else if kind == ClipConfig::KIND {
            let folder = ModelFolder::<ClipConfig>::open(model)?;
            let Some(most) = folder.config().text.as_ref().map(|tower| tower.max_tokens) else {
                return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "texts" });
            };
            (folder.read_text(TOKENIZER)?, Graph::Clip(TextGraph::new(Arc::clone(&folder), options.into(), options.most)?), most)
        } else {
            return Err(EmbedError::Kind { path: model.to_owned(), kind, what: "texts" });
        };
        let tokenizer = Tokenizer::from_json(&tokenizer).map_err(|source| EmbedError::Tokenizer { path: model.to_owned(), source })?;
        Ok(Self { path: model.to_owned(), tokenizer, graph, most_tokens })
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
        match vector.iter().all(|x| x.is_finite()) {
            true => Ok(Encoded { vector, left_out: encoding.left_out }),
            false => Err(EmbedError::NotFinite { path: self.path.clone() }),
        }
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
