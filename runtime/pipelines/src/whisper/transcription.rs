//! A recording's segments as an iterator.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use ossicle_models::whisper::WhisperGraph;

use super::error::TranscribeError;
use super::options::TranscribeOptions;
use super::pipeline::Pipeline;
use super::recording::OnWay;
use super::transcript::{Segment, Summary, Told};
use crate::source::SampleSource;

/// A recording on its way: its segments, window by window as they are asked for.
pub struct Transcription<'a> {
    pipeline: &'a mut Pipeline<WhisperGraph>,
    /// None at the end, and after an error.
    on_way: Option<OnWay<'a>>,
    /// What the last window told.
    told: VecDeque<Told>,
    summary: Option<Summary>,
    /// Why it ended early; told after what came before.
    error: Option<TranscribeError>,
}

impl fmt::Debug for Transcription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcription").field("ended", &self.on_way.is_none()).finish_non_exhaustive()
    }
}

impl<'a> Transcription<'a> {
    pub(super) fn begin(
        pipeline: &'a mut Pipeline<WhisperGraph>,
        source: &'a mut dyn SampleSource,
        options: &'a TranscribeOptions,
    ) -> Result<Self, TranscribeError> {
        pipeline.check(options)?;
        let on_way = Some(pipeline.begin(source, options, false)?);
        Ok(Self { pipeline, on_way, told: VecDeque::new(), summary: None, error: None })
    }

    /// The next segment, or a text that was dropped, with its reason; none at the end.
    ///
    /// # Errors
    /// If the source cannot be read on, or the network fails; nothing follows then.
    pub fn next_told(&mut self) -> Result<Option<Told>, TranscribeError> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(Some(told));
            }
            let Some(mut on_way) = self.on_way.take() else { return self.error.take().map_or(Ok(None), Err) };
            let more = self.pipeline.step(&mut on_way, None);
            self.told.append(&mut on_way.run.told);
            match more {
                Ok(true) => self.on_way = Some(on_way),
                Ok(false) => self.summary = Some(self.pipeline.finish(on_way, None)?.0),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// What is known of the whole recording: length, language, counts. None until the iterator has ended, and after an error.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }
}

/// Segments alone; see [`Transcription::next_told`] for what was dropped.
impl Iterator for Transcription<'_> {
    type Item = Result<Segment, TranscribeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_told() {
                Ok(Some(Told::Segment(segment))) => return Some(Ok(segment)),
                Ok(Some(Told::Dropped(_) | Told::Event(_))) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl FusedIterator for Transcription<'_> {}
