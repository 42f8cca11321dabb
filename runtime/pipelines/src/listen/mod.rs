//! Listening: a live stream in, events and text out, for days in the same memory.
//!
//! [`Queue`] takes what comes while a text is being worked out; [`Segmenter`] cuts the stream into utterances, by voice activity or by a button;
//! [`Recogniser`] makes text (or an intent) of each; [`Listener`] puts them together and tells what happens as [`Event`]s, which
//! [`mod@format`] writes. [Sound events](crate::events) of the same stream join them as [`Event::Sound`]. Positions are samples at 16 kHz from the stream's start, and every sample is in one utterance or in none.
//!
//! ```no_run
//! use ossicle::listen::{Listener, Options, Speech};
//! use ossicle::whisper::options::TranscribeOptions;
//! use ossicle::whisper::transcriber::{Options as ModelOptions, Transcriber};
//! use ossicle_kernels::simd::Isa;
//!
//! let model = Transcriber::open("whisper-tiny.en", ModelOptions::default())?;
//! let mut listener = Listener::new(Isa::detect(), Options::default(), Speech::new(model, TranscribeOptions::default()))?;
//! listener.push(&[0.0; 1600], &mut |event| println!("{event:?}"))?;
//! listener.finish(&mut |event| println!("{event:?}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
mod boundary;
mod button;
mod commands;
mod event;
pub mod format;
mod listener;
mod queue;
mod recogniser;
mod segmenter;

pub use boundary::{Boundary, Trigger};
pub use commands::Commands;
pub use event::Event;
pub use listener::{ListenError, Listener, Options};
pub use ossicle_frontend::endpoint::{Config as EndpointConfig, ConfigError as EndpointError};
pub use queue::{Popped, Queue};
pub use recogniser::{RecogniseError, Recogniser, Recognition, Speech};
pub use segmenter::{Progress, Segmenter};
