//! Networks from ONNX: labels of images or recordings.

use std::path::Path;
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::clip::Scores;
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::network::{NetworkConfig, NetworkGraph};
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_trace::Tap;

use super::exercise::{exercise, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload, of};
use crate::embed::{self, EmbedError, ImageTower, Images, Similarity, TextEncoder, TextSource};
use crate::label::Labeller;
use crate::models::ModelInfo;

pub(super) struct Network;

impl Network {
    fn labeller(model: &Path, options: Options) -> Result<Labeller, FamilyError> {
        Ok(Labeller::open(model, options)?)
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

    /// By the words of its labels, if it has some.
    fn images(&self, model: &Path, options: embed::Options) -> Result<Option<Images>, EmbedError> {
        let folder = ModelFolder::<NetworkConfig>::open(model)?;
        let Some(words) = &folder.config().words else { return Ok(None) };
        let similarity = Similarity { scale: words.logit_scale, bias: 0.0, scores: Scores::Softmax };
        let (width, input) = (words.width, folder.config().input);
        let tower = Box::new(NetworkGraph::new_within(folder, options.into(), options.most)?);
        Ok(Some(Images { tower, similarity, width, input }))
    }

    /// The sentence encoder of its words: next to it, or among the models.
    fn texts(&self, model: &Path, options: embed::Options) -> Result<Option<TextSource>, EmbedError> {
        let folder = ModelFolder::<NetworkConfig>::open(model)?;
        let Some(words) = &folder.config().words else { return Ok(None) };
        let absolute = model.canonicalize().unwrap_or_else(|_| model.to_owned());
        // A folder from elsewhere must not choose which files are read.
        let plain = Path::new(&words.text_model).components().count() == 1;
        let beside = absolute.parent().map(|parent| parent.join(&words.text_model)).filter(|path| plain && path.is_dir());
        let missing = || EmbedError::TextModel { path: model.to_owned(), name: words.text_model.clone() };
        let found = match beside {
            Some(path) => path,
            None if plain => crate::models::find(&words.text_model).map_err(|_| missing())?,
            None => return Err(missing()),
        };
        // No network leads to another, and none to itself.
        if of(&found).is_ok_and(|(family, _)| family.kind() == self.kind()) {
            return Err(missing());
        }
        let encoder = TextEncoder::open(&found, options)?;
        if encoder.width() != words.width || encoder.text_sha256().as_ref() != Some(&words.text_sha256) {
            return Err(missing());
        }
        let mean = folder.weights().f32s(&words.mean(folder.weights())?).to_vec();
        Ok(Some(TextSource::Other(Box::new(encoder), mean)))
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

impl ImageTower for NetworkGraph {
    fn vector(&mut self, image: &[f32]) -> Result<&[f32], GraphError> {
        self.run(image)?;
        Self::vector(self)
    }

    fn isa(&self) -> Isa {
        Self::isa(self)
    }

    fn memory_plan(&self) -> MemoryPlan {
        Self::memory_plan(self)
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }
}
