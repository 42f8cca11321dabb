//! A network, and what it reads.

use std::path::Path;
use std::sync::Arc;

use ossicle_frontend::yamnet::{BINS, YamnetMel, YamnetScratch, samples_of};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::network::{InputShape, MAX_BUFFER_BYTES, NetworkGraph};
use ossicle_models::{MemoryPlan, Options, Work};
use ossicle_trace::{Step, Tap, Tensor, Values};

use super::{Frames, Image, LabelError, Preprocessor, Target};
use crate::source::SampleSource;

/// What a model labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Images.
    Images,
    /// Recordings.
    Recordings,
}

/// Gives each label of a model a score.
#[derive(Debug)]
pub struct Labeller {
    graph: NetworkGraph,
    labels: Vec<String>,
    preprocessor: Preprocessor,
    target: Target,
    isa: Isa,
    scores: Vec<f32>,
    tap: Option<Arc<dyn Tap>>,
}

impl Labeller {
    /// Opens the network in `model`.
    ///
    /// # Errors
    /// [`LabelError`] if the folder or its `preprocessor_config.json` cannot be used, or the network needs more than [`MAX_BUFFER_BYTES`].
    pub fn open(model: &Path, options: Options) -> Result<Self, LabelError> {
        Self::open_within(model, options, MAX_BUFFER_BYTES)
    }

    /// As [`open`](Self::open), with another limit to the network's buffers, in bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`GraphError::Memory`](ossicle_models::GraphError::Memory) in [`LabelError::Graph`] if the limit is too low.
    pub fn open_within(model: &Path, options: Options, most: usize) -> Result<Self, LabelError> {
        let folder = ModelFolder::open(model)?;
        let graph = NetworkGraph::new_within(Arc::clone(&folder), options, most)?;
        let text = folder.read_text("labels.txt")?;
        let labels: Vec<String> = text.lines().map(str::to_owned).collect();
        if labels.len() != graph.config().num_labels {
            let problem = format!("{} labels, but num_labels is {}", labels.len(), graph.config().num_labels);
            return Err(FolderError::Malformed { path: model.join("labels.txt"), problem }.into());
        }
        if let Some(label) = labels.iter().find(|label| label.contains(char::is_control)) {
            let problem = format!("label {label:?} holds control characters");
            return Err(FolderError::Malformed { path: model.join("labels.txt"), problem }.into());
        }
        let InputShape { height, width, channels } = graph.config().input;
        let target = Target { height, width, channels };
        let preprocessor = Preprocessor::read(model, target)?;
        Ok(Self { graph, labels, preprocessor, target, isa: options.isa, scores: vec![], tap: None })
    }

    /// Names, one for each score.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What the model labels.
    pub fn reading(&self) -> Reading {
        match self.preprocessor {
            Preprocessor::Pixels(_) => Reading::Images,
            Preprocessor::Frames(_) => Reading::Recordings,
        }
    }

    /// Frames and bands of the windows that a recording is cut into, 10 ms a frame; none of a model for images.
    pub(crate) fn window(&self) -> Option<(usize, usize)> {
        let Target { height, width, .. } = self.target;
        (self.reading() == Reading::Recordings).then_some((height * width / BINS, BINS))
    }

    /// How much an image, or a window of a recording, takes to compute.
    pub(crate) fn work(&self) -> Work {
        self.graph.layers().fold(Work::default(), |sum, (_, _, work)| sum.plus(work))
    }

    /// Memory in use, in bytes.
    pub fn memory_plan(&self) -> MemoryPlan {
        self.graph.memory_plan()
    }

    /// From now on `tap` gets what the network reads (step and tensor `input`) and every tensor it computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }

    /// Scores of an image, one for each label.
    ///
    /// # Errors
    /// [`LabelError::Kind`] if the model labels recordings, [`LabelError::NotFinite`] if its scores are no numbers.
    pub fn image(&mut self, image: &Image) -> Result<&[f32], LabelError> {
        let Preprocessor::Pixels(pixels) = &self.preprocessor else { return Err(LabelError::Kind { labels: "recordings" }) };
        let input = pixels.apply(image, self.target);
        trace(self.tap.as_deref(), 0, self.target, &input);
        finite(self.graph.run(&input)?)
    }

    /// Scores of a recording, one for each label: the mean over its windows, each as long as the network's input, one after the other. What
    /// is left at the end counts if it is at least half a window, or all there is; silence is put behind it.
    ///
    /// # Errors
    /// [`LabelError::Kind`] if the model labels images, [`LabelError::Source`] if the recording cannot be read on, [`LabelError::NotFinite`]
    /// as for [`image`](Self::image).
    pub fn recording(&mut self, source: &mut dyn SampleSource) -> Result<&[f32], LabelError> {
        let Preprocessor::Frames(frames) = &self.preprocessor else { return Err(LabelError::Kind { labels: "images" }) };
        let mut windows = Windows::new(frames.clone(), self.target, self.isa);
        self.scores.clear();
        self.scores.resize(self.labels.len(), 0.0);
        let mut count = 0u32;
        while let Some(input) = windows.next(source)? {
            trace(self.tap.as_deref(), count.into(), self.target, input);
            for (sum, score) in self.scores.iter_mut().zip(self.graph.run(input)?) {
                *sum += score;
            }
            count += 1;
        }
        self.scores.iter_mut().for_each(|score| *score /= count as f32);
        finite(&self.scores)
    }
}

/// Scores, if they are numbers.
fn finite(scores: &[f32]) -> Result<&[f32], LabelError> {
    if scores.iter().all(|score| score.is_finite()) { Ok(scores) } else { Err(LabelError::NotFinite) }
}

/// Hands what a network reads to a tap.
fn trace(tap: Option<&dyn Tap>, at: u64, target: Target, input: &[f32]) {
    if let Some(tap) = tap {
        tap.step(Step { stage: "input", at, count: 1 });
        let shape = [target.height, target.width, target.channels];
        tap.tensor(&Tensor { op: "input", kernel: "Preprocessor", part: "", shape: &shape, values: Values::F32(input) });
    }
}

/// A recording's windows as a network reads them, one after the other.
pub struct Windows {
    frames: Frames,
    mel: YamnetMel,
    scratch: Box<YamnetScratch>,
    samples: Vec<f32>,
    bands: Vec<f32>,
    input: Vec<f32>,
    any: bool,
}

impl Windows {
    /// Nothing is read yet.
    pub fn new(frames: Frames, target: Target, isa: Isa) -> Self {
        let count = target.height * target.width / BINS;
        Self {
            frames,
            mel: YamnetMel::new(isa),
            scratch: Box::default(),
            samples: vec![0.0; samples_of(count)],
            bands: vec![0.0; count * BINS],
            input: vec![0.0; count * BINS],
            any: false,
        }
    }

    /// The next window; none at the end.
    ///
    /// # Errors
    /// [`LabelError::Source`] if the recording cannot be read on.
    pub fn next(&mut self, source: &mut dyn SampleSource) -> Result<Option<&[f32]>, LabelError> {
        let mut filled = 0;
        while filled < self.samples.len() {
            match source.read(&mut self.samples[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if self.any && 2 * filled < self.samples.len() {
            return Ok(None);
        }
        self.any = true;
        self.samples[filled..].fill(0.0);
        // The buffers are whole frames and hold all their samples.
        if self.mel.frames(&self.samples, &mut self.bands, &mut self.scratch).is_err() {
            return Ok(None);
        }
        let count = self.bands.len() / BINS;
        for (i, value) in self.bands.iter().enumerate() {
            let (frame, band) = (i / BINS, i % BINS);
            let at = if self.frames.bands_first { band * count + frame } else { i };
            self.input[at] = (value - self.frames.mean) / self.frames.std;
        }
        Ok(Some(&self.input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Frontend;

    #[test]
    fn bands_come_first_where_the_network_wants_them() {
        // A chirp, so that neither frames nor bands are alike.
        let samples: Vec<f32> = (0..16_000).map(|i| (i as f32 * i as f32 * 1e-4).sin() * 0.3).collect();
        let window = |bands_first: bool, target: Target| {
            let frames = Frames { frontend: Frontend::Yamnet, bands_first, mean: 0.5, std: 2.0 };
            Windows::new(frames, target, Isa::detect()).next(&mut &samples[..]).unwrap().unwrap().to_vec()
        };
        let frames = window(false, Target { height: 48, width: 64, channels: 1 });
        let bands = window(true, Target { height: 64, width: 48, channels: 1 });
        let turned: Vec<f32> = (0..48 * 64).map(|at| bands[at % 64 * 48 + at / 64]).collect();
        assert_eq!(frames, turned);
        assert_ne!(frames, bands);
    }
}
