//! Classes of one's own: from a few recordings of a sound to a folder that `ossicle detect --add-classes` loads.
//!
//! A class is a linear layer with a sigmoid on YAMNet's embedding (the mean of its last map), trained by logistic regression. Its recordings
//! are played at several levels into the backgrounds at several distances; a patch is an example of the class if the sound is heard at its
//! middle, one against it if nothing of the sound is in it, and none otherwise. How good it is, cross-validation says: recordings and
//! stretches of background are dealt to folds, and each fold is scored by a layer that has heard nothing of it.

mod corpus;
mod embed;
mod fit;
mod folder;
mod validate;

use std::path::{Path, PathBuf};

use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::yamnet::{MAX_CLASSES, YamnetConfig};

use crate::Error;

pub use folder::{table, write};
pub use validate::Quality;

/// What to learn from.
#[derive(Clone, Debug)]
pub struct Task {
    /// The YAMNet's folder.
    pub model: PathBuf,
    /// A name and recordings, or folders of them, for each class.
    pub classes: Vec<(String, PathBuf)>,
    /// Recordings, or folders of them, in which no class is heard; noises of our own are always added.
    pub background: Vec<PathBuf>,
}

/// A class that was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// One for each value of the embedding.
    pub weights: Vec<f32>,
    /// Added to the sum, so that the best threshold is a score of [`THRESHOLD`].
    pub bias: f32,
    /// What cross-validation says.
    pub quality: Quality,
}

/// What training has to tell.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// What is done now.
    Step(&'a str),
    /// What of the recordings is not used.
    LeftOut(&'a str),
}

/// The score that begins an event of every class.
pub const THRESHOLD: f32 = 0.5;

/// Least recordings of a class: cross-validation has to leave some out.
pub const LEAST_CLIPS: usize = 3;

/// Most folds.
const FOLDS: usize = 5;

/// Learns all classes; `progress` hears what is done.
///
/// Of each recording of a class the first 30 s are used, of all background the first two hours.
///
/// # Errors
/// The model or a recording cannot be used, a class has fewer than [`LEAST_CLIPS`] recordings, there are more than [`MAX_CLASSES`], or a name
/// is unusable or one of the model's labels.
pub fn train(task: &Task, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Vec<Class>, Error> {
    check_names(task)?;
    let mut embedder = embed::Embedder::open(&task.model)?;
    let corpus = corpus::Corpus::read(task, progress)?;
    let folds = corpus.clips.iter().map(Vec::len).min().unwrap_or(0).min(FOLDS);
    progress(Progress::Step("embedding"));
    let examples = corpus.examples(&mut embedder, folds);
    let held = corpus.held_out(&mut embedder, folds);
    let mut classes = vec![];
    for (index, (name, _)) in task.classes.iter().enumerate() {
        progress(Progress::Step(&format!("{name}: cross-validation")));
        let (quality, level) = validate::cross_validate(&examples, &held, index, folds);
        progress(Progress::Step(&format!("{name}: training")));
        let layer = fit::fit(&examples, index, None);
        classes.push(Class { name: name.clone(), weights: layer.weights, bias: layer.bias - level, quality });
    }
    Ok(classes)
}

/// Names have to be lines of `labels.txt`, and to differ from each other and from the model's, as a detector wants them.
fn check_names(task: &Task) -> Result<(), Error> {
    let Task { model, classes, .. } = task;
    let unusable = |error: FolderError| Error::unsupported(model, error.to_string());
    let labels = ModelFolder::<YamnetConfig>::open(model).and_then(|folder| folder.read_text("labels.txt")).map_err(unusable)?;
    if let Some((name, path)) = classes.get(MAX_CLASSES) {
        return Err(Error::unsupported(path, format!("class {name:?}: a folder holds {MAX_CLASSES} classes: make another of the rest")));
    }
    for (at, (name, path)) in classes.iter().enumerate() {
        let refuse = |what: &str| Err(Error::unsupported(path, format!("class {name:?}: {what}")));
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            return refuse("a name needs printable characters without spaces around them");
        }
        if classes[..at].iter().any(|(other, _)| other == name) {
            return refuse("named twice: give all its recordings in one folder");
        }
        if labels.lines().any(|label| label == name) {
            return refuse("a label of the model has that name: give another");
        }
    }
    Ok(())
}

/// The name of a path, for errors and the card.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
