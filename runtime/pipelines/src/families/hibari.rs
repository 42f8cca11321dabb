//! A voice.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::hibari::{CHUNK, HibariConfig, HibariGraph};

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;
use crate::speak::Voice;

/// Seconds of a prosody frame.
const FRAME_SECONDS: f64 = 0.025;

/// Phonemes of speech in a second, stress marks and signs included.
const PHONEMES_PER_SECOND: f64 = 15.0;

pub(super) struct Hibari;

impl Hibari {
    fn graph(model: &Path, options: Options) -> Result<HibariGraph, FamilyError> {
        Ok(HibariGraph::new(ModelFolder::open(model)?, options)?)
    }
}

impl Family for Hibari {
    fn kind(&self) -> &'static str {
        HibariConfig::KIND
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
        let phonemes = match workload.tokens {
            Some(_) => workload.text(most)?,
            None => ((seconds * PHONEMES_PER_SECOND).ceil() as usize).clamp(2, most),
        };
        let chunk = CHUNK as f64 * FRAME_SECONDS;
        let [clause, frames] = graph.work(phonemes);
        let phases = vec![
            Phase::new("clause", clause).times(1.0, format!("{phonemes} phonemes")),
            Phase::new("chunk", frames).every(chunk, seconds),
        ];
        let figures = vec![("phonemes", phonemes.into())];
        Ok(Job { figures, without: "the vocoder", ..Job::of_seconds("speech", seconds, phases) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["clause"]
    }

    /// Half a second of speech for each ten phonemes, whatever the voice makes of them.
    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = Self::graph(model, options)?;
        let phonemes = tokens(length.unwrap_or(graph.config().max_tokens), graph.config().vocab_size);
        exercise(graph, move |graph| {
            graph.begin_with(&phonemes, &vec![2; phonemes.len()])?;
            while graph.next_chunk()?.is_some() {}
            Ok(())
        })
    }
}
