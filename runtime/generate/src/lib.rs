//! Tokens that a model gives, one step after another: random numbers, sampling, guidance, the order of codebooks, and the loop over them.
//!
//! Nothing here knows a model: what gives logits is a [`TokenModel`]. The same logits and the same seed give the same tokens on every
//! machine ([`Philox`] counts, it keeps no state; [`Sampler`] adds in one fixed order).
//!
//! ```
//! use ossicle_generate::{DelayPattern, Generator, Settings, TokenModel};
//!
//! /// Says each codebook's token of before, plus one.
//! struct Next(Vec<f32>);
//!
//! impl TokenModel for Next {
//!     type Error = std::convert::Infallible;
//!
//!     fn step(&mut self, tokens: &[u32]) -> Result<&[f32], Self::Error> {
//!         for (row, token) in self.0.chunks_exact_mut(8).zip(tokens) {
//!             row.fill(0.0);
//!             row[(*token as usize + 1) % 8] = 30.0;
//!         }
//!         Ok(&self.0)
//!     }
//! }
//!
//! let settings = Settings { guidance: 1.0, ..Settings::default() };
//! let mut generator = Generator::new(DelayPattern::new(&[0, 1]), 8, 3, settings)?;
//! let mut model = Next(vec![0.0; 2 * 8]);
//! while generator.step(&mut model)?.is_some() {}
//! // The special token is 8, and (8 + 1) % 8 = 1.
//! assert_eq!(generator.codes(), [[1, 2, 3], [1, 2, 3]].concat());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod delay;
mod generator;
mod philox;
mod sampler;

pub use delay::DelayPattern;
pub use generator::{GenerateError, Generator, Settings, SettingsError, TokenModel};
pub use philox::Philox;
pub use sampler::{Sampler, Sampling, guide};
