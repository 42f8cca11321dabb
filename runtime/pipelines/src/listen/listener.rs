//! From samples to events.

use std::fmt;

use ossicle_frontend::endpoint::{Config, ConfigError};
use ossicle_frontend::samples::check_finite;
use ossicle_kernels::simd::Isa;

use super::agreement::Agreement;
use super::boundary::{Boundary, Trigger};
use super::event::Event;
use super::recogniser::{RecogniseError, Recogniser};
use super::segmenter::Segmenter;

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Options {
    /// What begins and ends an utterance.
    pub trigger: Trigger,
    /// When speech begins and ends.
    pub endpoint: Config,
    /// Samples between two partial texts; `None` for none.
    pub partial_every: Option<u64>,
}

/// Why listening stopped.
#[derive(Debug)]
pub enum ListenError {
    /// A sample is NaN, infinite or far beyond full scale.
    BadSample {
        /// Its position in the stream, at 16 kHz.
        sample: u64,
    },
    /// The recogniser failed.
    Recognise(RecogniseError),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSample { sample } => write!(f, "sample {sample} is not a finite number, or too large"),
            Self::Recognise(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListenError {}

impl From<RecogniseError> for ListenError {
    fn from(error: RecogniseError) -> Self {
        Self::Recognise(error)
    }
}

/// Listens to one stream. While a text is worked out, nothing is heard: put a [`Queue`](super::Queue) in front.
pub struct Listener<R> {
    segmenter: Segmenter,
    recogniser: R,
    agreement: Agreement,
    partial_every: Option<u64>,
    /// Samples heard when the next partial text is due.
    partial_at: u64,
    /// Whether partial texts are left out, to catch up.
    hurry: bool,
    begun: bool,
    in_utterances: u64,
    utterances: u64,
}

impl<R: Recogniser> Listener<R> {
    /// A stream at its start.
    ///
    /// # Errors
    /// If the options are out of range.
    pub fn new(isa: Isa, options: Options, recogniser: R) -> Result<Self, ConfigError> {
        Ok(Self {
            segmenter: Segmenter::new(isa, options.trigger, options.endpoint)?,
            recogniser,
            agreement: Agreement::default(),
            partial_every: options.partial_every,
            partial_at: 0,
            hurry: false,
            begun: false,
            in_utterances: 0,
            utterances: 0,
        })
    }

    /// Leaves partial texts out (or not), because samples come faster than they are heard.
    pub fn set_hurry(&mut self, hurry: bool) {
        self.hurry = hurry;
    }

    /// Takes 16 kHz samples, however cut, and tells what they lead to.
    ///
    /// # Errors
    /// If a sample is not finite or recognition fails; the listener may go on with other samples.
    pub fn push(&mut self, samples: &[f32], on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        check_finite(samples).map_err(|bad| ListenError::BadSample { sample: self.segmenter.received() + bad.index as u64 })?;
        self.begin(on_event);
        let mut rest = samples;
        loop {
            // Due partial texts are worked out at their sample, so that they do not depend on how the stream is cut.
            let until_partial = self.until_partial().min(rest.len());
            let progress = self.segmenter.push(&rest[..until_partial]);
            rest = &rest[progress.read..];
            match progress.boundary {
                Some(boundary) => self.cross(boundary, on_event)?,
                None if self.until_partial() == 0 => self.partial(on_event)?,
                None if rest.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    /// The button goes down.
    ///
    /// # Errors
    /// If recognition fails.
    pub fn press(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        self.begin(on_event);
        let boundary = self.segmenter.press();
        self.cross_all(boundary, on_event)
    }

    /// The button goes up.
    ///
    /// # Errors
    /// If recognition fails.
    pub fn release(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        let boundary = self.segmenter.release();
        self.cross_all(boundary, on_event)
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// If recognition fails.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        let boundary = self.segmenter.finish();
        self.cross_all(boundary, on_event)?;
        let (in_utterances, utterances) = (self.in_utterances, self.utterances);
        on_event(Event::End { samples: self.segmenter.received(), in_utterances, utterances });
        Ok(())
    }

    fn begin(&mut self, on_event: &mut dyn FnMut(Event)) {
        if !std::mem::replace(&mut self.begun, true) {
            on_event(Event::Listening { at: 0 });
        }
    }

    /// Samples until a partial text is due.
    fn until_partial(&self) -> usize {
        match (self.partial_every, self.segmenter.utterance()) {
            (Some(_), Some(_)) => usize::try_from(self.partial_at.saturating_sub(self.segmenter.received())).unwrap_or(usize::MAX),
            _ => usize::MAX,
        }
    }

    fn cross_all(&mut self, first: Option<Boundary>, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        let mut next = first;
        while let Some(boundary) = next {
            self.cross(boundary, on_event)?;
            next = self.segmenter.push(&[]).boundary;
        }
        Ok(())
    }

    fn cross(&mut self, boundary: Boundary, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        match boundary {
            Boundary::Start { sample: start } => {
                self.agreement.clear();
                self.partial_at = self.segmenter.received() + self.partial_every.unwrap_or(0);
                on_event(Event::Speech { start });
            }
            Boundary::End { start, end } => {
                self.utterances += 1;
                self.in_utterances += end - start;
                on_event(Event::Thinking { start, end });
                let recognition = self.recogniser.recognise(self.segmenter.samples(start, end))?;
                on_event(if recognition.text.is_empty() && recognition.intent.is_none() {
                    Event::Nothing { start, end, reason: recognition.reason }
                } else {
                    Event::Final { start, end, text: recognition.text, intent: recognition.intent }
                });
                on_event(Event::Listening { at: self.segmenter.received() });
            }
        }
        Ok(())
    }

    fn partial(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<(), ListenError> {
        self.partial_at = self.segmenter.received() + self.partial_every.unwrap_or(0).max(1);
        let Some((start, samples)) = self.segmenter.utterance().filter(|_| !self.hurry) else { return Ok(()) };
        let end = start + samples.len() as u64;
        if let Some(text) = self.recogniser.partial(samples)? {
            let (text, stable) = self.agreement.push(&text);
            on_event(Event::Partial { start, end, text, stable });
        }
        Ok(())
    }
}
