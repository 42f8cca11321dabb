//! Sounds from descriptions.
//!
//! A folder of kind `audiogen` has the language model over codes; `codec` in it has the codec, `text` the encoder of descriptions (T5, or MiniLM),
//! unless `text_model` in `config.json` names a model folder next to it.
//! The encoder is let go before the model is opened.
//!
//! ```no_run
//! use ossicle::generate::{Options, Request, SoundGenerator, describe};
//! use ossicle_kernels::simd::Isa;
//!
//! let (folder, options) = ("models-int8/effects".as_ref(), Options { isa: Isa::detect(), threads: 2 });
//! let description = describe(folder, options, &["a dog barks"])?.remove(0);
//! let request = Request { seed: 7, ..Request::new(folder, 2.0)? };
//! let mut generator = SoundGenerator::open(folder, options, request, description.rows())?;
//! let mut sound = vec![];
//! generator.generate(&description, request, &mut |samples| sound.extend_from_slice(samples), &mut |_| true)?;
//! assert_eq!(sound.len(), 2 * generator.sampling_rate());
//! # Ok::<(), ossicle::generate::GenerateError>(())
//! ```

mod codec;
mod describe;
mod encode;
mod error;
mod generator;
mod pace;
mod prepared;
mod seam;
mod settings;

pub use ossicle_generate::Sampling;
pub use ossicle_models::Options;

pub use describe::{Description, describe, describe_traced, text_folder};
pub use encode::Beginning;
pub use error::GenerateError;
pub use generator::{GenerationPlan, Progress, SoundGenerator};
pub use prepared::Prepared;
pub use seam::{SEAM_SECONDS, looped};
pub use settings::{MAX_SECONDS, Recommended, Request};

/// The codec's folder in a model's.
pub(crate) const CODEC: &str = "codec";

/// The folder of the encoder of descriptions.
const TEXT: &str = "text";
