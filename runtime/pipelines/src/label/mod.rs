//! Labels for images and recordings, by a network that ossicle-quantize brought in from ONNX.
//!
//! ```no_run
//! use ossicle::label::{Image, Labeller, Options};
//!
//! let mut labeller = Labeller::open("flowers".as_ref(), Options::default())?;
//! let scores = labeller.image(&Image::read("rose.ppm".as_ref())?)?.to_vec();
//! for (label, score) in labeller.labels().iter().zip(&scores) {
//!     println!("{label}: {score}");
//! }
//! # Ok::<(), ossicle::label::LabelError>(())
//! ```

mod error;
mod huggingface;
mod image;
mod labeller;
mod pixels;
mod preprocessor;
mod resize;

pub use error::LabelError;
pub use image::{ENDINGS, Image, has_image_ending, has_unread_image_ending};
pub use labeller::{Labeller, Reading, Windows};
pub use ossicle_models::Options;
pub use pixels::{Pixels, Resample, Size, Target};
pub use preprocessor::{Frames, Frontend, Preprocessor};
