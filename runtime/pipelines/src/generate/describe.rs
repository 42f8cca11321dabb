//! Descriptions as rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_models::Options;
use ossicle_models::audiogen::AudiogenConfig;
use ossicle_models::folder::{FolderError, ModelFolder, Weights};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
use ossicle_models::t5::{T5Config, T5Graph};
use ossicle_text::{Tokenizer, TokenizerError};
use ossicle_trace::Tap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{GenerateError, TEXT};

/// Longest description read, in bytes.
const MAX_BYTES: usize = 1 << 16;

/// A description as the model takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub(super) values: Vec<f32>,
    /// Rows and their width.
    pub(super) shape: [usize; 2],
}

impl Description {
    /// Values, row after row.
    pub(super) fn new(values: Vec<f32>, width: usize) -> Self {
        Self { shape: [values.len() / width.max(1), width], values }
    }

    /// Rows: one for each token.
    pub fn rows(&self) -> usize {
        self.shape[0]
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

/// A model's `config.json`, as far as it names what encodes descriptions.
#[derive(Deserialize)]
struct Named {
    text_model: Option<TextModel>,
}

/// A model folder next to the model's.
#[derive(Deserialize)]
struct TextModel {
    name: String,
    /// Of its weights.
    sha256: String,
}

/// The folder of what encodes descriptions: `text` in the model's, or the one of this name next to it or where models are looked for.
///
/// # Errors
/// There is none, or its weights are not those that the model was made with.
pub fn text_folder(folder: &Path) -> Result<PathBuf, GenerateError> {
    let own = folder.join(TEXT);
    if own.exists() {
        return Ok(own);
    }
    let named: Named = read_json(folder.join("config.json"))?;
    let Some(TextModel { name, sha256 }) = named.text_model else {
        // Whoever opens it says what is missing.
        return Ok(own);
    };
    let refused = |problem: String| GenerateError::Parts { path: folder.to_owned(), problem };
    if Path::new(&name).file_name().is_none_or(|last| last != name.as_str()) {
        return Err(refused(format!("text_model {name:?} is not the name of a model folder")));
    }
    let beside = folder.canonicalize().ok().and_then(|path| Some(path.parent()?.join(&name))).filter(|path| path.is_dir());
    let path = match beside {
        Some(path) => path,
        None => crate::models::find(&name).map_err(|error| refused(format!("descriptions need the model {name}: {error}")))?,
    };
    match Weights::open(path.join("model.safetensors"))?.sha256() == sha256 {
        true => Ok(path),
        false => Err(GenerateError::Parts { path, problem: "these are not the weights that sounds from text were taught with".into() }),
    }
}

fn read_json<T: DeserializeOwned>(path: PathBuf) -> Result<T, FolderError> {
    let text = std::fs::read_to_string(&path).map_err(|source| FolderError::Read { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|e| FolderError::Malformed { path, problem: e.to_string() })
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

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match self {
            Self::T5(graph) => graph.set_tap(tap),
            Self::MiniLm(graph) => graph.set_tap(tap),
        }
    }

    fn figures(&self) -> (usize, usize) {
        match self {
            Self::T5(graph) => (graph.config().d_model, graph.config().max_tokens),
            Self::MiniLm(graph) => (graph.config().hidden_size, graph.config().max_tokens),
        }
    }
}

/// What a model folder is.
pub(super) fn kind(path: &Path) -> Result<String, GenerateError> {
    Ok(read_json::<Kind>(path.join("config.json"))?.kind)
}

/// The rows of descriptions; what makes them is let go again.
///
/// # Errors
/// The model's encoder cannot be used, a description is empty, or longer than the encoder takes.
pub fn describe(folder: &Path, options: Options, texts: &[&str]) -> Result<Vec<Description>, GenerateError> {
    describe_traced(folder, options, texts, None)
}

/// As [`describe`], and hands every tensor to `tap`.
///
/// # Errors
/// As for [`describe`].
pub fn describe_traced(
    folder: &Path,
    options: Options,
    texts: &[&str],
    tap: Option<Arc<dyn Tap>>,
) -> Result<Vec<Description>, GenerateError> {
    for text in texts {
        if text.trim().is_empty() {
            return Err(GenerateError::Description("an empty description: say what is to be heard".into()));
        }
        if text.len() > MAX_BYTES {
            return Err(GenerateError::Description(format!("a description of {} bytes, at most {MAX_BYTES} are read", text.len())));
        }
    }
    check(folder, ModelFolder::<AudiogenConfig>::open(folder)?.config().text_size)?;
    let path = text_folder(folder)?;
    let mut encoder = Encoder::open(&path, options)?;
    encoder.set_tap(tap);
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
        descriptions.push(Description::new(encoder.rows(&encoding.ids)?.to_vec(), width));
    }
    Ok(descriptions)
}

/// Bytes that the encoder needs while it runs: its weights, and the rest.
pub(super) fn bytes(folder: &Path, options: Options) -> Result<[usize; 2], GenerateError> {
    let path = text_folder(folder)?;
    // Nothing is run: one thread is enough to plan for more.
    let plan = match Encoder::open(&path, options)? {
        Encoder::T5(graph) => graph.memory_plan(),
        Encoder::MiniLm(graph) => graph.memory_plan(),
    };
    Ok([plan.weights, plan.buffers + plan.state])
}

/// Most rows of a description, whose width the model's has to be.
pub(super) fn check(folder: &Path, width: usize) -> Result<(), GenerateError> {
    let path = text_folder(folder)?;
    let have = match kind(&path)?.as_str() {
        "t5" => ModelFolder::<T5Config>::open(&path)?.config().d_model,
        _ => ModelFolder::<MiniLmConfig>::open(&path)?.config().hidden_size,
    };
    match have == width {
        true => Ok(()),
        false => Err(GenerateError::Parts { path, problem: format!("gives rows of {have} values, the model takes {width}") }),
    }
}
