//! Boards that Ossicle runs on.
//!
//! [`profile`] describes them, one TOML file each, so that adding a board is adding a file; [`machine`] says what is found on the machine
//! at hand and [`fit`] which profile comes closest, [`cost`] what the kernels' work costs there. [`hal`] has drivers for buttons, LEDs and a
//! codec. Nothing writes a file; only the feature `linux` opens devices.

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
pub mod hal;
#[cfg(all(feature = "linux", target_os = "linux"))]
pub mod linux;
#[cfg(feature = "std")]
pub mod machine;
#[cfg(feature = "std")]
pub mod profile;

#[cfg(feature = "std")]
pub use error::BoardError;
