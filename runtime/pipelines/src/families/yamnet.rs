//! Sounds, patch by patch.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::yamnet::{YamnetConfig, YamnetGraph};

use super::exercise::{exercise, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::events::{self, Detector, Settings, hop_frames};
use crate::models::ModelInfo;

/// Frames of a second.
const FRAMES_PER_SECOND: f64 = 100.0;

pub(super) struct Yamnet;

impl Family for Yamnet {
    fn kind(&self) -> &'static str {
        YamnetConfig::KIND
    }

    fn gives(&self, info: &ModelInfo) -> String {
        format!("{} sounds", info.num_labels)
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Detector::memory_plan(model, options.isa, options.threads)?.into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        let options = events::Options { isa: options.isa, threads: options.threads, ..events::Options::default() };
        Ok(Detector::open(model, &Settings::default(), options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::<YamnetConfig>::open(model)?;
        let (seconds, config) = (workload.seconds(), folder.config());
        let hop = hop_frames(config) as f64 / FRAMES_PER_SECOND;
        let phases = vec![
            Phase::features("features", seconds * FRAMES_PER_SECOND, config.num_mel_bins),
            Phase::new("patch", YamnetGraph::work(&folder, options, 1)?).every(hop, seconds),
        ];
        Ok(Job::of_seconds("recording", seconds, phases))
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["patch"]
    }

    fn exercise(&self, model: &Path, _: &str, options: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let folder = ModelFolder::<YamnetConfig>::open(model)?;
        let patch = values(folder.config().patch_frames * folder.config().num_mel_bins);
        exercise(YamnetGraph::new(folder, options)?, move |graph| graph.run(&patch, 1).map(drop))
    }
}
