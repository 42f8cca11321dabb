//! What a camera sees, and from when to when: frames in, events out, by the same rules as [sound events](crate::events).
//!
//! ```no_run
//! use ossicle::events::{Heard, Settings};
//! use ossicle::label::{Labeller, Options};
//! use ossicle::look::{FrameReader, MotionGate, Viewer};
//!
//! let labeller = Labeller::open("efficientnet-lite0".as_ref(), Options::default())?;
//! let mut viewer = Viewer::new(labeller, &Settings::default(), &[], Some(MotionGate::default()))?;
//! let mut frames = FrameReader::new(std::io::stdin().lock(), None)?;
//! let mut at = 0.0;
//! while let Some(frame) = frames.next_frame()? {
//!     viewer.see(&frame.decode()?, at, &mut |heard| {
//!         if let Heard::Event(event) = heard {
//!             println!("{:.1} to {:.1} s: {}", event.start, event.end, event.class);
//!         }
//!     })?;
//!     at += 0.1;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod frames;
mod gate;
mod jpeg;
mod yuv;

pub use error::FrameError;
pub use frames::{Frame, FrameReader, MAX_FRAME_BYTES, Raw, RawLayout};
pub use gate::MotionGate;

use crate::audio::SAMPLE_RATE;
use crate::classify::{AnyClassifier, Classifier, ClassifyError, THRESHOLD};
use crate::events::{Around, Heard, Labels, Scores, Settings, SettingsError, Tracker, heard};
use crate::label::Image;

/// Turns frames into events.
///
/// What is seen in a frame is there until the next one. A frame on which nothing moved is not computed: what was seen last is still seen.
#[derive(Debug)]
pub struct Viewer {
    model: AnyClassifier,
    gate: Option<MotionGate>,
    trackers: Vec<Tracker>,
    scores: Vec<f32>,
    /// When the last frame was, in samples.
    last: u64,
    counts: Counts,
}

/// What became of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that the model computed.
    pub computed: u64,
    /// Frames on which nothing moved.
    pub still: u64,
}

/// Seconds as the trackers count them.
fn samples(seconds: f64) -> u64 {
    (seconds.max(0.0) * f64::from(SAMPLE_RATE)).round() as u64
}

impl Viewer {
    /// `classes` are those of the settings, or labels, to look for; all of the settings', or else all labels, if there are none.
    ///
    /// # Errors
    /// A class or a label is not known, or the model labels recordings.
    pub fn new(
        model: impl Into<AnyClassifier>,
        settings: &Settings,
        classes: &[String],
        gate: Option<MotionGate>,
    ) -> Result<Self, SettingsError> {
        let model = model.into();
        let names = model.labels().to_vec();
        let tuned = model.by_words().is_some_and(Classifier::is_tuned).then_some(THRESHOLD);
        let labels = Labels { thresholds: vec![tuned; names.len()], names, near: vec![] };
        let trackers = settings.resolve(&labels, classes)?.into_iter().map(Tracker::new).collect();
        Ok(Self { scores: vec![], model, gate, trackers, last: 0, counts: Counts::default() })
    }

    /// Takes the frame of a time, in seconds from the start; times do not go back. An event's start is told within this call.
    ///
    /// # Errors
    /// The model refuses to run.
    pub fn see(&mut self, image: &Image, at: f64, sink: &mut impl FnMut(Heard<'_>)) -> Result<(), ClassifyError> {
        let moved = self.gate.as_mut().is_none_or(|gate| gate.moved(image));
        if moved || self.scores.is_empty() {
            self.scores.clear();
            self.scores.extend_from_slice(self.model.image(image)?);
            self.counts.computed += 1;
        } else {
            self.counts.still += 1;
        }
        let now = samples(at).max(self.last);
        self.last = now;
        sink(Heard::Scores(Scores { start: at, end: at, scores: &self.scores, embedding: &[] }));
        for tracker in &mut self.trackers {
            tracker.hold(now);
            let score = tracker.class.outputs.iter().map(|&output| self.scores[output]).fold(0.0, f32::max);
            tracker.take(now, now, score, Around::default(), &mut |class, change| sink(heard(class, change)));
        }
        Ok(())
    }

    /// Ends the stream: events that go on are over with the last frame. The next frame begins another stream.
    pub fn finish(&mut self, sink: &mut impl FnMut(Heard<'_>)) {
        for tracker in &mut self.trackers {
            tracker.finish(self.last, &mut |class, change| sink(heard(class, change)));
            *tracker = Tracker::new(tracker.class.clone());
        }
        self.last = 0;
        self.scores.clear();
        if let Some(gate) = &mut self.gate {
            gate.forget();
        }
    }

    /// The model.
    pub fn model(&self) -> &AnyClassifier {
        &self.model
    }

    /// What became of the frames so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

// Builds without decoders of images cannot read the sample.
#[cfg(all(test, feature = "images"))]
#[path = "look_tests.rs"]
mod tests;
