//! The model of a service that knows commands.

use std::collections::HashSet;

use anyhow::Result;
use ossicle::audio::SAMPLE_RATE;
use ossicle::command::recogniser::{CommandOptions, Reading, Recogniser, Recognition};
use ossicle::command::set::{CommandSet, Intent};
use ossicle::source::{SampleSource, SourceError, filled};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::languages;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Segment, Summary, Told};
use ossicle_serve::Model;

/// Longest recording that is taken for a command: the model's window.
const MOST_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

/// A model, and sentences that a voice assistant's recordings are compared with before they are written down word by word.
pub(super) struct Assistant {
    model: Transcriber,
    recogniser: Recogniser<CommandSet>,
    threshold: f32,
    languages: Languages,
    samples: Vec<f32>,
}

impl Assistant {
    /// `threshold` is how sure one has to be that a command was meant, 0 to 1; `decoded` the language that is decoded, `None` to detect it.
    pub(super) fn new(model: Transcriber, set: CommandSet, threshold: f32, decoded: Option<String>) -> Self {
        let recogniser = Recogniser::new(set);
        let written = recogniser.sentences().language();
        let written = languages::of_tag(written).unwrap_or(written).to_owned();
        Self { model, recogniser, threshold, languages: Languages { written, decoded }, samples: Vec::new() }
    }

    /// Reads on up to a little more than [`MOST_SAMPLES`]; whether that is all there is.
    fn fill(&mut self, source: &mut dyn SampleSource) -> Result<bool, SourceError> {
        self.samples.resize(MOST_SAMPLES + 1, 0.0);
        let read = filled(source, &mut self.samples)?;
        self.samples.truncate(read);
        Ok(read <= MOST_SAMPLES)
    }

    fn recognise(&mut self, options: &TranscribeOptions) -> Result<Recognition<Intent>, TranscribeError> {
        let defaults = CommandOptions::default();
        let transcribe = TranscribeOptions { language: self.languages.decode(options.language.as_deref()), ..options.clone() };
        let options = CommandOptions { transcribe, threshold: self.threshold, alternatives: 0, ..defaults };
        self.recogniser.recognise(self.model.pipeline(), &self.samples, &options)
    }
}

/// Codes of the languages that the sentences have to do with.
struct Languages {
    /// What their file says.
    written: String,
    /// What is decoded; `None` to detect it.
    decoded: Option<String>,
}

impl Languages {
    /// Whether a client that asks for this language, or for none, may say a sentence.
    fn take(&self, asked: Option<&str>) -> bool {
        asked.is_none_or(|asked| asked == self.written || Some(asked) == self.decoded.as_deref())
    }

    /// What to decode for such a client.
    fn decode(&self, asked: Option<&str>) -> Option<String> {
        self.decoded.clone().or_else(|| asked.map(str::to_owned))
    }
}

impl Model for Assistant {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.model.transcribe_with(source, options, None, tell)
    }

    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        let is_whole = self.fill(source).map_err(TranscribeError::Source)?;
        if is_whole && self.languages.take(options.language.as_deref()) {
            let Recognition { command, ambiguous, stats, .. } = self.recognise(options)?;
            if let Some(text) = command.map(|command| command.text).or_else(|| either(&ambiguous)) {
                let duration = self.samples.len() as f64 / f64::from(SAMPLE_RATE);
                tell(Told::Segment(segment(text, duration)));
                let language = self.languages.decoded.as_ref().unwrap_or(&self.languages.written).clone();
                return Ok(Summary { language: Some(language), duration, segments: 1, stats, ..Summary::default() });
            }
        }
        let mut source = Chain { read: &self.samples, source };
        self.model.transcribe_with(&mut source, options, None, tell)
    }
}

/// What may have been said, if nobody knows which: a text that names each and is none of them.
fn either(ambiguous: &[Reading<Intent>]) -> Option<String> {
    let mut texts: Vec<&str> = ambiguous.iter().map(|reading| reading.text.as_str()).collect();
    let mut seen = HashSet::new();
    // If the meanings share one text, that text is sent.
    texts.retain(|text| seen.insert(*text));
    (!texts.is_empty()).then(|| texts.join(" / "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_for_those_who_speak_their_language() {
        let languages = |decoded: Option<&str>| Languages { written: "de".into(), decoded: decoded.map(str::to_owned) };
        for (decoded, asked, taken) in [
            // As the file says.
            (Some("de"), None, Some(Some("de"))),
            (Some("de"), Some("de"), Some(Some("de"))),
            (Some("de"), Some("en"), None),
            // --language nl
            (Some("nl"), Some("nl"), Some(Some("nl"))),
            (Some("nl"), Some("de"), Some(Some("nl"))),
            (Some("nl"), Some("en"), None),
            // --language auto
            (None, None, Some(None)),
            (None, Some("de"), Some(Some("de"))),
            (None, Some("en"), None),
        ] {
            let languages = languages(decoded);
            let found = languages.take(asked).then(|| languages.decode(asked));
            assert_eq!(found, taken.map(|language| language.map(str::to_owned)), "{decoded:?} {asked:?}");
        }
    }
}
