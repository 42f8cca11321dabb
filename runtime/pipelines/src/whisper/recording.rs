//! The loop over a recording's windows.

use super::attempts::Outcome;
use super::emit::{Likelihood, Run};
use super::engine::{Engine, EngineError};
use super::error::TranscribeError;
use super::options::TranscribeOptions;
use super::pipeline::Pipeline;
use super::quality;
use super::slider::Slider;
use super::speech::{SpeechMap, Step};
use super::transcript::{Segment, Summary, Told};
use crate::digest::{DigestTaps, Digests};
use crate::events::{EncodedEvents, Event, EventsError};
use crate::source::SampleSource;

impl<E: Engine> Pipeline<E> {
    /// Transcribes `source`, handing out each segment as soon as it is known. Segments without a letter or digit are left out.
    ///
    /// Windows begin and end in pauses, as the voice activity detector finds them ([`TranscribeOptions::vad`]); what holds no speech is passed
    /// over. In speech that goes on for more than a window the next one starts where the last finished segment ended, as in openai-whisper, and
    /// so it does everywhere without the detector. No text is carried from window to window. Memory does not grow with the recording.
    ///
    /// # Errors
    /// If an option does not fit the model, the source fails or the network does.
    pub fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_with(source, options, None, &mut |told| {
            if let Told::Segment(segment) = told {
                on_segment(segment);
            }
        })
    }

    /// [`transcribe`](Self::transcribe) that also tells what was dropped and, with `events`, sound events: they are heard in what the encoder
    /// gives, also where nobody speaks.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub fn transcribe_with(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        mut events: Option<&mut EncodedEvents>,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.check(options)?;
        let most_prompt = (self.engine.dims().max_tokens / 2).saturating_sub(1);
        let mut run = Run {
            plan: self.plan(options, most_prompt)?,
            taps: DigestTaps::new(options.digests).with_trace(self.trace.clone()),
            summary: Summary { events: events.is_some().then_some(0), ..Summary::default() },
            likelihood: Likelihood::default(),
            on_told,
        };
        if let Some(events) = &mut events {
            events.begin(options.digests);
        }
        let speech = options.vad.map(|vad| SpeechMap::new(self.engine.isa(), vad));
        let mut slider = Slider::new(source).with_speech(speech);
        let mut seek = 0;
        let mut most = options.window.max_frames();
        loop {
            slider.move_to(seek)?;
            let Some(step) = slider.step(most) else { break };
            let advance = match step {
                Step::Quiet(frames) => self.pass(&slider, seek, frames, events.is_some(), &mut run)?,
                Step::Window(left) if quality::level_db(slider.window(left)) < options.quality.min_level_db => {
                    run.summary.stats.silent_windows += 1;
                    self.pass(&slider, seek, left, events.is_some(), &mut run)?
                }
                Step::Window(left) => match self.window(&slider, seek, left, &mut run)? {
                    Ok(advance) => advance,
                    Err(frames) => {
                        most = frames;
                        continue;
                    }
                },
            };
            most = options.window.max_frames();
            if let Some(events) = &mut events {
                let mut heard = heard(&mut run.summary, run.on_told);
                events.window(self.engine.encoder_output(), seek, advance, &mut heard).map_err(unheard)?;
            }
            seek += advance as u64;
        }
        let Run { mut summary, plan, taps, likelihood, on_told } = run;
        let scores = match &mut events {
            Some(events) => events.finish(slider.samples_read(), &mut heard(&mut summary, on_told)).map_err(unheard)?,
            None => None,
        };
        summary.duration = slider.samples_read() as f64 / f64::from(ossicle_frontend::SAMPLE_RATE);
        summary.language = plan.language;
        summary.language_doubt = !self.specials.multilingual && likelihood.doubts_language(&options.quality);
        summary.stats.decoder_steps = std::mem::take(&mut self.decoder.steps);
        summary.digests = taps.finish().map(|digests| Digests { events: scores, ..digests });
        Ok(summary)
    }

    /// Passes over `frames` in which nobody speaks; they are encoded if sound events are listened for.
    fn pass(&mut self, slider: &Slider<'_>, seek: u64, frames: usize, listens: bool, run: &mut Run<'_>) -> Result<usize, TranscribeError> {
        if listens {
            let options = run.plan.options;
            let window = options.window.frames(frames, options.timestamps, self.config.short_windows);
            run.taps.window(seek, frames, slider.window(frames));
            self.encode(slider, frames, window, &mut run.taps, &mut run.summary.stats)?;
        }
        Ok(frames)
    }

    /// The text of the window of `left` frames at `seek`: how far it reaches, or in `Err` of how many frames it should be instead.
    fn window(&mut self, slider: &Slider<'_>, seek: u64, left: usize, run: &mut Run<'_>) -> Result<Result<usize, usize>, TranscribeError> {
        run.taps.window(seek, left, slider.window(left));
        Ok(match self.decode_window(slider, left, &mut run.plan, &mut run.taps, &mut run.summary.stats)? {
            Outcome::Cut(frames) => Err(frames),
            Outcome::Text(decoded) => Ok(self.emit(&decoded, slider, seek, left, run)?),
            Outcome::Dropped(decoded, reason) => {
                self.drop_text(&decoded, reason, slider, seek, left, run)?;
                Ok(left)
            }
        })
    }
}

/// Counts events, and tells them.
fn heard(summary: &mut Summary, on_told: &mut dyn FnMut(Told)) -> impl FnMut(Event) {
    |event| {
        summary.events = summary.events.map(|events| events + 1);
        on_told(Told::Event(event));
    }
}

fn unheard(error: EventsError) -> TranscribeError {
    EngineError(Box::new(error)).into()
}

#[cfg(test)]
#[path = "pauses_tests.rs"]
mod pauses_tests;
