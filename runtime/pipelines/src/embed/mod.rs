//! Images and texts as vectors of length 1: what is alike lies near.
//!
//! ```no_run
//! use ossicle::embed::{ImageEncoder, Options, TextEncoder};
//! use ossicle::label::Image;
//!
//! let model = "clip-vit-base-patch32".as_ref();
//! let mut texts = TextEncoder::open(model, Options::default())?;
//! let cat = texts.encode("a photo of a cat")?.vector.to_vec();
//! let mut images = ImageEncoder::open(model, Options::default())?;
//! let image = images.encode(&Image::read("sofa.jpg".as_ref())?)?;
//! let cosine: f32 = image.iter().zip(&cat).map(|(a, b)| a * b).sum();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod image;
mod text;
mod tower;

pub use error::EmbedError;
pub use image::{ImageEncoder, Similarity};
pub use text::{Encoded, TextEncoder};
pub use tower::{ImageTower, Images, TextSource, TextTower, Texts};

use ossicle_kernels::simd::Isa;
use ossicle_models::network::MAX_BUFFER_BYTES;

/// How to compute; no choice changes a bit.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instruction set.
    pub isa: Isa,
    /// Threads, held to 1..=8.
    pub threads: usize,
    /// Most bytes of buffers: what needs more is refused before anything is allocated.
    pub most: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { isa: Isa::detect(), threads: 1, most: MAX_BUFFER_BYTES }
    }
}

impl From<Options> for ossicle_models::Options {
    fn from(options: Options) -> Self {
        Self { isa: options.isa, threads: options.threads }
    }
}
