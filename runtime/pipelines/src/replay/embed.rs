//! Vectors of images.

use serde_json::Value;

use super::{NoSettings, Pipeline, ReplayError, Run, readable};
use crate::embed::{ImageEncoder, Options};
use crate::label::Image;
use crate::trace;

#[derive(Debug)]
pub(super) struct Embed;

impl Pipeline for Embed {
    fn name(&self) -> &'static str {
        trace::EMBED
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::IMAGE_FILES
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<NoSettings>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let options = Options { isa: run.options.isa, threads: run.options.threads, ..Options::default() };
        let mut encoder = ImageEncoder::open(run.model, options).map_err(|error| run.failed(error))?;
        encoder.set_tap(Some(run.tap.clone()));
        let image = Image::read(run.input).map_err(|error| ReplayError::Model(run.input.to_owned(), Box::new(error)))?;
        encoder.encode(&image).map(drop).map_err(|error| run.failed(error))
    }
}
