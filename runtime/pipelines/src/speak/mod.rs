//! Spoken answers: text or phonemes in, samples out.
//!
//! ```no_run
//! use ossicle::speak::{Options, Settings, Voice};
//! use ossicle_kernels::simd::Isa;
//!
//! let mut voice = Voice::open("models-int8/hibari".as_ref(), Options { isa: Isa::detect(), threads: 1 })?;
//! for samples in voice.speak("The light is on.", Settings::default())? {
//!     println!("{} samples", samples?.len());
//! }
//! # Ok::<(), ossicle::speak::SpeakError>(())
//! ```

mod american;
mod clauses;
mod error;
mod espeak;
mod flac;
mod kokoro;
mod pcm;
mod sentences;
mod synth;
mod voice;

pub use ossicle_models::Options;

pub use error::SpeakError;
pub use flac::{FLAC_HEADER, FlacEncoder, flac_header};
pub use pcm::{WAV_HEADER, to_pcm, wav_header};
pub use sentences::Sentences;
pub use voice::{Pronounced, Settings, Speech, Voice};
