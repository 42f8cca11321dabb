//! The labels that settings are resolved against.

/// What a detector scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels {
    pub(crate) names: Vec<String>,
    /// The threshold that a label was learned with, if it was.
    pub(crate) thresholds: Vec<Option<f32>>,
    /// Labels that a model with a head scores for whole patches beside its classes.
    pub(crate) near: Vec<String>,
}
