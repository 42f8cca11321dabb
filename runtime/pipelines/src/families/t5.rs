//! Descriptions to rows, for sounds from text.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::t5::{T5Config, T5Graph};

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;

pub(super) struct T5;

impl T5 {
    fn graph(model: &Path, options: Options) -> Result<T5Graph, FamilyError> {
        Ok(T5Graph::new(ModelFolder::open(model)?, options)?)
    }
}

impl Family for T5 {
    fn kind(&self) -> &'static str {
        T5Config::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "rows of texts".into()
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Self::graph(model, options)?.memory_plan().into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Self::graph(model, options).map(drop)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::<T5Config>::open(model)?;
        let tokens = workload.text(folder.config().max_tokens)?;
        let phase = Phase::new("text", T5Graph::work(&folder, options, tokens)?);
        Ok(Job { figures: vec![("tokens", tokens.into())], ..Job::new("text", format!("{tokens} tokens"), vec![phase]) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["text"]
    }

    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = Self::graph(model, options)?;
        let &T5Config { max_tokens, vocab_size, .. } = graph.config();
        let tokens = tokens(length.unwrap_or(max_tokens), vocab_size);
        exercise(graph, move |graph| graph.run(&tokens).map(drop))
    }
}
