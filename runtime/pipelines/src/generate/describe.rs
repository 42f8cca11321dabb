//! Descriptions as rows.

use std::path::Path;

use ossicle_models::Options;
use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
use ossicle_models::t5::{T5Config, T5Graph};
use ossicle_text::{Tokenizer, TokenizerError};
use serde::Deserialize;

use super::{GenerateError, TEXT};

/// Longest description read, in bytes.
const MAX_BYTES: usize = 1 << 16;

/// A description as the model takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub(super) values: Vec<f32>,
    pub(super) width: usize,
}

impl Description {
    /// Rows: one for each token.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }
}

/// An encoder of either kind.
enum Encoder {
    T5(Box<T5Graph>),
    MiniLm(Box<MiniLmGraph>),
}

/// What it is.
#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl Encoder {
    fn open(path: &Path, options: Options) -> Result<Self, GenerateError> {
        match kind(path)?.as_str() {
            "t5" => Ok(Self::T5(Box::new(T5Graph::new(ModelFolder::open(path)?, options)?))),
            "minilm" => Ok(Self::MiniLm(Box::new(MiniLmGraph::new(ModelFolder::open(path)?, options)?))),
            other => Err(GenerateError::Parts { path: path.to_owned(), problem: format!("kind is {other:?}, not \"t5\" or \"minilm\"") }),
        }
    }

    fn rows(&mut self, tokens: &[u32]) -> Result<&[f32], GenerateError> {
        match self {
            Self::T5(graph) => Ok(graph.run(tokens)?),
            Self::MiniLm(graph) => Ok(graph.rows(tokens)?),
        }
    }

    fn figures(&self) -> (usize, usize) {
        match self {
            Self::T5(graph) => (graph.config().d_model, graph.config().max_tokens),
            Self::MiniLm(graph) => (graph.config().hidden_size, graph.config().max_tokens),
        }
    }
}

fn kind(path: &Path) -> Result<String, GenerateError> {
    let file = path.join("config.json");
    let text = std::fs::read_to_string(&file).map_err(|source| FolderError::Read { path: file.clone(), source })?;
    let kind: Kind = serde_json::from_str(&text).map_err(|e| FolderError::Malformed { path: file, problem: e.to_string() })?;
    Ok(kind.kind)
}

/// The rows of descriptions; what makes them is let go again.
///
/// # Errors
/// The folder `text` of the model cannot be used, a description is empty, or longer than the encoder takes.
pub fn describe(folder: &Path, options: Options, texts: &[&str]) -> Result<Vec<Description>, GenerateError> {
    for text in texts {
        if text.trim().is_empty() {
            return Err(GenerateError::Description("an empty description: say what is to be heard".into()));
        }
        if text.len() > MAX_BYTES {
            return Err(GenerateError::Description(format!("a description of {} bytes, at most {MAX_BYTES} are read", text.len())));
        }
    }
    let path = folder.join(TEXT);
    let mut encoder = Encoder::open(&path, options)?;
    let tokenizer = path.join("tokenizer.json");
    let json = std::fs::read_to_string(&tokenizer).map_err(|source| FolderError::Read { path: tokenizer.clone(), source })?;
    let failed = |source: TokenizerError| GenerateError::Tokenizer { path: path.clone(), source };
    let tokenizer = Tokenizer::from_json(&json).map_err(failed)?;
    let (width, most) = encoder.figures();
    let mut descriptions = vec![];
    for text in texts {
        let encoding = tokenizer.encode(text, most);
        if encoding.left_out > 0 {
            let have = encoding.ids.len() + encoding.left_out;
            return Err(GenerateError::Description(format!("a description of {have} tokens, this model takes {most}: shorten it")));
        }
        descriptions.push(Description { values: encoder.rows(&encoding.ids)?.to_vec(), width });
    }
    Ok(descriptions)
}

/// Bytes that the encoder needs while it runs: its weights, and the rest.
pub(super) fn bytes(folder: &Path, options: Options) -> Result<[usize; 2], GenerateError> {
    let path = folder.join(TEXT);
    // Nothing is run: one thread is enough to plan for more.
    let plan = match Encoder::open(&path, options)? {
        Encoder::T5(graph) => graph.memory_plan(),
        Encoder::MiniLm(graph) => graph.memory_plan(),
    };
    Ok([plan.weights, plan.buffers + plan.state])
}

/// Most rows of a description, whose width the model's has to be.
pub(super) fn check(folder: &Path, width: usize) -> Result<(), GenerateError> {
    let path = folder.join(TEXT);
    let have = match kind(&path)?.as_str() {
        "t5" => ModelFolder::<T5Config>::open(&path)?.config().d_model,
        _ => ModelFolder::<MiniLmConfig>::open(&path)?.config().hidden_size,
    };
    match have == width {
        true => Ok(()),
        false => Err(GenerateError::Parts { path, problem: format!("gives rows of {have} values, the model takes {width}") }),
    }
}
