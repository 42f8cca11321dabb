//! Speech to text, text to speech and embeddings as a service: the Wyoming protocol, which Home Assistant speaks, OpenAI's HTTP interface, and what was
//! said for an MQTT broker.
//!
//! Threads run the models, one job after the other, one more the voice, and one embeddings; every connection has a thread of its own that reads, checks and answers. Both are
//! counted: what is too much, too long or too slow by [`Limits`] is refused with an answer that says so, so that memory, files and threads
//! stay bounded whatever arrives. Nothing here panics on any bytes.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use ossicle::whisper::transcriber::{Options, Transcriber};
//! use ossicle_serve::{Address, Limits, ModelCard, Server};
//!
//! let mut model = Transcriber::open("whisper-tiny.en", Options::default())?;
//! let mut server = Server::new(ModelCard::of(&mut model), Limits::default());
//! let at = server.wyoming(&"tcp://127.0.0.1:10300".parse()?)?;
//! println!("listening at {at}");
//! server.run(&mut [model], &AtomicBool::new(false), &mut || {})?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod card;
mod connection;
mod embed;
mod http;
mod intent;
mod job_error;
mod jobs;
mod limits;
mod listen;
mod model;
pub mod mqtt;
mod server;
mod service;
mod slots;
mod speech;
mod spill;
mod text;
mod turns;
mod updates;
mod worker;
pub mod wyoming;

pub use card::ModelCard;
pub use embed::{Embedder, Input, InputError, Towers, Vector};
pub use intent::{Entity, Intent, Recognise};
pub use limits::Limits;
pub use listen::{Address, AddressError};
pub use model::Model;
pub use server::Server;
pub use speech::{Speaker, VoiceCard};
