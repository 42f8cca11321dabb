//! The model of a service that knows commands.

use anyhow::Result;
use ossicle::audio::SAMPLE_RATE;
use ossicle::command::recogniser::{CommandOptions, Recogniser, Recognition};
use ossicle::command::set::{CommandSet, Intent};
use ossicle::source::{SampleSource, SourceError};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::languages;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Segment, Summary};
use ossicle_serve::Model;

/// Longest recording that is taken for a command: the model's window.
const MOST_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

/// A model, and sentences that a voice assistant's recordings are compared with before they are written down word by word.
pub(super) struct Assistant {
    model: Transcriber,
    recogniser: Recogniser<CommandSet>,
    threshold: f32,
    /// Code of the sentences' language.
    language: String,
    samples: Vec<f32>,
}

impl Assistant {
    /// `threshold` is how sure one has to be that a command was meant, 0 to 1.
    pub(super) fn new(model: Transcriber, recogniser: Recogniser<CommandSet>, threshold: f32) -> Self {
        let written = recogniser.sentences().grammar().language();
        let language = languages::of_tag(written).unwrap_or(written).to_owned();
        Self { model, recogniser, threshold, language, samples: Vec::new() }
    }

    /// Reads on up to a little more than [`MOST_SAMPLES`]; whether that is all there is.
    fn fill(&mut self, source: &mut dyn SampleSource) -> Result<bool, SourceError> {
        self.samples.clear();
        while self.samples.len() <= MOST_SAMPLES {
            let start = self.samples.len();
            self.samples.resize(start + SAMPLE_RATE as usize, 0.0);
            let read = source.read(&mut self.samples[start..])?;
            self.samples.truncate(start + read);
            if read == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn recognise(&mut self, options: &TranscribeOptions) -> Result<Recognition<Intent>, TranscribeError> {
        let defaults = CommandOptions::default();
        let options = CommandOptions { transcribe: options.clone(), threshold: self.threshold, alternatives: 0, ..defaults };
        self.recogniser.recognise(self.model.pipeline(), &self.samples, &options)
    }
}

impl Model for Assistant {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.model.transcribe_source(source, options, on_segment)
    }

    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        let is_whole = self.fill(source).map_err(TranscribeError::Source)?;
        if is_whole && options.language.as_ref().is_none_or(|asked| *asked == self.language) {
            let Recognition { command, stats, .. } = self.recognise(options)?;
            if let Some(command) = command {
                let duration = self.samples.len() as f64 / f64::from(SAMPLE_RATE);
                on_segment(segment(command.text, duration));
                return Ok(Summary { language: Some(self.language.clone()), duration, segments: 1, stats, ..Summary::default() });
            }
        }
        let mut source = Chain { read: &self.samples, source };
        self.model.transcribe_source(&mut source, options, on_segment)
    }
}

/// A command as the one segment of its recording.
fn segment(text: String, end: f64) -> Segment {
    Segment {
        id: 0,
        seek: 0,
        start: 0.0,
        end,
        text,
        tokens: Vec::new(),
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 0.0,
        no_speech_prob: 0.0,
        words: None,
    }
}

/// What was read already, and then the rest.
struct Chain<'a> {
    read: &'a [f32],
    source: &'a mut dyn SampleSource,
}

impl SampleSource for Chain<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        if self.read.is_empty() { self.source.read(out) } else { SampleSource::read(&mut self.read, out) }
    }
}
