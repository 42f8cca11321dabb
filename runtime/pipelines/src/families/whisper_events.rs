//! Sounds in what a Whisper's encoder gives.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::whisper_events::{STEP_ROWS, WhisperEventsConfig, WhisperEventsGraph};

use super::exercise::{exercise, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::events::EncodedEvents;
use crate::models::ModelInfo;

/// Rows of the encoder in a second.
const ROWS_PER_SECOND: f64 = 50.0;

pub(super) struct WhisperEvents;

impl Family for WhisperEvents {
    fn kind(&self) -> &'static str {
        WhisperEventsConfig::KIND
    }

    fn gives(&self, info: &ModelInfo) -> String {
        format!("{} sounds, on a Whisper", info.num_labels)
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(EncodedEvents::memory_plan(model, options)?.into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Ok(WhisperEventsGraph::new(ModelFolder::open(model)?, options).map(drop)?)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let step = STEP_ROWS as f64 / ROWS_PER_SECOND;
        let phase = Phase::new("step", WhisperEventsGraph::work(&ModelFolder::open(model)?, options)?).every(step, workload.seconds());
        Ok(Job { without: "its Whisper", ..Job::of_seconds("recording", workload.seconds(), vec![phase]) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["step"]
    }

    fn exercise(&self, model: &Path, _: &str, options: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let folder = ModelFolder::<WhisperEventsConfig>::open(model)?;
        let rows = values(STEP_ROWS * folder.config().d_model);
        exercise(WhisperEventsGraph::new(folder, options)?, move |graph| graph.run(&rows).map(drop))
    }
}
