//! A codec of spectra: codes to sound, and sound to codes.
//!
//! Codes tell magnitudes, 50 frames a second of four short-time spectra each, divided into a tonal part and noise; phases are made up
//! ([`ossicle_frontend::spectral`]), so none of a code's bits is spent on them. Both sides work chunk by chunk, in memory that does not depend on
//! the length, and give the bits that they would give in one piece.
//!
//! ```no_run
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::spectral::SpectralDecoder;
//! use ossicle_models::Options;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/effects/codec".as_ref())?;
//! let mut decoder = SpectralDecoder::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let mut samples = vec![];
//! decoder.reset(7);
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
mod stream;

pub use config::{ROWS, SPECTRA, SpectralConfig};
pub use decoder::SpectralDecoder;
pub use encoder::SpectralEncoder;
pub use ossicle_frontend::spectral::{CURVE, FRAME_VALUES};

/// Frames that are computed at a time.
pub const CHUNK_FRAMES: usize = 16;

/// Most bytes of buffers unless another limit is given.
const MOST: usize = 1 << 30;
