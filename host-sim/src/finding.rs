//! What was found when two runs differ.

use ossicle_trace::{Descriptor, Owned};

use crate::spread::Difference;

/// Where two runs part.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The first tensor that differs.
    pub first: Option<Differing>,
    /// Where, maybe later, they no longer do the same.
    pub parting: Option<Parting>,
}

impl Finding {
    /// The first differing tensor's name, its part behind a slash.
    pub fn name(&self) -> Option<String> {
        self.first.as_ref().map(|first| first.rows[0].0.name())
    }
}

/// The first tensor that differs, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Differing {
    /// Its index; all before it are equal.
    pub tensor: usize,
    /// Its values in the trace, where they are known.
    pub traced: Option<Owned>,
    /// Its values in the run compared.
    pub here: Option<Owned>,
    /// This tensor and those behind it.
    pub rows: Vec<(Descriptor, Spread)>,
}

/// Where a run does something else than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// Tensors before it.
    pub tensor: usize,
    /// What the traced run does; `None` if it has ended.
    pub traced: Option<String>,
    /// What the other does.
    pub here: Option<String>,
}

/// How a tensor differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// In no bit.
    None,
    /// In these.
    By(Difference),
    /// The digests differ; one side's values are not known.
    Unknown,
}

impl Spread {
    pub(crate) fn of(difference: Option<Difference>) -> Self {
        difference.map_or(Self::None, Self::By)
    }
}
