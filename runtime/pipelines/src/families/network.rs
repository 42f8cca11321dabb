//! Networks from ONNX: labels of images or recordings.

use std::path::Path;

use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::network::{NetworkConfig, NetworkGraph};

use super::exercise::{exercise, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::label::{self, Labeller};
use crate::models::ModelInfo;

pub(super) struct Network;

impl Network {
    fn labeller(model: &Path, options: Options) -> Result<Labeller, FamilyError> {
        Ok(Labeller::open(model, label::Options { isa: options.isa, threads: options.threads })?)
    }
}

impl Family for Network {
    fn kind(&self) -> &'static str {
        NetworkConfig::KIND
    }

    fn gives(&self, info: &ModelInfo) -> String {
        format!("{} labels", info.num_labels)
    }

    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        Ok(Self::labeller(model, options)?.memory_plan().into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Self::labeller(model, options).map(drop)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let labeller = Self::labeller(model, options)?;
        let network = Phase::new("network", labeller.work());
        Ok(match labeller.window() {
            None => {
                let input = ModelFolder::<NetworkConfig>::open(model)?.config().input;
                let job = Job::new("image", format!("{} x {}", input.width, input.height), vec![network]);
                Job { without: "reading and scaling it", ..job }
            }
            Some((frames, bands)) => {
                let (seconds, window) = (workload.seconds(), frames as f64 / 100.0);
                let windows = (seconds / window).round().max(1.0);
                let features = Phase::features("features", windows * frames as f64, bands);
                Job::of_seconds("recording", seconds, vec![features, network.times(windows, format!("every {window} s"))])
            }
        })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["network"]
    }

    fn exercise(&self, model: &Path, _: &str, options: Options, _: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let graph = NetworkGraph::new(ModelFolder::open(model)?, options)?;
        let input = values(graph.input_len());
        exercise(graph, move |graph| graph.run(&input).map(drop))
    }
}
