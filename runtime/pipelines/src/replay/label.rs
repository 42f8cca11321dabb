//! Labels of images and recordings.

use serde_json::Value;

use super::{NoSettings, Pipeline, ReplayError, Run, readable};
use crate::label::{Image, Labeller, Options, Reading};
use crate::trace;

#[derive(Debug)]
pub(super) struct Label;

impl Pipeline for Label {
    fn name(&self) -> &'static str {
        trace::LABEL
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::NETWORK_FILES
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<NoSettings>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let options = Options { isa: run.options.isa, threads: run.options.threads };
        let mut labeller = Labeller::open(run.model, options).map_err(|error| run.failed(error))?;
        labeller.set_tap(Some(run.tap.clone()));
        match labeller.reading() {
            Reading::Images => {
                let image = Image::read(run.input).map_err(|error| run.failed(error))?;
                labeller.image(&image).map(drop).map_err(|error| run.failed(error))
            }
            Reading::Recordings => labeller.recording(&mut run.source()?).map(drop).map_err(|error| run.failed(error)),
        }
    }
}
