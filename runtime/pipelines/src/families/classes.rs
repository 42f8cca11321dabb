//! Sounds of one's own, beside a YAMNet.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::yamnet::{ClassHead, ClassesConfig};

use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::events::HOP_FRAMES;
use crate::models::ModelInfo;

pub(super) struct Classes;

impl Classes {
    fn head(model: &Path, options: Options) -> Result<ClassHead, FamilyError> {
        Ok(ClassHead::new(ModelFolder::open(model)?, options.isa)?)
    }
}

impl Family for Classes {
    fn kind(&self) -> &'static str {
        ClassesConfig::KIND
    }

    fn gives(&self, info: &ModelInfo) -> String {
        format!("{} sounds, on a YAMNet", info.num_labels)
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        let head = Self::head(model, options)?;
        Ok(Needs::new([("weights", head.weight_bytes()), ("buffers", 0), ("state", head.state_bytes())]))
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Self::head(model, options).map(drop)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let hop = HOP_FRAMES as f64 / 100.0;
        let phase = Phase::new("patch", Self::head(model, options)?.work()).every(hop, workload.seconds());
        Ok(Job { without: "its YAMNet", ..Job::of_seconds("recording", workload.seconds(), vec![phase]) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn exercise(&self, _: &Path, graph: &str, _: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        Err(FamilyError::Unknown { graph: graph.to_owned(), graphs: self.graphs() })
    }
}
