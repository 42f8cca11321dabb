//! Sentences to vectors.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::minilm::{MiniLmConfig, MiniLmGraph};

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
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
