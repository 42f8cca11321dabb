//! The loop over a recording's windows.

use std::collections::VecDeque;

use super::attempts::Outcome;
use super::emit::{Likelihood, Run};
use super::engine::{Engine, EngineError};
use super::error::TranscribeError;
use super::options::TranscribeOptions;
use super::pipeline::{Pipeline, seconds};
use super::quality;
use super::slider::Slider;
use super::speech::{SpeechMap, Step};
use super::transcript::{Segment, Summary, Told};
use crate::digest::{DigestTaps, Digests};
use crate::events::{EncodedEvents, Event, EventsError};
use crate::source::SampleSource;

/// A recording on its way, and how far it is.
pub(super) struct OnWay<'a> {
    pub(super) run: Run<'a>,
    slider: Slider<'a>,
    /// The frame that comes next.
    seek: u64,
    /// Most frames of its window.
    most: usize,
}

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
        let mut on_way = self.begin(source, options, events.is_some())?;
        if let Some(events) = &mut events {
            events.begin(options.digests);
        }
        loop {
            let more = self.step(&mut on_way, events.as_deref_mut());
            on_way.run.told.drain(..).for_each(&mut *on_told);
            if !more? {
                break;
            }
        }
        let (summary, told) = self.finish(on_way, events)?;
        told.into_iter().for_each(on_told);
        Ok(summary)
    }

    /// Transcribes recordings of the same time side by side, such as the two sides of a call: what is told comes in order of time, with the
    /// number of the recording it was heard in. The windows of all go through one model in turn, so memory grows by a window for each.
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe).
    pub fn transcribe_side_by_side(
        &mut self,
        sources: &mut [&mut dyn SampleSource],
        options: &TranscribeOptions,
        on_told: &mut dyn FnMut(usize, Told),
    ) -> Result<Vec<Summary>, TranscribeError> {
        self.check(options)?;
        let mut waiting: Vec<VecDeque<Told>> = sources.iter().map(|_| VecDeque::new()).collect();
        let mut on_way = Vec::new();
        for source in sources.iter_mut() {
            on_way.push(Some(self.begin(&mut **source, options, false)?));
        }
        let mut summaries = vec![Summary::default(); on_way.len()];
        // The one that is least far goes on.
        let far = |one: &(usize, &mut Option<OnWay<'_>>)| one.1.as_ref().map_or(u64::MAX, |on_way| on_way.seek);
        while let Some((index, one)) = on_way.iter_mut().enumerate().filter(|(_, one)| one.is_some()).min_by_key(far) {
            let more = match one {
                Some(on_way) => {
                    let more = self.step(on_way, None);
                    waiting[index].append(&mut on_way.run.told);
                    more?
                }
                None => false,
            };
            if let Some(ended) = one.take_if(|_| !more) {
                summaries[index] = self.finish(ended, None)?.0;
            }
            let all_told_before =
                on_way.iter().flatten().map(|on_way| on_way.seek).min().map_or(f64::INFINITY, |seek| seconds(seek as usize));
            tell_in_order(&mut waiting, all_told_before, on_told);
        }
        Ok(summaries)
    }

    /// Sets out on a recording.
    pub(super) fn begin<'a>(
        &mut self,
        source: &'a mut dyn SampleSource,
        options: &'a TranscribeOptions,
        listens: bool,
    ) -> Result<OnWay<'a>, TranscribeError> {
        let most_prompt = (self.engine.dims().max_tokens / 2).saturating_sub(1);
        let run = Run {
            plan: self.plan(options, most_prompt)?,
            taps: DigestTaps::new(options.digests).with_trace(self.trace.clone()),
            summary: Summary { events: listens.then_some(0), ..Summary::default() },
            likelihood: Likelihood::default(),
            told: VecDeque::new(),
        };
        let speech = options.vad.map(|vad| SpeechMap::new(self.engine.isa(), vad));
        Ok(OnWay { run, slider: Slider::new(source).with_speech(speech), seek: 0, most: options.window.max_frames() })
    }

    /// Goes on by a window, or what lies between two; false at the end.
    pub(super) fn step(&mut self, on_way: &mut OnWay<'_>, events: Option<&mut EncodedEvents>) -> Result<bool, TranscribeError> {
        let OnWay { run, slider, seek, most } = on_way;
        let options = run.plan.options;
        slider.move_to(*seek)?;
        let Some(step) = slider.step(*most) else { return Ok(false) };
        let advance = match step {
            Step::Quiet(frames) => self.pass(slider, *seek, frames, events.is_some(), run)?,
            Step::Window(left) if quality::level_db(slider.window(left)) < options.quality.min_level_db => {
                run.summary.stats.silent_windows += 1;
                self.pass(slider, *seek, left, events.is_some(), run)?
            }
            Step::Window(left) => match self.window(slider, *seek, left, run)? {
                Ok(advance) => advance,
                Err(frames) => {
                    *most = frames;
                    return Ok(true);
                }
            },
        };
        *most = options.window.max_frames();
        if let Some(events) = events {
            let mut heard = heard(&mut run.summary, &mut run.told);
            events.window(self.engine.encoder_output(), *seek, advance, &mut heard).map_err(unheard)?;
        }
        *seek += advance as u64;
        run.summary.stats.decoder_steps += std::mem::take(&mut self.decoder.steps);
        Ok(true)
    }

    /// The end of a recording, and what is told at last.
    pub(super) fn finish(
        &mut self,
        on_way: OnWay<'_>,
        events: Option<&mut EncodedEvents>,
    ) -> Result<(Summary, VecDeque<Told>), TranscribeError> {
        let OnWay { run, slider, .. } = on_way;
        let Run { mut summary, plan, taps, likelihood, mut told } = run;
        let scores = match events {
            Some(events) => events.finish(slider.samples_read(), &mut heard(&mut summary, &mut told)).map_err(unheard)?,
            None => None,
        };
        summary.duration = slider.samples_read() as f64 / f64::from(ossicle_frontend::SAMPLE_RATE);
        summary.language = plan.language;
        summary.language_doubt = !self.specials.multilingual && likelihood.doubts_language(&plan.options.quality);
        summary.digests = taps.finish().map(|digests| Digests { events: scores, ..digests });
        Ok((summary, told))
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

/// Tells what begins before a time in seconds, the earliest first, of equals that of the first recording.
fn tell_in_order(waiting: &mut [VecDeque<Told>], before: f64, on_told: &mut dyn FnMut(usize, Told)) {
    let next = |queue: &VecDeque<Told>| queue.front().map(start).filter(|&start| start < before);
    let earliest = |waiting: &[VecDeque<Told>]| {
        let all = waiting.iter().enumerate().filter_map(|(index, queue)| Some((index, next(queue)?)));
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    };
    while let Some(index) = earliest(waiting) {
        waiting[index].pop_front().into_iter().for_each(|told| on_told(index, told));
    }
}

/// When it begins, in seconds.
fn start(told: &Told) -> f64 {
    match told {
        Told::Segment(segment) => segment.start,
        Told::Dropped(dropped) => dropped.start,
        Told::Event(event) => event.start,
    }
}

/// Counts events, and tells them.
fn heard(summary: &mut Summary, told: &mut VecDeque<Told>) -> impl FnMut(Event) {
    |event| {
        summary.events = summary.events.map(|events| events + 1);
        told.push_back(Told::Event(event));
    }
}

fn unheard(error: EventsError) -> TranscribeError {
    EngineError(Box::new(error)).into()
}

#[cfg(test)]
#[path = "pauses_tests.rs"]
mod pauses_tests;
