//! Sounds that are made from descriptions, one a line.

use std::path::Path;

use ossicle_trace::Model;
use serde_json::Value;

use super::{Pipeline, ReplayError, Run, readable};
use crate::generate::{Description, Request, SoundGenerator, describe_traced};
use crate::trace::{self, DigestError, Wanted};

#[derive(Debug)]
pub(super) struct Generate;

impl Pipeline for Generate {
    fn name(&self) -> &'static str {
        trace::GENERATE
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::SOUND_FILES
    }

    fn model(&self, folder: &Path) -> Result<Model, DigestError> {
        trace::sounds(folder)
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<Wanted>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let request = Request::from(run.settings::<Wanted>()?);
        let text = run.text()?;
        let texts: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let descriptions = describe_traced(run.model, run.options, &texts, Some(run.tap.clone())).map_err(|error| run.failed(error))?;
        let rows = descriptions.iter().map(Description::rows).max().unwrap_or(1);
        let mut generator = SoundGenerator::open(run.model, run.options, request, rows).map_err(|error| run.failed(error))?;
        generator.set_tap(Some(run.tap.clone()));
        for description in &descriptions {
            generator.generate(description, request, &mut |_| {}, &mut |_| !(run.stop)()).map_err(|error| run.failed(error))?;
        }
        Ok(())
    }
}
