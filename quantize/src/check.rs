//! A Whisper folder opened and run as the runtime does, before it is published: what does not run here would fail on the board.

use std::path::Path;

use ossicle::whisper::transcriber::{OpenError, Options, Transcriber};
use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;
use ossicle_models::whisper::{LogitsFor, WhisperGraph};

use crate::{Error, Source};

/// Opens the draft of a folder, encodes one window and decodes one token.
pub(crate) fn runs(source: &Source, draft: &Path) -> Result<(), Error> {
    let refused = |reason| Error::unsupported(source.model.path(), format!("the runtime does not take this model: {reason}"));
    let mut transcriber = Transcriber::open_folder(draft, Options::default()).map_err(|error| refused(opening(error)))?;
    let config = source.model.config();
    let frames = 2 * config.max_source_positions;
    let window = vec![0.0; frames * config.num_mel_bins];
    match steps(transcriber.pipeline().engine_mut(), &window, frames, source.generation.decoder_start_token_id) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(refused(format!("{what} for a window of zeros are not finite numbers"))),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// What is not finite, if anything.
fn steps(engine: &mut WhisperGraph, window: &[f32], frames: usize, token: u32) -> Result<Option<&'static str>, GraphError> {
    engine.encode(window, frames)?;
    if !engine.encoder_output().iter().all(|value| value.is_finite()) {
        return Ok(Some("the encoder's values"));
    }
    let logits = engine.decode(&[token], LogitsFor::Last)?;
    Ok((!logits.iter().all(|value| value.is_finite())).then_some("the decoder's scores"))
}

/// Why it cannot be opened, without the draft's path, which is gone when this is read.
fn opening(error: OpenError) -> String {
    match error {
        OpenError::Folder(error) | OpenError::Graph(GraphError::Folder(error)) => match error {
            FolderError::Malformed { problem, .. } => problem,
            FolderError::Tensor { name, problem, .. } => format!("tensor {name} {problem}"),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
