//! Sentences to vectors.

use std::path::Path;
use std::sync::Arc;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_text::Cleaning;
use ossicle_trace::Tap;

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::embed::{self, EmbedError, TextSource, TextTower, Texts};
use crate::find::TextEncoder;
use crate::models::ModelInfo;

pub(super) struct MiniLm;

impl MiniLm {
    fn graph(model: &Path, options: Options) -> Result<MiniLmGraph, FamilyError> {
        Ok(MiniLmGraph::new(ModelFolder::open(model)?, options)?)
    }
}

impl Family for MiniLm {
    fn kind(&self) -> &'static str {
        MiniLmConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "vectors of sentences".into()
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Self::graph(model, options)?.memory_plan().into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Ok(TextEncoder::open(model, options.isa, options.threads).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let graph = Self::graph(model, options)?;
        let tokens = workload.text(graph.config().max_tokens)?;
        let figures = vec![("tokens", tokens.into())];
        Ok(Job { figures, ..Job::new("text", format!("{tokens} tokens"), vec![Phase::new("sentence", graph.work(tokens))]) })
    }

    fn texts(&self, model: &Path, options: embed::Options) -> Result<Option<TextSource>, EmbedError> {
        let folder = ModelFolder::<MiniLmConfig>::open(model)?;
        let &MiniLmConfig { max_tokens: most_tokens, hidden_size: width, .. } = folder.config();
        let tokenizer = folder.read_text("tokenizer.json")?;
        let tower = Box::new(MiniLmGraph::new_within(folder, options.into(), options.most)?);
        Ok(Some(TextSource::Own(Texts { tower, tokenizer, cleaning: Cleaning::None, most_tokens, width })))
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["sentence"]
    }

    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = Self::graph(model, options)?;
        let &MiniLmConfig { max_tokens, vocab_size, .. } = graph.config();
        let tokens = tokens(length.unwrap_or(max_tokens), vocab_size);
        exercise(graph, move |graph| graph.run(&tokens).map(drop))
    }
}

impl TextTower for MiniLmGraph {
    fn vector(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        self.run(tokens)
    }

    fn memory_plan(&self) -> MemoryPlan {
        Self::memory_plan(self)
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }

    /// Of what a sentence's vector depends on, not of phrases for sounds.
    fn sha256(&self) -> Option<String> {
        Some(self.weights().tensors_sha256(|name| name.starts_with("embed.") || name.starts_with("layers.")))
    }
}
