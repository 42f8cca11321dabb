//! Sound events.

use serde::Deserialize;
use serde_json::Value;

use super::{Pipeline, ReplayError, Run, readable};
use crate::events::{Detector, Options, Settings};
use crate::source::SampleSource;
use crate::trace;
use crate::whisper::error::TranscribeError;

#[derive(Debug)]
pub(super) struct Detect;

/// A detection's settings as traces have them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hop {
    hop_frames: usize,
}

impl Pipeline for Detect {
    fn name(&self) -> &'static str {
        trace::DETECT
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::EVENTS_FILES
    }

    /// Classes of one's own.
    fn most_beside(&self) -> usize {
        usize::MAX
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<Hop>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let Hop { hop_frames } = run.settings()?;
        let mut source = run.source()?;
        let options = Options {
            isa: run.options.isa,
            threads: run.options.threads,
            hop_frames: Some(hop_frames),
            add_classes: run.beside.to_vec(),
            ..Options::default()
        };
        let mut detector = Detector::open(run.model, &Settings::default(), options).map_err(|error| run.failed(error))?;
        detector.set_tap(Some(run.tap.clone()));
        let mut block = [0.0; 4096];
        loop {
            match source.read(&mut block).map_err(|error| ReplayError::Run(Box::new(TranscribeError::Source(error))))? {
                0 => return detector.finish(&mut |_| {}).map_err(|error| run.failed(error)),
                read => detector.push(&block[..read], &mut |_| {}).map_err(|error| run.failed(error))?,
            }
        }
    }
}
