//! Constants computed once in f64 by `scripts/tables.py` and stored as f32 bits; and the weights that `scripts/vad` trained.

pub(crate) mod fft1200;
pub(crate) mod fft400;
pub(crate) mod fft512;
pub(crate) mod lowpass;
pub(crate) mod mel128;
pub(crate) mod mel64;
pub(crate) mod mel80;
pub(crate) mod vad;

const fn floats<const N: usize>(bits: [u32; N]) -> [f32; N] {
    let mut values = [0.0; N];
    let mut i = 0;
    while i < N {
        values[i] = f32::from_bits(bits[i]);
        i += 1;
    }
    values
}
