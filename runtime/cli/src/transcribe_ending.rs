//! How transcripts end.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use ossicle::audio::Damage;
use ossicle::formats::{Place, TranscriptWriter};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcript::{Dropped, Summary};

use crate::fault;
use crate::input;
use crate::interrupt;
use crate::transcribe_args::Args;
use crate::transcribe_output::next;

pub(crate) fn tell_dropped(name: &str, dropped: &Dropped) {
    let Dropped { start, text, reason, .. } = dropped;
    fault::complain(&format!("{name}: {start:.1} s: speech not understood, dropped:{text} ({})", reason.name()));
}

pub(crate) fn tell_doubt(name: &str) {
    fault::complain(&format!("{name}: warning: the text is unlikely throughout: the model knows one language, and another may be spoken"));
}

/// What to do with a recording.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) args: &'a Args,
    pub(crate) options: &'a TranscribeOptions,
    pub(crate) file: &'a Path,
}

/// How the reading of a recording ended.
pub(crate) struct Ending<'a> {
    /// What messages call the recording.
    pub(crate) name: &'a str,
    /// What it lacks.
    pub(crate) damage: Vec<Damage>,
    /// Whether a signal ended it.
    pub(crate) stopped: bool,
    /// How far it was read.
    pub(crate) seconds: f64,
}

impl Ending<'_> {
    /// Ends a transcript that cannot go on, if it was begun; gives the error back.
    pub(crate) fn failed(
        &self,
        writer: &mut dyn TranscriptWriter,
        out: &mut dyn Write,
        place: &mut Place,
        begun: bool,
        error: TranscribeError,
    ) -> Result<anyhow::Error> {
        let error = fault::transcription(self.name, error);
        if begun {
            let heard = Summary { duration: self.seconds, ..Summary::default() };
            writer.fail(out, &heard, &fault::one_line(&format!("{error:#}")))?;
            out.flush()?;
            next(place);
        }
        Ok(error)
    }

    /// After a transcript was written: says what it lacks.
    pub(crate) fn written(&self, out: &mut dyn Write, place: &mut Place) -> Result<ExitCode> {
        out.flush()?;
        next(place);
        if self.stopped {
            let Self { name, seconds, .. } = self;
            fault::complain(&format!("{name}: stopped by a signal at {seconds:.1} s: what was said so far is written"));
            return Ok(interrupt::status());
        }
        Ok(input::tell_damage(self.name, &self.damage))
    }
}
