//! Sound as magnitudes of a short-time transform, and back: what a codec that knows no phases stands on.
//!
//! Frames are 5 ms apart at 16 kHz; frame `t` sees the 256 samples around the middle of samples `80 t .. 80 (t + 1)` through a Hann window.
//! [`analyze`] gives the logarithms of its 129 magnitudes. [`Synthesis`] takes two magnitudes of each bin, of a tonal part and of noise (as
//! Serra and Smith 1990 divide sounds). The tonal part gets phases that go on from frame to frame, each peak at its own frequency with the bins
//! around it (a phase vocoder with phases locked to peaks, Laroche and Dolson 1999); noise is the spectrum of white noise times its magnitude.
//! Their sum keeps its magnitudes, and takes three times the phases of the frames that overlap it (Griffin and Lim 1984), frame by frame as they
//! come. Noise is drawn by counter, so a seed gives the same samples on every machine.
//!
//! ```
//! use ossicle_frontend::spectral::{FRAME_VALUES, STEP, Synthesis};
//! use ossicle_kernels::simd::Isa;
//!
//! let mut synthesis = Box::new(Synthesis::new());
//! synthesis.start(7);
//! let (frame, mut samples, mut count) = ([-3.0; FRAME_VALUES], [0.0; 20 * STEP], 0);
//! for _ in 0..20 {
//!     count += synthesis.push(Isa::detect(), &frame, &mut samples[count..]);
//! }
//! count += synthesis.finish(Isa::detect(), &mut samples[count..]);
//! assert_eq!(count, 20 * STEP);
//! ```

mod overlap;
mod phases;
mod refine;
mod spectrum;
mod synthesis;

pub use spectrum::analyze;
pub use synthesis::{MOST_LEFT, Synthesis};

/// Samples from one frame to the next.
pub const STEP: usize = 80;
/// Samples that a frame sees.
pub const WINDOW: usize = 256;
/// Samples of a frame's window before its own [`STEP`].
pub const BEFORE: usize = (WINDOW - STEP) / 2;
/// Magnitudes of a frame, 0 to 8 kHz.
pub const BINS: usize = WINDOW / 2 + 1;
/// Values of one curve of a frame: its magnitudes, and 15 that are not read.
pub const CURVE: usize = 144;
/// Values of a frame for [`Synthesis`]: logarithms of the tonal part, then of noise.
pub const FRAME_VALUES: usize = 2 * CURVE;
