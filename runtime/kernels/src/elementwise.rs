//! Sums and products of maps `[positions][channels]`, value by value and channel by channel.

use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// `out = a + b`
///
/// # Panics
/// If the lengths differ or are no multiple of 16.
pub fn add(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    isa.dispatch(Pairs::<false> { a, b, out: &mut *out });
    fault::f32s("add", isa.name(), out);
}

/// `out = a * b`
///
/// # Panics
/// If the lengths differ or are no multiple of 16.
pub fn multiply(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    isa.dispatch(Pairs::<true> { a, b, out: &mut *out });
    fault::f32s("multiply", isa.name(), out);
}

struct Pairs<'a, const PRODUCT: bool> {
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl<const PRODUCT: bool> SimdOp for Pairs<'_, PRODUCT> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let ((a, rest), (b, _)) = (self.a.as_chunks::<LANES>(), self.b.as_chunks::<LANES>());
        assert!(self.a.len() == self.b.len() && self.a.len() == self.out.len() && rest.is_empty(), "operands differ in length");
        let (out, _) = self.out.as_chunks_mut::<LANES>();
        for ((a, b), out) in a.iter().zip(b).zip(out) {
            let (a, b) = (s.load(a), s.load(b));
            s.store(if PRODUCT { s.mul(a, b) } else { s.add(a, b) }, out);
        }
    }
}

/// Each channel of `map` by a scale of its own: `out = x * scales[c]`, as squeeze-and-excitation does (Hu et al. 2018).
///
/// # Panics
/// If `map` and `out` differ in length, or are not whole positions of `scales.len()` channels, a multiple of 16.
pub fn scale_channels(isa: Isa, map: &[f32], scales: &[f32], out: &mut [f32]) {
    isa.dispatch(Channels::<false> { map, scales, shifts: scales, out: &mut *out });
    fault::f32s("scale_channels", isa.name(), out);
}

/// Each channel of `map` by a scale and a shift of its own: `out = fma(x, scales[c], shifts[c])`, as batch normalisation does.
///
/// # Panics
/// As [`scale_channels`], or if there are not as many shifts as scales.
pub fn affine_channels(isa: Isa, map: &[f32], scales: &[f32], shifts: &[f32], out: &mut [f32]) {
    isa.dispatch(Channels::<true> { map, scales, shifts, out: &mut *out });
    fault::f32s("affine_channels", isa.name(), out);
}

struct Channels<'a, const SHIFT: bool> {
    map: &'a [f32],
    scales: &'a [f32],
    shifts: &'a [f32],
    out: &'a mut [f32],
}

impl<const SHIFT: bool> SimdOp for Channels<'_, SHIFT> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let channels = self.scales.len();
        let ((scales, rest), (shifts, _)) = (self.scales.as_chunks::<LANES>(), self.shifts.as_chunks::<LANES>());
        assert!(channels > 0 && rest.is_empty() && self.shifts.len() == channels, "{channels} channels");
        assert!(self.map.len() == self.out.len() && self.map.len().is_multiple_of(channels), "{} values", self.map.len());
        for (x, out) in self.map.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels)) {
            let (x, out) = (x.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
            for (((x, out), scale), shift) in x.iter().zip(out).zip(scales).zip(shifts) {
                let (x, scale) = (s.load(x), s.load(scale));
                s.store(if SHIFT { s.fma(x, scale, s.load(shift)) } else { s.mul(x, scale) }, out);
            }
        }
    }
}
