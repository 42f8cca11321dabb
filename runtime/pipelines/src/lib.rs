//! Ossicle: speech to text on small boards, with the same bits on every machine.
//!
//! Recordings in, text with times out: [`audio`] reads files, [`models`] finds model folders, [`whisper`] turns samples into segments and
//! [`formats`] writes them; [`listen`] does so live, and [`events`] tells which sounds are heard. [`label`] names images and recordings by a
//! trained classifier, [`classify`] names images by words of one's own, [`embed`] makes vectors of images and texts, and [`speak`] and
//! [`generate`] go the other way. What goes over all models and all traces asks [`families`] and [`replay`]. Memory is bounded whatever the length of a recording; nothing here prints, exits or reaches for a network.

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
