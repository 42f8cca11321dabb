//! The folder of classes.

use std::fmt::Write as _;
use std::path::Path;

use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::yamnet::{YamnetConfig, embedding_sha256};
use serde_json::json;

use super::{Class, Quality, THRESHOLD, Task, corpus, name_of};
use crate::Error;
use crate::dense::Dense;
use crate::folder::{Partial, pretty, seal, write_text};
use crate::tensors;

/// Writes the folder, all of it or none. An existing one is replaced only by `force`.
///
/// # Errors
/// The folder exists, or the disk refuses.
pub fn write(task: &Task, classes: &[Class], folder: &Path, force: bool) -> Result<(), Error> {
    let base = ModelFolder::<YamnetConfig>::open(&task.model).map_err(|e| Error::unsupported(&task.model, e.to_string()))?;
    let inputs = classes.first().map_or(0, |class| class.weights.len());
    let dense = Dense {
        weights: classes.iter().flat_map(|class| &class.weights).copied().collect(),
        bias: classes.iter().map(|class| class.bias).collect(),
        inputs,
    };
    let mut partial = Partial::create(folder, force)?;
    let at = partial.path.clone();
    let mut values = vec![];
    dense.put(&mut values, "classifier");
    tensors::write(&at.join("model.safetensors"), folder, &values)?;
    let config = json!({
        "kind": "yamnet-classes",
        "numerics_version": NUMERICS_VERSION,
        "num_labels": classes.len(),
        "embedding": inputs,
        "base": name_of(&task.model),
        "base_sha256": base.weights().sha256(),
        "embedding_sha256": embedding_sha256(&base),
        "thresholds": vec![THRESHOLD; classes.len()],
    });
    write_text(&at.join("config.json"), &pretty(&config))?;
    write_text(&at.join("labels.txt"), &classes.iter().flat_map(|class| [class.name.as_str(), "\n"]).collect::<String>())?;
    write_text(&at.join("README.md"), &card(task, classes, &name_of(folder)))?;
    seal(&at)?;
    partial.publish(folder)
}

fn card(task: &Task, classes: &[Class], name: &str) -> String {
    let mut out = format!(
        "# {name}\n\nSound classes for `ossicle detect --add-classes`, made by `ossicle-quantize events` on the embedding of {}.\n\n{}",
        name_of(&task.model),
        table(classes)
    );
    let background =
        if task.background.is_empty() { "only noises and speech of our own".to_owned() } else { corpus::sources(&task.background) };
    let _ = write!(out, "\nBackground: {background}.\n");
    out
}

/// What cross-validation says, as Markdown.
pub fn table(classes: &[Class]) -> String {
    let mut out = String::from("| class | recordings | heard | precision | false alarms an hour |\n| --- | --- | --- | --- | --- |\n");
    for Class { name, quality, .. } in classes {
        let Quality { clips, heard, hours, .. } = quality;
        let precision = quality.precision().map_or("none".to_owned(), |precision| format!("{:.1} %", 100.0 * precision));
        let alarms = match quality.alarms_an_hour() {
            Some(rate) => format!("{rate:.1} ({} in {hours:.2} h)", quality.background_alarms),
            None => "no background given".to_owned(),
        };
        let recall = 100.0 * quality.recall();
        let _ = writeln!(out, "| {} | {clips} | {heard} ({recall:.1} %) | {precision} | {alarms} |", name.replace('|', "\\|"));
    }
    let folds = classes.first().map_or(0, |class| class.quality.folds);
    let _ = write!(
        out,
        "\nBy cross-validation in {folds} folds: recordings, background, and noises and speech of our own that training has not heard, at the \
         threshold that is best for them, so a little too good.\n"
    );
    out
}
