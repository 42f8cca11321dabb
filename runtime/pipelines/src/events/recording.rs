//! The events of a recording as an iterator.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use super::{Detector, Event, EventsError, Heard};
use crate::audio::SAMPLE_RATE;
use crate::source::{SampleSource, filled};

/// The sounds of a recording, in the order in which they end: no second is listened to before what it may tell is asked for.
pub struct Events<'a> {
    detector: &'a mut Detector,
    source: &'a mut dyn SampleSource,
    samples: Vec<f32>,
    told: VecDeque<Event>,
    ended: bool,
}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Detector {
    /// The sounds of a whole recording, one after the other; what was pushed before is forgotten.
    ///
    /// ```
    /// use ossicle::events::{Options, Settings};
    /// use ossicle::{Audio, Detector, models};
    ///
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let model = models::find("sound-events")?;
    /// let mut detector = Detector::open(&model, &Settings::of_model(&model)?, Options::default())?;
    /// for event in detector.events(&mut Audio::open("samples/sounds.wav")?) {
    ///     let event = event?;
    ///     println!("{:.2} to {:.2} s: {}", event.start, event.end, event.class);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events<'a>(&'a mut self, source: &'a mut dyn SampleSource) -> Events<'a> {
        self.restart();
        Events { detector: self, source, samples: vec![0.0; SAMPLE_RATE as usize], told: VecDeque::new(), ended: false }
    }
}

impl Events<'_> {
    /// Listens to another second.
    fn advance(&mut self) -> Result<(), EventsError> {
        let told = &mut self.told;
        let mut keep = |heard: Heard<'_>| {
            if let Heard::Event(event) = heard {
                told.push_back(event);
            }
        };
        let length = filled(self.source, &mut self.samples).map_err(EventsError::Source)?;
        self.detector.push(&self.samples[..length], &mut keep)?;
        if length < self.samples.len() {
            self.ended = true;
            self.detector.finish(&mut keep)?;
        }
        Ok(())
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, EventsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl FusedIterator for Events<'_> {}
