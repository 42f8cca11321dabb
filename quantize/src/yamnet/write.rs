//! A YAMNet as a model folder.

use std::path::Path;

use ossicle::events::{Detector, EventsError, Options, Settings, SettingsError};
use ossicle_models::folder::{FolderError, LAYOUT, NUMERICS_VERSION};
use serde_json::{Value, json};

use super::{Filters, MEL_BINS, PATCH_FRAMES, TAPS, Yamnet};
use crate::folder::{self, Partial, write_text};
use crate::tensors::Tensor;
use crate::{Error, card, head};

impl Yamnet {
    /// `config.json`.
    fn config(&self) -> Value {
        let layers = self.layers.iter().map(|(depthwise, pointwise)| json!({"channels": pointwise.bias.len(), "stride": depthwise.stride}));
        let mut config = json!({
            "patch_frames": PATCH_FRAMES,
            "num_mel_bins": MEL_BINS,
            "stem_channels": self.stem.bias.len(),
            "layers": layers.collect::<Vec<_>>(),
            "num_labels": self.labels.len(),
        });
        if let Some(head) = &self.head {
            config["head"] = head.config();
        }
        if let Some((_, labels)) = &self.near {
            config["near_labels"] = labels.len().into();
        }
        config
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![];
        put_filters(&mut tensors, "stem", &self.stem);
        for (i, (depthwise, pointwise)) in self.layers.iter().enumerate() {
            put_filters(&mut tensors, &format!("layers.{i}.depthwise"), depthwise);
            pointwise.put(&mut tensors, &format!("layers.{i}.pointwise"));
        }
        if let Some(head) = &self.head {
            for (name, layers) in [("inputs", &head.inputs), ("blocks", &head.blocks)] {
                for (i, layer) in layers.iter().enumerate() {
                    layer.put(&mut tensors, &format!("head.{name}.{i}"));
                }
            }
        }
        self.classifier.put(&mut tensors, "classifier");
        if let Some((near, _)) = &self.near {
            near.put(&mut tensors, "near");
        }
        tensors
    }

    /// Writes the model folder, all of it or none; `notes` go into the card as they are. An existing model folder is replaced only by `force`.
    ///
    /// # Errors
    /// The folder exists, or the disk refuses.
    pub fn write(&self, folder: &Path, force: bool, notes: &str) -> Result<(), Error> {
        let mut partial = Partial::create(folder, force)?;
        let at = partial.path.clone();
        folder::put(&at, &self.path, "yamnet", &self.config(), &self.tensors())?;
        let lines = |labels: &[String]| labels.iter().flat_map(|label| [label, "\n"]).collect::<String>();
        write_text(&at.join("labels.txt"), &lines(&self.labels))?;
        if let Some((_, labels)) = &self.near {
            write_text(&at.join("near_labels.txt"), &lines(labels))?;
        }
        if let Some(head) = &self.head {
            write_text(&at.join(head::RULES), &head.rules)?;
        }
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, notes))?;
        if self.head.is_some() {
            check_head(&at, folder)?;
        }
        partial.publish(folder)
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let rows = [
            (
                "kind",
                match self.head {
                    None => format!("YAMNet, {} sound classes of AudioSet", self.labels.len()),
                    Some(_) => format!("YAMNet with a head of {} sound classes", self.labels.len()),
                },
            ),
            ("input", format!("patches of {PATCH_FRAMES} frames (0.975 s at 16 kHz), {MEL_BINS} mel bands")),
            ("layers", format!("a convolution, {} depthwise separable ones, a mean, a classifier", self.layers.len())),
            (
                "head",
                self.head.as_ref().map_or("none".into(), |head| {
                    let (maps, blocks) = (head.layers.len(), head.blocks.len());
                    let near = self.near.as_ref().map_or(0, |(_, labels)| labels.len());
                    let width = head.width();
                    format!("{maps} maps and the mean to {width} values, {blocks} temporal convolutions, the classes; {near} near labels")
                }),
            ),
            ("parameters", self.parameters().to_string()),
            (
                "weights here",
                format!(
                    "{bytes} bytes: 1 x 1 convolutions and classifier int8 with one f32 scale per output, layout {LAYOUT}; 3 x 3 filters f32"
                ),
            ),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "YAMNet for the Ossicle runtime, made by `ossicle-quantize`.", &rows, notes)
    }
}

fn put_filters(tensors: &mut Vec<Tensor>, name: &str, filters: &Filters) {
    let channels = filters.bias.len();
    tensors.push(Tensor::floats(format!("{name}.weight"), vec![TAPS, channels], filters.weights.clone()));
    tensors.push(Tensor::floats(format!("{name}.bias"), vec![channels], filters.bias.clone()));
}

/// Opens the draft of a model with a head as the runtime will, rules included: its figures are the trainer's own. `folder` is for errors.
fn check_head(draft: &Path, folder: &Path) -> Result<(), Error> {
    let refused = |file: &str, problem: &dyn std::fmt::Display| Err(Error::unsupported(&folder.join(file), problem.to_string()));
    let opened = Settings::of_model(draft).map_err(EventsError::Settings);
    match opened.and_then(|settings| Detector::open(draft, &settings, Options::default())) {
        Ok(_) => Ok(()),
        Err(EventsError::Folder(FolderError::Malformed { problem, .. })) => refused("config.json", &problem),
        Err(EventsError::Settings(SettingsError::Toml { problem, .. })) => refused(head::RULES, &problem),
        Err(EventsError::Settings(error)) => refused(head::RULES, &error),
        Err(error) => refused("", &error),
    }
}
