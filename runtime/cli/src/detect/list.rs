//! `ossicle detect --list-classes`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use ossicle::events::Detector;

use super::Args;
use crate::{fault, reload};

/// Writes the classes with their thresholds, labels and what has to be near them or must not be, then the model's labels.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let config = args.config.as_deref();
    let settings = reload::read(config, &folder)?;
    let detector = Detector::open(&folder, &settings, args.options()?).map_err(|error| fault::detector(&folder, config, error))?;
    let labels = detector.labels();
    let mut out = io::stdout().lock();
    // Without settings every label is a class, and the second list says it all.
    if settings.class_names().next().is_some() || !args.classes.is_empty() {
        writeln!(out, "classes, thresholds and their labels:")?;
        for class in detector.classes() {
            let named: Vec<&str> = class.outputs.iter().map(|&output| labels[output].as_str()).collect();
            write!(out, "  {:20} {:.2}  {}", class.name, class.rules.threshold, named.join("; "))?;
            for (word, near) in [("near", class.near), ("unless", class.unless)] {
                let Some(near) = near else { continue };
                let named: Vec<&str> = near.outputs.iter().map(|&output| detector.near_labels()[output].as_str()).collect();
                write!(out, ", {word} {} at {}", named.join("; "), near.threshold)?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "labels of {}:", args.model)?;
    for label in labels {
        writeln!(out, "  {label}")?;
    }
    Ok(ExitCode::SUCCESS)
}
