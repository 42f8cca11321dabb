//! Transcriptions, with sound events beside the text or without.

use serde_json::Value;

use super::{Pipeline, ReplayError, Run, readable};
use crate::events::{EncodedEvents, Settings};
use crate::trace;
use crate::whisper::options::TranscribeOptions;
use crate::whisper::transcriber::{Options, Transcriber};

#[derive(Debug)]
pub(super) struct Transcribe;

impl Pipeline for Transcribe {
    fn name(&self) -> &'static str {
        trace::TRANSCRIBE
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::MODEL_FILES
    }

    /// A head on the encoder.
    fn most_beside(&self) -> usize {
        1
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<TranscribeOptions>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let options: TranscribeOptions = run.settings()?;
        let mut source = run.source()?;
        let model = Transcriber::open_folder(run.model, Options { isa: run.options.isa, threads: run.options.threads });
        let remake = |error| ReplayError::Model(run.model.to_owned(), format!("{error}: fetch or make the model again").into());
        let mut model = model.map_err(remake)?;
        model.set_tap(Some(run.tap.clone()));
        let ended = match run.beside.first() {
            None => model.transcribe_source(&mut source, &options, &mut |_| {}),
            Some(head) => {
                let one = ossicle_models::Options { threads: 1, ..run.options };
                let events = EncodedEvents::open(head, run.model, &Settings::default(), &[], one);
                let mut events = events.map_err(|error| ReplayError::Model(head.clone(), Box::new(error)))?;
                events.set_tap(Some(run.tap.clone()));
                model.transcribe_with(&mut source, &options, Some(&mut events), &mut |_| {})
            }
        };
        ended.map(drop).map_err(|error| ReplayError::Run(Box::new(error)))
    }
}
