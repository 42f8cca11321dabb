//! Sounds that are made from descriptions, one a line.

use ossicle_trace::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

use super::{Pipeline, ReplayError, Run, readable};
use crate::generate::{Request, Sampling, SoundGenerator, describe_traced};
use crate::trace::{self, DigestError};

#[derive(Debug)]
pub(super) struct Generate;

/// Settings of sounds as traces have them; each line's sound has the same seed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    seconds: f64,
    seed: u64,
    guidance: f32,
    temperature: f32,
    top_k: usize,
    top_p: f32,
}

impl From<Request> for Wanted {
    fn from(request: Request) -> Self {
        let Request { seconds, given: _, seed, guidance, sampling: Sampling { temperature, top_k, top_p } } = request;
        Self { seconds, seed, guidance, temperature, top_k, top_p }
    }
}

impl From<Wanted> for Request {
    fn from(Wanted { seconds, seed, guidance, temperature, top_k, top_p }: Wanted) -> Self {
        Self { seconds, given: 0, seed, guidance, sampling: Sampling { temperature, top_k, top_p } }
    }
}

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
        let rows = descriptions.iter().map(crate::generate::Description::rows).max().unwrap_or(1);
        let mut generator = SoundGenerator::open(run.model, run.options, request, rows).map_err(|error| run.failed(error))?;
        generator.set_tap(Some(run.tap.clone()));
        for description in &descriptions {
            generator.generate(description, request, &mut |_| {}, &mut |_| !(run.stop)()).map_err(|error| run.failed(error))?;
        }
        Ok(())
    }
}
