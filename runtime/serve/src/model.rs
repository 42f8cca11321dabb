//! What the service needs of a model.

use ossicle::source::SampleSource;
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Summary, Told};

/// What turns recordings into text.
pub trait Model {
    /// Transcribes `source`, telling each segment, and each text that was dropped, as soon as it is known.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError>;

    /// Transcribes what a voice assistant recorded, which may be one of the commands that the model knows; by default it knows none.
    ///
    /// # Errors
    /// As [`transcribe`](Self::transcribe).
    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe(source, options, tell)
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        (**self).transcribe(source, options, tell)
    }

    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        (**self).command(source, options, tell)
    }
}

impl Model for Transcriber {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_with(source, options, None, tell)
    }
}
