//! Sound events as a picture and as a page that plays them.
//!
//! A [`Sketch`] listens to what a detector hears, in memory that does not grow with the recording: columns of the spectrogram and of the scores
//! are pooled by their maxima once there are more than a picture has room for, so a short sound shows in an hour too. A [`Figure`] of it is
//! drawn as PNG or written as an HTML page. Nothing here touches files or the network.
//!
//! ```no_run
//! use ossicle::events::{Detector, Heard, Options, Settings};
//! use ossicle_plot::Sketch;
//!
//! let mut detector = Detector::open("models-int8/yamnet".as_ref(), &Settings::default(), Options::default())?;
//! let mut sketch = Sketch::new(Options::default().isa, detector.labels().len());
//! let samples = vec![0.0; 32_000];
//! sketch.samples(&samples);
//! let mut sink = |heard: Heard<'_>| sketch.heard(&heard);
//! detector.push(&samples, &mut sink)?;
//! detector.finish(&mut sink)?;
//! std::fs::write("silence.png", sketch.finish("silence", detector.classes()).png())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod axis;
mod canvas;
mod clip;
mod figure;
mod page;
mod picture;
mod pooled;
mod sketch;
mod sounds;
mod spectrogram;

pub use clip::{Clip, MOST_SECONDS};
pub use figure::{Figure, Lane, MOST_LANES, Mark};
pub use page::write_page;
pub use sketch::{MOST_EVENTS, Sketch};
pub use sounds::{Sound, write_sounds};
