//! Sentences to vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::MemoryPlan;
use ossicle_models::folder::ModelFolder;
use ossicle_models::minilm::{CaptionMap, MiniLmConfig, MiniLmGraph};
use ossicle_text::Tokenizer;
use ossicle_trace::Tap;

use super::FindError;

/// Encodes sentences.
///
/// ```no_run
/// use ossicle::find::TextEncoder;
/// use ossicle_kernels::simd::Isa;
///
/// let mut encoder = TextEncoder::open("models-int8/minilm".as_ref(), Isa::detect(), 1)?;
/// let vector = encoder.encode("A dog barks.")?;
/// assert_eq!(vector.len(), 384);
/// # Ok::<(), ossicle::find::FindError>(())
/// ```
#[derive(Debug)]
pub struct TextEncoder {
    path: PathBuf,
    folder: Arc<ModelFolder<MiniLmConfig>>,
    tokenizer: Tokenizer,
    graph: MiniLmGraph,
}

impl TextEncoder {
    /// Opens a sentence encoder's folder. Instruction set and threads (held to 1..=8) change no bit.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(path: &Path, isa: Isa, threads: usize) -> Result<Self, FindError> {
        let folder = ModelFolder::open(path)?;
        let wrong = |source| FindError::Tokenizer { path: path.to_owned(), source };
        let tokenizer = Tokenizer::from_json(&folder.read_text("tokenizer.json")?).map_err(wrong)?;
        let graph = MiniLmGraph::new(Arc::clone(&folder), ossicle_models::Options { isa, threads })?;
        Ok(Self { path: path.to_owned(), folder, tokenizer, graph })
    }

    /// The vector of a text, of length 1.
    ///
    /// # Errors
    /// [`FindError::Text`] if it is longer than the model takes, or has nothing that the model reads.
    pub fn encode(&mut self, text: &str) -> Result<&[f32], FindError> {
        let most = self.graph.config().max_tokens;
        let encoding = self.tokenizer.encode(text, most);
        let refuse = |problem: String| Err(FindError::Text { text: text.chars().take(40).collect(), problem });
        if encoding.left_out > 0 {
            return refuse(format!("{} tokens too many, {most} are read: give a shorter text", encoding.left_out));
        }
        if encoding.ids.len() <= self.tokenizer.encode("", most).ids.len() {
            return refuse("there is no word in it: give one".into());
        }
        Ok(self.graph.run(&encoding.ids)?)
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.graph.memory_plan()
    }

    /// Hands every tensor from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap);
    }

    /// SHA-256 of the weights, in lower-case hexadecimal.
    pub fn weights_sha256(&self) -> String {
        self.folder.weights().sha256()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Values of a description by the folder's caption map; none without one.
    pub fn described(&self) -> usize {
        self.graph.config().described
    }

    /// The folder's caption map, and the embedding that it is for.
    pub(super) fn captions(&self) -> Option<(CaptionMap, &str)> {
        Some((self.graph.captions()?, self.graph.config().captions_of.as_str()))
    }

    /// Labels and vectors of the folder's phrases for sounds.
    pub(super) fn sounds(&self) -> Result<(Vec<String>, Vec<f32>), FindError> {
        let refuse = |problem: String| FindError::Sounds { path: self.path.clone(), problem };
        let count = self.graph.config().sounds;
        if count == 0 {
            return Err(refuse("has no phrases for sounds: make it with ossicle-quantize minilm --sounds".into()));
        }
        let text = self.folder.read_text("sounds.tsv")?;
        let labels: Vec<String> = text.lines().filter_map(|line| Some(line.split_once('\t')?.0.to_owned())).collect();
        if labels.len() != count {
            return Err(refuse(format!("sounds.tsv has {} phrases, config.json {count}", labels.len())));
        }
        Ok((labels, self.graph.sounds()))
    }
}
