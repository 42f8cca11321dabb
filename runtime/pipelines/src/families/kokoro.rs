//! Kokoro's voices.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::kokoro::{KokoroConfig, KokoroGraph};

use super::exercise::{exercise, tokens};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::models::ModelInfo;
use crate::speak::Voice;

/// Phonemes, stress marks, signs and spaces of speech in a second.
const PHONEMES_PER_SECOND: f64 = 15.0;

/// Frames of a phoneme in the exercise: 75 ms.
const FRAMES: usize = 3;

pub(super) struct Kokoro;

impl Kokoro {
    fn graph(model: &Path, options: Options) -> Result<KokoroGraph, FamilyError> {
        Ok(KokoroGraph::new(ModelFolder::open(model)?, options)?)
    }
}

impl Family for Kokoro {
    fn kind(&self) -> &'static str {
        KokoroConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "voices".into()
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Voice::open(model, options)?.memory_plan().into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Ok(Voice::open(model, options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let mut graph = Self::graph(model, options)?;
        let (seconds, most, frames) = (workload.seconds(), graph.config().max_tokens, graph.config().max_frames);
        let frame = graph.config().frame_samples() as f64 / graph.config().sampling_rate as f64;
        let pieces = (seconds / (frame * frames as f64)).ceil().max(1.0);
        let (phonemes, each) = match workload.tokens {
            Some(_) => (workload.text(most)?, workload.text(most)?),
            None => {
                let all = ((seconds * PHONEMES_PER_SECOND).ceil() as usize).max(1);
                (all, ((all as f64 / pieces).ceil() as usize).clamp(1, most))
            }
        };
        let frames = ((seconds / pieces / frame).ceil() as usize).clamp(1, frames);
        let [text, decoder] = graph.work(each, frames);
        let phases = vec![
            Phase::new("text", text).times(pieces, format!("{each} phonemes")),
            Phase::new("frames", decoder).times(pieces, format!("{frames} frames")),
        ];
        let figures = vec![("phonemes", phonemes.into())];
        Ok(Job { figures, without: "phonemes", ..Job::of_seconds("speech", seconds, phases) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["piece"]
    }

    /// Three frames for each phoneme, whatever the voice makes of them.
    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = Self::graph(model, options)?;
        let most = graph.config().max_tokens.min(graph.config().max_frames / FRAMES);
        let phonemes = tokens(length.unwrap_or(most.min(64)), graph.config().vocab_size);
        exercise(graph, move |graph| {
            graph.begin_with(&phonemes, &vec![FRAMES as u32; phonemes.len()])?;
            graph.run().map(drop)
        })
    }
}
