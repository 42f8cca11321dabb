//! Images by words: labels of one's own, without training (Radford et al. 2021).
//!
//! ```no_run
//! use ossicle::classify::{Classifier, Labels};
//! use ossicle::embed::Options;
//! use ossicle::label::Image;
//!
//! let labels = Labels::new(["a cat on a sofa", "an empty sofa"].map(str::to_owned).to_vec());
//! let mut classifier = Classifier::open("clip-vit-base-patch32".as_ref(), &labels, Options::default())?;
//! let scores = classifier.classify(&Image::read("sofa.jpg".as_ref())?)?;
//! println!("{:.2} {:.2}", scores[0], scores[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod any;
mod tuning;

use std::path::Path;
use std::sync::Arc;

use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_models::MemoryPlan;
use ossicle_models::clip::Scores;
use ossicle_models::network::unit_length;
use ossicle_trace::Tap;

pub use any::{AnyClassifier, ClassifyError};
pub use tuning::{Example, LEAST, NONE, THRESHOLD, Tuning, TuningError, held_out};

use crate::embed::{EmbedError, ImageEncoder, Options, Similarity, TextEncoder};
use crate::find::identity;
use crate::label::Image;
use crate::vectors::dot;

/// What a template has for the label.
pub const PLACE: &str = "{}";

/// Labels, and the sentences that stand for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// One of these is given.
    pub names: Vec<String>,
    /// Sentences with [`PLACE`] for a label, such as `a photo of a {}`: a label's vector is the mean of its sentences'. Without any, a label is its
    /// own sentence.
    pub templates: Vec<String>,
    /// How near is near enough; as the model has it otherwise.
    pub tuning: Option<Tuning>,
}

/// Gives each label a score.
#[derive(Debug)]
pub struct Classifier {
    encoder: ImageEncoder,
    /// `[labels][width]`, of length 1.
    vectors: Vec<f32>,
    scale: f32,
    /// One for each label.
    biases: Vec<f32>,
    each: bool,
    tuned: bool,
    scores: Vec<f32>,
    /// Labels of which not all could be read.
    cut: Vec<(String, usize)>,
}

impl Labels {
    /// Labels that are their own sentences.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// The sentences of a label.
    fn sentences(&self, name: &str) -> Vec<String> {
        match self.templates.is_empty() {
            true => vec![name.to_owned()],
            false => self.templates.iter().map(|template| template.replace(PLACE, name)).collect(),
        }
    }
}

impl Classifier {
    /// Opens a model with both towers. The text tower's memory is let go once the labels have their vectors.
    ///
    /// # Errors
    /// [`EmbedError`] if the folder cannot be used, or lacks a tower; [`EmbedError::Tuning`] if the labels were tuned for another model.
    pub fn open(model: &Path, labels: &Labels, options: Options) -> Result<Self, EmbedError> {
        let count = labels.names.len();
        if let Some(tuning) = &labels.tuning
            && (tuning.biases.len() != count || identity(model).ok().as_ref() != Some(&tuning.model_sha256))
        {
            return Err(EmbedError::Tuning { path: model.to_owned() });
        }
        let (vectors, cut) = encode(&mut TextEncoder::open(model, options)?, labels)?;
        let encoder = ImageEncoder::open(model, options)?;
        let Similarity { scale, bias, scores } = encoder.similarity();
        let (scale, biases) = match &labels.tuning {
            None => (scale, vec![bias; count]),
            Some(tuning) => (tuning.scale, tuning.biases.clone()),
        };
        let tuned = labels.tuning.is_some();
        let each = tuned || scores == Scores::Sigmoid;
        Ok(Self { scores: vec![0.0; count], encoder, vectors, scale, biases, each, tuned, cut })
    }

    /// Whether labels are there from a score of [`THRESHOLD`] on.
    pub fn is_tuned(&self) -> bool {
        self.tuned
    }

    /// Whether each label has a probability of its own; otherwise they sum to one.
    pub fn scores_each(&self) -> bool {
        self.each
    }

    /// Sentences that were too long, and the tokens that were left out of each.
    pub fn cut(&self) -> &[(String, usize)] {
        &self.cut
    }

    /// Scores of an image, one for each label.
    ///
    /// # Errors
    /// As [`ImageEncoder::encode`].
    pub fn classify(&mut self, image: &Image) -> Result<&[f32], EmbedError> {
        let isa = self.encoder.isa();
        self.cosines(image)?;
        for (score, bias) in self.scores.iter_mut().zip(&self.biases) {
            *score = score.mul_add(self.scale, *bias);
        }
        match self.each {
            true => activate(isa, Activation::Sigmoid, &mut self.scores),
            false => softmax(isa, &mut self.scores),
        }
        Ok(&self.scores)
    }

    /// Cosines of an image's vector with those of the labels: what [`Tuning::learn`] learns from.
    ///
    /// # Errors
    /// As [`ImageEncoder::encode`].
    pub fn cosines(&mut self, image: &Image) -> Result<&[f32], EmbedError> {
        let vector = self.encoder.encode(image)?;
        for (score, label) in self.scores.iter_mut().zip(self.vectors.chunks_exact(vector.len())) {
            *score = dot(vector, label);
        }
        Ok(&self.scores)
    }

    /// Memory in use: the image tower's, and the labels' vectors as state.
    pub fn memory_plan(&self) -> MemoryPlan {
        let plan = self.encoder.memory_plan();
        MemoryPlan { state: plan.state + size_of_val(&*self.vectors) + 2 * size_of_val(&*self.scores), ..plan }
    }

    /// From now on `tap` gets what the image tower reads and computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.encoder.set_tap(tap);
    }
}

/// Vectors of all labels, and the sentences that were too long.
type Encoded = (Vec<f32>, Vec<(String, usize)>);

fn encode(encoder: &mut TextEncoder, labels: &Labels) -> Result<Encoded, EmbedError> {
    let (mut vectors, mut cut) = (vec![], vec![]);
    for name in &labels.names {
        let mut mean = vec![0.0; encoder.width()];
        for sentence in labels.sentences(name) {
            let encoded = encoder.encode(&sentence)?;
            mean.iter_mut().zip(encoded.vector).for_each(|(sum, x)| *sum += x);
            if encoded.left_out > 0 {
                cut.push((sentence, encoded.left_out));
            }
        }
        unit_length(&mut mean);
        vectors.extend(mean);
    }
    Ok((vectors, cut))
}
