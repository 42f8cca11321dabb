//! Boards that Ossicle runs on.
//!
//! [`profile`] describes them, one TOML file each, so that adding a board is adding a file; [`machine`] says what is found on the machine
//! at hand and [`fit`] which profile comes closest. Nothing here opens a device or writes a file.

#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
pub mod catalog;
#[cfg(feature = "std")]
pub mod cost;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
pub mod fit;
#[cfg(feature = "std")]
pub mod machine;
#[cfg(feature = "std")]
pub mod profile;

#[cfg(feature = "std")]
pub use error::BoardError;
