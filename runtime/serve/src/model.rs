//! What the service needs of a model.

use ossicle::source::SampleSource;
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Segment, Summary};

/// What turns recordings into text.
pub trait Model {
    /// Transcribes `source`, handing out each segment as soon as it is known.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError>;

    /// Transcribes what a voice assistant recorded, which may be one of the commands that the model knows; by default it knows none.
    ///
    /// # Errors
    /// As [`transcribe`](Self::transcribe).
    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe(source, options, on_segment)
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        (**self).transcribe(source, options, on_segment)
    }

    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        (**self).command(source, options, on_segment)
    }
}

impl Model for Transcriber {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_source(source, options, on_segment)
    }
}
