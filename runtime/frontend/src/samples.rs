//! The door: what a decoder or a sound card delivers becomes finite, mono f32 in [-1, 1).
//!
//! ```
//! use ossicle_frontend::samples::{check_finite, downmix, from_i16};
//!
//! let mut stereo = [0.0; 4];
//! from_i16(&[16384, 0, -32768, -32768], &mut stereo);
//! let mut mono = [0.0; 2];
//! downmix(&stereo, 2, &mut mono);
//! assert_eq!(mono, [0.25, -1.0]);
//! assert_eq!(check_finite(&[0.0, f32::NAN]).unwrap_err().index, 1);
//! ```

use core::fmt;

/// A sample that no recording has.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadSample {
    /// Its position.
    pub index: usize,
    /// NaN, infinite, or of a magnitude above [`MAX_MAGNITUDE`].
    pub value: f32,
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = if self.value.is_finite() { "too large" } else { "not a finite number" };
        write!(f, "sample {} is {problem} ({})", self.index, self.value)
    }
}

impl core::error::Error for BadSample {}

/// Largest magnitude let in: 2^40. It keeps a frame's power within f32, and no recording in whatever integer scale reaches it.
pub const MAX_MAGNITUDE: f32 = 1_099_511_627_776.0;

/// Refuses NaN and infinity, which no code behind the door can order, and magnitudes above [`MAX_MAGNITUDE`], whose power is infinite.
///
/// # Errors
/// [`BadSample`] with the first such sample.
pub fn check_finite(samples: &[f32]) -> Result<(), BadSample> {
    let good = |x: f32| x.abs() <= MAX_MAGNITUDE; // false for NaN
    match samples.iter().position(|&x| !good(x)) {
        Some(index) => {
            let bad = BadSample { index, value: samples[index] };
            crate::log::warn!("refused: sample {} is {}", bad.index, bad.value);
            Err(bad)
        }
        None => Ok(()),
    }
}

/// Unsigned 8-bit samples, silence at 128, to [-1, 1). Converts as many as both slices hold; exact.
pub fn from_u8(input: &[u8], output: &mut [f32]) {
    for (y, &x) in output.iter_mut().zip(input) {
        *y = (f32::from(x) - 128.0) / 128.0;
    }
}

/// 16-bit samples to [-1, 1). Converts as many as both slices hold; exact.
pub fn from_i16(input: &[i16], output: &mut [f32]) {
    for (y, &x) in output.iter_mut().zip(input) {
        *y = f32::from(x) / 32_768.0;
    }
}

/// Samples of `bits` significant low bits (1 to 32, for example 24) to [-1, 1]. Converts as many as both slices hold; rounded to f32, so
/// the largest 32-bit values become 1.
///
/// # Panics
/// Never; `bits` outside 1 to 32 counts as the nearest of them.
pub fn from_i32(input: &[i32], bits: u32, output: &mut [f32]) {
    // 2^-(bits - 1), made from its exponent.
    let unit = f32::from_bits((127 - (bits.clamp(1, 32) - 1)) << 23);
    for (y, &x) in output.iter_mut().zip(input) {
        *y = x as f32 * unit;
    }
}

/// Averages interleaved `[frames][channels]` into mono, adding channels in order. Converts as many frames as both slices hold whole;
/// none for zero channels.
pub fn downmix(interleaved: &[f32], channels: usize, mono: &mut [f32]) {
    if channels == 0 {
        return;
    }
    for (y, frame) in mono.iter_mut().zip(interleaved.chunks_exact(channels)) {
        *y = frame[1..].iter().fold(frame[0], |sum, x| sum + x) / channels as f32;
    }
}
