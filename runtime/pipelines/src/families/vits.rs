//! One of Piper's voices.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::vits::{CHUNK, VitsConfig, VitsGraph};

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;
use crate::speak::Voice;

/// Symbols of speech in a second: phonemes, and what lies between them.
const SYMBOLS_PER_SECOND: f64 = 30.0;

pub(super) struct Vits;

impl Vits {
    fn graph(model: &Path, options: Options) -> Result<VitsGraph, FamilyError> {
        Ok(VitsGraph::new(ModelFolder::open(model)?, options)?)
    }
}

impl Family for Vits {
    fn kind(&self) -> &'static str {
        VitsConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "a voice".into()
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Voice::open(model, options)?.memory_plan().into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Ok(Voice::open(model, options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let mut graph = Self::graph(model, options)?;
        let (seconds, most) = (workload.seconds(), graph.config().max_tokens);
        let symbols = match workload.tokens {
            Some(_) => workload.text(most)?,
            None => ((seconds * SYMBOLS_PER_SECOND).ceil() as usize).clamp(1, most),
        };
        let chunk = (CHUNK * graph.config().hop()) as f64 / graph.config().sampling_rate as f64;
        let [clause, frames] = graph.work(symbols);
        let phases =
            vec![Phase::new("clause", clause).times(1.0, format!("{symbols} symbols")), Phase::new("chunk", frames).every(chunk, seconds)];
        let figures = vec![("symbols", symbols.into())];
        Ok(Job { figures, without: "phonemes", ..Job::of_seconds("speech", seconds, phases) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["clause"]
    }

    /// Five frames for each symbol, whatever the voice makes of them.
    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = Self::graph(model, options)?;
        let symbols = tokens(length.unwrap_or(graph.config().max_tokens.min(64)), graph.config().vocab_size);
        exercise(graph, move |graph| {
            graph.begin_with(&symbols, ossicle_models::vits::Manner::default(), &vec![5; symbols.len()])?;
            while graph.next_chunk()?.is_some() {}
            Ok(())
        })
    }
}
