//! Voice commands: which of a closed set of sentences was said, if any.
//!
//! A recording is decoded twice: freely, for [what was said](background) whatever it was, and by a [search] over the token paths of an
//! [automaton](automaton::Automaton) of all sentences. How the best sentence stands against the free text gives a calibrated
//! [confidence]; speech that is no command, television, music and noise stay below the threshold.

pub mod automaton;
pub mod background;
pub mod calibrate;
mod commands;
pub mod confidence;
pub mod mix;
pub mod recogniser;
pub mod search;
pub mod sentences;
pub mod set;
mod sound;
pub mod vocabulary;

pub use commands::{Commands, CommandsError};
