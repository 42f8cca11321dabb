//! What becomes of an utterance.

use std::error::Error;
use std::fmt;

use serde_json::Value;

use crate::whisper::options::TranscribeOptions;
use crate::whisper::transcriber::Transcriber;
use crate::whisper::transcript::{DropReason, Told};

/// What was recognised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recognition {
    /// The words; none if nothing was said.
    pub text: String,
    /// What they mean, where the recogniser knows.
    pub intent: Option<Value>,
    /// Why words were found and not believed.
    pub reason: Option<DropReason>,
}

/// A recogniser failed; carries its own error.
#[derive(Debug)]
pub struct RecogniseError(pub Box<dyn Error + Send + Sync>);

impl fmt::Display for RecogniseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RecogniseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Makes something of utterances: text, or commands.
pub trait Recogniser {
    /// An utterance that has ended, finite samples at 16 kHz.
    ///
    /// # Errors
    /// If recognition fails; "nothing was said" is no failure.
    fn recognise(&mut self, samples: &[f32]) -> Result<Recognition, RecogniseError>;

    /// The text of an utterance that goes on; cheap rather than good. By default there is none.
    ///
    /// # Errors
    /// If recognition fails.
    fn partial(&mut self, samples: &[f32]) -> Result<Option<String>, RecogniseError> {
        let _ = samples;
        Ok(None)
    }
}

impl<R: Recogniser + ?Sized> Recogniser for Box<R> {
    fn recognise(&mut self, samples: &[f32]) -> Result<Recognition, RecogniseError> {
        (**self).recognise(samples)
    }

    fn partial(&mut self, samples: &[f32]) -> Result<Option<String>, RecogniseError> {
        (**self).partial(samples)
    }
}

/// Free speech by Whisper.
pub struct Speech {
    model: Transcriber,
    options: TranscribeOptions,
    quick: TranscribeOptions,
}

impl Speech {
    /// Utterances are transcribed with `options`, which must fit the model ([`Transcriber::check`]); partial texts in one greedy attempt. They
    /// have been cut in pauses already, so [`TranscribeOptions::vad`] does not count.
    pub fn new(model: Transcriber, options: TranscribeOptions) -> Self {
        let options = TranscribeOptions { vad: None, ..options };
        let mut quick = TranscribeOptions { window_retries: 0, word_timestamps: false, ..options.clone() };
        quick.quality.temperatures = vec![0.0];
        Self { model, options, quick }
    }

    /// The model.
    pub fn model(&self) -> &Transcriber {
        &self.model
    }
}

fn recognise(model: &mut Transcriber, samples: &[f32], options: &TranscribeOptions) -> Result<Recognition, RecogniseError> {
    let (mut text, mut reason) = (String::new(), None);
    let mut tell = |told| match told {
        Told::Segment(segment) => text.push_str(&segment.text),
        Told::Dropped(dropped) => reason = Some(dropped.reason),
        Told::Event(_) => {}
    };
    model.transcribe_with(&mut &*samples, options, None, &mut tell).map_err(|error| RecogniseError(Box::new(error)))?;
    Ok(Recognition { text: text.trim().to_owned(), intent: None, reason })
}

impl Recogniser for Speech {
    fn recognise(&mut self, samples: &[f32]) -> Result<Recognition, RecogniseError> {
        recognise(&mut self.model, samples, &self.options)
    }

    fn partial(&mut self, samples: &[f32]) -> Result<Option<String>, RecogniseError> {
        recognise(&mut self.model, samples, &self.quick).map(|recognition| Some(recognition.text))
    }
}
