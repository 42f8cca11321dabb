//! How sure it is that a command was meant, and which.
//!
//! Meanings exclude one another, so their confidences are shares of one: that of a sentence having been said at all, which [`Calibration`]
//! judges, times the reading's part of the probability of all readings.

use serde::{Deserialize, Serialize};

use crate::whisper::scores;

/// What speaks for and against one reading of a recording. Probabilities are natural logarithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// The sentence's score (its probability and the bonus of its tokens) less that of the free text: near 0 or above if what was said is a
    /// sentence.
    pub against_free: f32,
    /// The sentence's mean per token, its end included.
    pub mean: f32,
    /// The reading's score less that of all other readings together, at most [`MOST_MARGIN`].
    pub margin: f32,
    /// The probability (not its logarithm) that nobody speaks.
    pub no_speech: f32,
}

/// Beyond this (natural logarithm) a margin over other readings says nothing more.
pub const MOST_MARGIN: f32 = 8.0;

/// A logistic model of the probability that one of the sentences was said, by the evidence of a reading; a speech model's `generation_config.json` may have its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Added to the sum.
    pub bias: f32,
    /// Weight of [`Evidence::against_free`].
    pub against_free: f32,
    /// Weight of [`Evidence::mean`].
    pub mean: f32,
    /// Weight of [`Evidence::no_speech`].
    pub no_speech: f32,
}

/// For models that bring no fitted one. docs/commands.md says on what it was fitted and how far it can be trusted with whisper-tiny.en-short.
impl Default for Calibration {
    fn default() -> Self {
        Self { bias: 8.6, against_free: 0.35, mean: 4.8, no_speech: -7.0 }
    }
}

impl Calibration {
    /// The probability that one of the sentences was said, 0 to 1, if this reading is it.
    pub fn said(&self, evidence: &Evidence) -> f32 {
        let Self { bias, against_free, mean, no_speech } = *self;
        let sum = bias + against_free * evidence.against_free + mean * evidence.mean + no_speech * evidence.no_speech;
        1.0 / (1.0 + scores::exp(-sum))
    }
}

/// The share of a reading with this [margin](Evidence::margin) in the probability of all readings.
pub(crate) fn share(margin: f32) -> f32 {
    // Beyond this nothing is left of the other side in any case; alone a reading's margin has no end.
    1.0 / (1.0 + scores::exp(-margin.clamp(-80.0, 80.0)))
}
