//! Ossicle: speech, sounds and pictures on small boards, with the same bits on every machine.
//!
//! ```
//! use ossicle::{Audio, Options, TranscribeOptions, Transcriber};
//!
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
//! let mut transcriber = Transcriber::open("whisper-tiny.en", Options::default())?;
//! for segment in transcriber.segments(&mut Audio::open("samples/kitchen.wav")?, &TranscribeOptions::default())? {
//!     let segment = segment?;
//!     println!("{:.2} to {:.2} s: {}", segment.start, segment.end, segment.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! At the root is what most programs need:
//!
//! | | |
//! |---|---|
//! | [`Transcriber`] | a recording to text with times |
//! | [`Commands`] | which of a closed set of sentences was said, if any |
//! | [`Detector`] | which sounds are heard, from when to when |
//! | [`Classifier`], [`Image`] | what is in a picture, by a trained model or in words of one's own |
//! | [`Voice`] | text to speech |
//! | [`Audio`] | recordings of every common format, as samples at 16 kHz |
//! | [`Options`], [`Isa`] | threads and instruction set; neither changes a bit of a result |
//! | [`models`] | where models lie |
//!
//! Modules hold the rest: [`listen`] for live sound, [`look`] for a camera's pictures, [`find`] for search by words, [`embed`] for vectors of pictures
//! and texts, [`generate`] for sounds from descriptions, [`formats`] for what is written. What goes over all models and all traces asks [`families`]
//! and [`replay`]. Memory is bounded whatever the length of a recording; nothing here prints, exits or reaches for a network.

#![forbid(unsafe_code)]

pub mod audio;
pub mod classify;
pub mod command;
pub mod digest;
pub mod embed;
pub mod events;
mod exact;
pub mod families;
pub mod find;
pub mod formats;
pub mod generate;
pub mod label;
pub mod listen;
pub mod look;
pub mod models;
pub mod replay;
pub mod source;
pub mod speak;
pub mod trace;
mod vectors;
pub mod whisper;

pub use ossicle_kernels::simd::Isa;
pub use ossicle_models::{MemoryPlan, Options};

pub use audio::AudioReader as Audio;
pub use classify::{AnyClassifier as Classifier, Labels};
pub use command::Commands;
pub use events::{Detector, Event};
pub use label::Image;
pub use source::SampleSource;
pub use speak::Voice;
pub use whisper::Transcription;
pub use whisper::options::TranscribeOptions;
pub use whisper::transcriber::Transcriber;
pub use whisper::transcript::{Segment, Summary};
