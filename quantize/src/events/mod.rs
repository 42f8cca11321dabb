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

/// The score that begins an event of every class.
pub const THRESHOLD: f32 = 0.5;

/// Least recordings of a class: cross-validation has to leave some out.
pub const LEAST_CLIPS: usize = 3;

/// Most folds.
const FOLDS: usize = 5;

/// Learns all classes; `progress` hears what is done.
///
/// # Errors
/// The model or a recording cannot be used, a class has fewer than [`LEAST_CLIPS`] recordings, or a name is unusable.
pub fn train(task: &Task, progress: &mut dyn FnMut(&str)) -> Result<Vec<Class>, Error> {
    check_names(&task.classes)?;
    let mut embedder = embed::Embedder::open(&task.model)?;
    let corpus = corpus::Corpus::read(task)?;
    let folds = corpus.clips.iter().map(Vec::len).min().unwrap_or(0).min(FOLDS);
    progress("embedding");
    let examples = corpus.examples(&mut embedder, folds);
    let held = corpus.held_out(&mut embedder, folds);
    let mut classes = vec![];
    for (index, (name, _)) in task.classes.iter().enumerate() {
        progress(&format!("{name}: cross-validation"));
        let (quality, level) = validate::cross_validate(&examples, &held, index, folds);
        progress(&format!("{name}: training"));
        let layer = fit::fit(&examples, index, None);
        classes.push(Class { name: name.clone(), weights: layer.weights, bias: layer.bias - level, quality });
    }
    Ok(classes)
}

/// Names have to be lines of `labels.txt`, and to differ.
fn check_names(classes: &[(String, PathBuf)]) -> Result<(), Error> {
    for (at, (name, path)) in classes.iter().enumerate() {
        let refuse = |what: &str| Err(Error::unsupported(path, format!("class {name:?}: {what}")));
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            return refuse("a name needs printable characters without spaces around them");
        }
        if classes[..at].iter().any(|(other, _)| other == name) {
            return refuse("named twice: give all its recordings in one folder");
        }
    }
    Ok(())
}

/// The name of a path, for errors and the card.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
