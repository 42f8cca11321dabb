//! English text to phonemes: numbers, dates, money, units and abbreviations are read out, words are looked up in a lexicon by their part of
//! speech, inflected forms are made from what the lexicon has, and a small network guesses the rest.
//!
//! The lexicon, the tagger and the network are one file, which is searched where it lies; opening it reads some kilobytes. All arithmetic
//! is in one order, so that a text gives the same phonemes on every machine.

#![forbid(unsafe_code)]

mod error;
mod lexicon;
mod net;
mod numbers;
mod pack;
mod phonemizer;
mod table;
mod tagger;
mod text;

pub use error::OpenError;
pub use pack::{Parts, Pronunciation, Readings};
pub use phonemizer::{Clause, Phonemizer};
