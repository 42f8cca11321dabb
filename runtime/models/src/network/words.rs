//! Images by the words of a classifier's labels: each label stands for a vector of a text encoder, and an image for their mean by what the
//! network thinks of them (Norouzi et al. 2014).

use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet};
use ossicle_engine::layer::{Fact, Io, Layer};
use ossicle_engine::layers::map::{Dense, Packed, Shape, UnitLength};
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, softmax};
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Widest vectors.
const MAX_WIDTH: usize = 4096;

/// How images are compared with texts. `words.weight` packed `[width][labels]`, `words.weight_scale`, `words.bias`; `words.mean` `[width]`,
/// f32, is taken from each text's vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Words {
    /// Values of a vector.
    pub width: usize,
    /// What logits are multiplied by before they become shares of the labels.
    pub sharpness: f32,
    /// What cosines are multiplied by before they become probabilities.
    pub logit_scale: f32,
    /// The text encoder: the name of a folder next to this one, or among the models.
    pub text_model: String,
    /// Digest of its tensors that start with `embed.` or `layers.`.
    pub text_sha256: String,
}

/// Logits to shares that sum to one.
#[derive(Debug)]
struct Shares {
    sharpness: f32,
    labels: usize,
}

impl Words {
    pub(super) fn problem(&self) -> Option<String> {
        let Self { width, sharpness, logit_scale, .. } = *self;
        if !(1..=MAX_WIDTH).contains(&width) || !width.is_multiple_of(LANES) {
            return Some(format!("words: width is {width}: multiples of {LANES} up to {MAX_WIDTH} are possible"));
        }
        let figures = [("sharpness", sharpness), ("logit_scale", logit_scale)];
        let (name, value) = figures.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0))?;
        Some(format!("words: {name} is {value}, not a finite number above 0"))
    }

    /// Where what is taken from each text's vector is.
    ///
    /// # Errors
    /// The tensor is missing, misshapen or not finite.
    pub fn mean(&self, weights: &Weights) -> Result<Span, FolderError> {
        weights.f32_span("words.mean", &[self.width])
    }

    /// Adds an image's vector, from the logits.
    pub(super) fn wire(&self, graph: &mut GraphBuilder, weights: &Weights, logits: Outlet, labels: usize) -> Result<Outlet, GraphError> {
        self.mean(weights)?;
        let shares = graph.add("network.words.shares", Shares { sharpness: self.sharpness, labels }, &[logits])?[0];
        let (input, output) = (Shape::line(1, labels), Shape::line(1, self.width));
        let layer = weights.linear_span("words", self.width, input.padded(), true)?;
        let sums = weights.weight_sums("words", &layer)?;
        let packed = Packed { layer, offset: Some(0.0), sums, depth: input.padded() };
        let dense = Dense { weights: packed, window: None, input, stride: input.padded(), output, activation: Activation::Identity };
        let vector = graph.add_shared("network.words", Arc::new(dense), &[shares])?[0];
        Ok(graph.add("network.words.vector", UnitLength { output }, &[vector])?[0])
    }
}

impl Layer for Shares {
    fn name(&self) -> &'static str {
        "Shares"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([1, self.labels.next_multiple_of(LANES)])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (shares, padding) = io.output::<f32>(0)?.split_at_mut(self.labels);
        for (share, logit) in shares.iter_mut().zip(io.input::<f32>(0)?) {
            *share = logit * self.sharpness;
        }
        softmax(session.isa(), shares);
        padding.fill(0.0);
        Ok(())
    }
}
