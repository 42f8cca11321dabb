//! Sound events: what is heard, from when to when.
//!
//! A [`Detector`] takes samples as they come, scores them with YAMNet every hop and turns scores into [`Event`]s by the rules of
//! [`Settings`]. It tells that one has begun as soon as that is certain, and all of it once it is over. What is told depends on the samples
//! alone, not on how they are cut into chunks.
//!
//! ```no_run
//! use ossicle::events::{Detector, Heard, Options, Settings};
//!
//! let mut detector = Detector::open("models-int8/yamnet".as_ref(), &Settings::default(), Options::default())?;
//! let samples = vec![0.0; 32_000];
//! let mut print = |heard: Heard<'_>| {
//!     if let Heard::Event(event) = heard {
//!         println!("{:.2} to {:.2} s: {}", event.start, event.end, event.class);
//!     }
//! };
//! detector.push(&samples, &mut print)?;
//! detector.finish(&mut print)?;
//! # Ok::<(), ossicle::events::EventsError>(())
//! ```

mod around;
mod detector;
mod encoded;
mod error;
mod formats;
mod labels;
mod near;
mod near_scores;
mod order;
mod recording;
mod sets;
mod settings;
mod timing;
mod tracker;

pub use around::Near;
pub use detector::{ClassOutputs, Detector, Digests, Heard, Options, Scores};
pub use encoded::EncodedEvents;
pub use error::{EventsError, SettingsError};
pub use formats::{Format, SOUND, SOUND_REPEAT, SOUND_START, Writer, one_field};
pub use order::InOrder;
pub use recording::Events;
pub use sets::{HOME_SOUNDS, SETS, Set};
pub use settings::{Rules, SETTINGS_FILE, Settings};
pub use timing::HOP_FRAMES;

pub(crate) use around::Around;
pub(crate) use detector::heard;
pub(crate) use labels::Labels;
pub(crate) use timing::hop_frames;
pub(crate) use tracker::Tracker;

/// A sound of a class.
///
/// ```
/// fn tell(event: &ossicle::Event) -> String {
///     format!("{:.2} to {:.2} s: {}", event.start, event.end, event.class)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Event {
    /// The class's name.
    pub class: String,
    /// Seconds from the start of the recording.
    pub start: f64,
    /// Seconds from the start of the recording.
    pub end: f64,
    /// Its largest score.
    pub peak: f32,
    /// Its mean score, gaps that were closed included.
    pub mean: f32,
}

/// A sound of a class that goes on.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Lasting<'a> {
    /// The class's name.
    pub class: &'a str,
    /// Seconds from the start of the recording: that of its [`Event`].
    pub start: f64,
    /// Seconds from the start of the recording: how far it has been heard.
    pub at: f64,
    /// Its largest score so far.
    pub peak: f32,
}
