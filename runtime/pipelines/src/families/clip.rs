//! Images and texts to vectors.

use std::path::Path;
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::clip::{self, ClipConfig, ImageGraph, TextGraph};
use ossicle_models::folder::{ModelConfig, ModelFolder};
use ossicle_models::network::MAX_BUFFER_BYTES;
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_text::Cleaning;
use ossicle_trace::Tap;

use super::exercise::{exercise, tokens, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload};
use crate::embed::{self, EmbedError, ImageEncoder, ImageTower, Images, Similarity, TextEncoder, TextSource, TextTower, Texts};
use crate::models::ModelInfo;

const IMAGE: &str = "image";
const TEXT: &str = "text";

pub(super) struct Clip;

impl Clip {
    /// What each of the towers that there are takes.
    fn towers(model: &Path, options: Options) -> Result<Vec<MemoryPlan>, FamilyError> {
        let options = embed::Options { isa: options.isa, threads: options.threads, ..embed::Options::default() };
        let towers = [
            ImageEncoder::open(model, options).map(|tower| tower.memory_plan()),
            TextEncoder::open(model, options).map(|tower| tower.memory_plan()),
        ];
        // A tower may be missing.
        let there = |tower: &Result<MemoryPlan, EmbedError>| !matches!(tower, Err(EmbedError::Kind { .. }));
        Ok(towers.into_iter().filter(there).collect::<Result<_, EmbedError>>()?)
    }
}

impl Family for Clip {
    fn kind(&self) -> &'static str {
        ClipConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "vectors of images and texts".into()
    }

    /// The larger tower's buffers: they are not there at the same time.
    fn memory(&self, model: &Path, options: Options, _: &Workload) -> Result<Needs, FamilyError> {
        let towers = Self::towers(model, options)?;
        let weights = towers.iter().map(|tower| tower.weights).sum();
        let buffers = towers.iter().map(|tower| tower.buffers).max().unwrap_or(0);
        Ok(MemoryPlan { weights, buffers, state: 0 }.into())
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        Self::towers(model, options).map(drop)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let folder = ModelFolder::<ClipConfig>::open(model)?;
        let (mut about, mut phases, mut figures) = (vec![], vec![], vec![]);
        if let Some(tower) = &folder.config().image {
            let graph = ImageGraph::new(folder.clone(), options, MAX_BUFFER_BYTES)?;
            let work = graph.layers().fold(ossicle_models::Work::default(), |sum, layer| sum.plus(layer.2));
            about.push(format!("{} x {}", tower.input.width, tower.input.height));
            phases.push(Phase::new(IMAGE, work));
        }
        if let Some(tower) = &folder.config().text {
            let tokens = workload.text(tower.max_tokens)?;
            let graph = TextGraph::new(folder.clone(), options, MAX_BUFFER_BYTES)?;
            let work = graph.layers(tokens).fold(ossicle_models::Work::default(), |sum, layer| sum.plus(layer.2));
            about.push(format!("{tokens} tokens"));
            figures.push(("tokens", tokens.into()));
            phases.push(Phase::new(TEXT, work));
        }
        Ok(Job { figures, without: "reading and scaling an image", ..Job::new("input", about.join(", "), phases) })
    }

    fn images(&self, model: &Path, options: embed::Options) -> Result<Option<Images>, EmbedError> {
        let folder = ModelFolder::<ClipConfig>::open(model)?;
        let &ClipConfig { projection_dim: width, logit_scale: scale, logit_bias: bias, scores, .. } = folder.config();
        let Some(input) = folder.config().image.as_ref().map(|tower| tower.input) else { return Ok(None) };
        let tower = Box::new(ImageGraph::new(folder, options.into(), options.most)?);
        Ok(Some(Images { tower, similarity: Similarity { scale, bias, scores }, width, input }))
    }

    fn texts(&self, model: &Path, options: embed::Options) -> Result<Option<TextSource>, EmbedError> {
        let folder = ModelFolder::<ClipConfig>::open(model)?;
        let width = folder.config().projection_dim;
        let Some((most_tokens, cleaning)) = folder.config().text.as_ref().map(|tower| (tower.max_tokens, tower.cleaning)) else {
            return Ok(None);
        };
        let cleaning = match cleaning {
            clip::Cleaning::None => Cleaning::None,
            clip::Cleaning::Ftfy => Cleaning::Ftfy,
        };
        let tokenizer = folder.read_text("tokenizer.json")?;
        let tower = Box::new(TextGraph::new(folder, options.into(), options.most)?);
        Ok(Some(TextSource::Own(Texts { tower, tokenizer, cleaning, most_tokens, width })))
    }

    fn graphs(&self) -> &'static [&'static str] {
        &[IMAGE, TEXT]
    }

    fn exercise(&self, model: &Path, graph: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let folder = ModelFolder::<ClipConfig>::open(model)?;
        if graph == IMAGE {
            let graph = ImageGraph::new(folder, options, MAX_BUFFER_BYTES)?;
            let input = values(graph.input_len());
            return exercise(graph, move |graph| graph.run(&input).map(drop));
        }
        let graph = TextGraph::new(folder, options, MAX_BUFFER_BYTES)?;
        let (most, known) = graph.config().text.as_ref().map_or((1, 1), |tower| (tower.max_tokens, tower.vocab_size));
        let tokens = tokens(length.unwrap_or(most), known);
        exercise(graph, move |graph| graph.run(&tokens).map(drop))
    }

    fn labels_by_words_only(&self) -> bool {
        true
    }
}

impl ImageTower for ImageGraph {
    fn vector(&mut self, image: &[f32]) -> Result<&[f32], GraphError> {
        self.run(image)
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

impl TextTower for TextGraph {
    fn vector(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        self.run(tokens)
    }

    fn memory_plan(&self) -> MemoryPlan {
        Self::memory_plan(self)
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        Self::set_tap(self, tap);
    }
}
