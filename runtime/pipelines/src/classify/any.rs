//! A classifier of either sort.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ossicle_models::{GraphError, MemoryPlan};
use ossicle_trace::Tap;

use super::{Classifier, Labels};
use crate::embed::{EmbedError, Options};
use crate::label::{Image, LabelError, Labeller, Reading};
use crate::source::SampleSource;

/// A classifier with labels of its own, or one by words.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use ossicle::Classifier;
/// use ossicle::embed::Options;
///
/// let mut classifier = Classifier::open("models-int8/efficientnet-lite0".as_ref(), None, Options::default())?;
/// let grey = ossicle::Image::new(64, vec![128; 64 * 64 * 3]).expect("a square");
/// assert_eq!(classifier.image(&grey)?.len(), 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AnyClassifier(Sort);

#[derive(Debug)]
enum Sort {
    Trained(Box<Labeller>),
    /// And the labels.
    Words(Box<Classifier>, Vec<String>),
}

/// Why there are no scores.
#[derive(Debug)]
pub enum ClassifyError {
    /// A classifier with labels of its own refuses.
    Label(LabelError),
    /// A classifier by words refuses.
    Embed(EmbedError),
}

impl fmt::Display for ClassifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(error) => error.fmt(f),
            Self::Embed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClassifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their texts are this error's.
            Self::Label(error) => error.source(),
            Self::Embed(error) => error.source(),
        }
    }
}

impl From<LabelError> for ClassifyError {
    fn from(error: LabelError) -> Self {
        Self::Label(error)
    }
}

impl From<EmbedError> for ClassifyError {
    fn from(error: EmbedError) -> Self {
        Self::Embed(error)
    }
}

impl ClassifyError {
    /// Bytes that the buffers need, if they are refused for their size.
    pub fn needed(&self) -> Option<usize> {
        match self {
            Self::Label(LabelError::Graph(GraphError::Memory { needed, .. }))
            | Self::Embed(EmbedError::Graph(GraphError::Memory { needed, .. })) => Some(*needed),
            _ => None,
        }
    }
}

impl From<Labeller> for AnyClassifier {
    fn from(labeller: Labeller) -> Self {
        Self(Sort::Trained(Box::new(labeller)))
    }
}

impl From<(Classifier, Vec<String>)> for AnyClassifier {
    fn from((classifier, labels): (Classifier, Vec<String>)) -> Self {
        Self(Sort::Words(Box::new(classifier), labels))
    }
}

impl AnyClassifier {
    /// Opens a model by words, or with its own labels if there are none.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Classifier;
    /// use ossicle::embed::Options;
    ///
    /// let classifier = Classifier::open("models-int8/efficientnet-lite0".as_ref(), None, Options::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The folder cannot be used, or needs more memory than allowed.
    pub fn open(model: &Path, words: Option<&Labels>, options: Options) -> Result<Self, ClassifyError> {
        let Options { isa, threads, most } = options;
        match words {
            None => Ok(Labeller::open_within(model, ossicle_models::Options { isa, threads }, most)?.into()),
            Some(words) => Ok((Classifier::open(model, words, options)?, words.names.clone()).into()),
        }
    }

    /// Names, one for each score.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Classifier;
    /// use ossicle::embed::Options;
    ///
    /// let classifier = Classifier::open("models-int8/efficientnet-lite0".as_ref(), None, Options::default())?;
    /// assert_eq!(classifier.labels().len(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn labels(&self) -> &[String] {
        match &self.0 {
            Sort::Trained(labeller) => labeller.labels(),
            Sort::Words(_, labels) => labels,
        }
    }

    /// What it labels.
    pub fn reading(&self) -> Reading {
        match &self.0 {
            Sort::Trained(labeller) => labeller.reading(),
            Sort::Words(..) => Reading::Images,
        }
    }

    /// The classifier by words, if it is one.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Classifier;
    /// use ossicle::embed::Options;
    ///
    /// let classifier = Classifier::open("models-int8/efficientnet-lite0".as_ref(), None, Options::default())?;
    /// assert!(classifier.by_words().is_none(), "it has labels of its own");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by_words(&self) -> Option<&Classifier> {
        match &self.0 {
            Sort::Trained(_) => None,
            Sort::Words(classifier, _) => Some(classifier),
        }
    }

    /// Memory in use, in bytes.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Classifier;
    /// use ossicle::embed::Options;
    ///
    /// let classifier = Classifier::open("models-int8/efficientnet-lite0".as_ref(), None, Options::default())?;
    /// assert!(classifier.memory_plan().total() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_plan(&self) -> MemoryPlan {
        match &self.0 {
            Sort::Trained(labeller) => labeller.memory_plan(),
            Sort::Words(classifier, _) => classifier.memory_plan(),
        }
    }

    /// From now on `tap` gets what the model reads and computes; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        match &mut self.0 {
            Sort::Trained(labeller) => labeller.set_tap(tap),
            Sort::Words(classifier, _) => classifier.set_tap(tap),
        }
    }

    /// Scores of an image, one for each label.
    ///
    /// # Errors
    /// As [`Labeller::image`] or [`Classifier::classify`].
    pub fn image(&mut self, image: &Image) -> Result<&[f32], ClassifyError> {
        match &mut self.0 {
            Sort::Trained(labeller) => Ok(labeller.image(image)?),
            Sort::Words(classifier, _) => Ok(classifier.classify(image)?),
        }
    }

    /// Scores of a recording, one for each label.
    ///
    /// # Errors
    /// As [`Labeller::recording`]; [`LabelError::Kind`] of a classifier by words.
    pub fn recording(&mut self, source: &mut dyn SampleSource) -> Result<&[f32], ClassifyError> {
        match &mut self.0 {
            Sort::Trained(labeller) => Ok(labeller.recording(source)?),
            Sort::Words(..) => Err(LabelError::Kind { labels: "images" }.into()),
        }
    }
}
