//! EnCodec: codes to sound, and sound to codes.
//!
//! Both sides work chunk by chunk, in memory that does not depend on the length, and give the bits that they would give in one piece.
//!
//! ```no_run
//! use ossicle_models::encodec::{CHUNK_FRAMES, EncodecDecoder};
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::Options;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/effects/codec".as_ref())?;
//! let mut decoder = EncodecDecoder::new(folder, Options { isa: Isa::detect(), threads: 1 }, CHUNK_FRAMES)?;
//! let mut samples = vec![];
//! for frame in [[3, 1, 4, 1], [5, 9, 2, 6]] {
//!     decoder.push(&frame, &mut |chunk| samples.extend_from_slice(chunk))?;
//! }
//! decoder.finish(&mut |chunk| samples.extend_from_slice(chunk))?;
//! assert_eq!(samples.len(), 2 * 320);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod decoder;
mod encoder;
mod rows;
mod side;
mod wire;

pub use config::{EncodecConfig, Kind, PadMode, Part, padded};
pub use decoder::EncodecDecoder;
pub use encoder::EncodecEncoder;

/// Frames of a chunk: a second of sound at the usual 50 a second.
pub const CHUNK_FRAMES: usize = 50;

/// Most frames of a chunk.
pub const MAX_CHUNK_FRAMES: usize = 1 << 16;

/// Most bytes of buffers unless another limit is given.
const MOST: usize = 1 << 30;
