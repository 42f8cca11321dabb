//! What is done to maps of bytes besides products.

use core::ops::Range;

use super::{Bytes, Curve, LINE, ToBytes, vectors};
use crate::conv::Size;
use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};
use crate::window::Window;

/// A map of bytes, `[height][width][channels]`.
#[derive(Clone, Copy, Debug)]
pub struct ByteMap<'a> {
    /// Its bytes.
    pub values: &'a [u8],
    /// Its positions.
    pub size: Size,
    /// Bytes of each position.
    pub channels: usize,
}

/// Writes what lies under the window as rows: outputs `first ..`, each `[taps][width]`, of which `channels` are taken and the rest is zero, and
/// zeros up to `depth`, as far as `out` reaches. Taps outside of the map are `outside`: one byte, or one for each channel taken.
///
/// # Panics
/// If the window does not fit, `depth` does not hold a row, or a slice does not fit.
#[expect(clippy::too_many_arguments, reason = "a window, a map and a place")]
pub fn gather_bytes(
    map: ByteMap<'_>,
    channels: Range<usize>,
    width: usize,
    window: &Window,
    first: usize,
    depth: usize,
    outside: &[u8],
    out: &mut [u8],
) {
    let ByteMap { values, size, channels: stride } = map;
    let output = window.output(size).unwrap_or_else(|| panic!("{window:?} over {size:?}"));
    let count = channels.len();
    assert!(values.len() == size.positions().saturating_mul(stride) && channels.end <= stride, "a map of {size:?}");
    assert!(
        count > 0 && count <= width && (outside.len() == count || outside.len() == 1) && out.len().is_multiple_of(depth),
        "{count} channels"
    );
    assert!(window.taps().saturating_mul(width) <= depth, "rows of {depth}");
    assert!(first.saturating_add(out.len() / depth) <= output.positions(), "outputs {first} on of {output:?}");
    let dense = count == stride && width == stride && window.dilation[1] == 1;
    for (i, out) in out.chunks_exact_mut(depth).enumerate() {
        let taps = window.taps_at(size, first + i, output.width);
        if taps.count() < window.taps() {
            for tap in out.chunks_exact_mut(width) {
                tap.fill(0);
                match outside {
                    [all] => tap[..count].fill(*all),
                    each => tap[..count].copy_from_slice(each),
                }
            }
        } else if count < width {
            out.fill(0);
        }
        out[window.taps() * width..].fill(0);
        for row in taps.rows.clone() {
            let out = &mut out[row * taps.kernel_width * width..][..taps.kernel_width * width];
            if dense && !taps.columns.is_empty() {
                // Neighbours in the map are neighbours in the row.
                let run = taps.columns.len() * count;
                let from = taps.at(row, taps.columns.start) * stride;
                out[taps.columns.start * count..][..run].copy_from_slice(&values[from..][..run]);
                continue;
            }
            for column in taps.columns.clone() {
                let from = &values[taps.at(row, column) * stride + channels.start..][..count];
                out[column * width..][..count].copy_from_slice(from);
            }
        }
    }
}

/// Adds two maps: `fma(a, scales[0], fma(b, scales[1], plus))`, rounded as `to` says.
///
/// # Panics
/// If the maps differ in length, or are not whole numbers of vectors.
pub fn add_bytes(isa: Isa, a: &[u8], b: &[u8], scales: [f32; 2], plus: f32, to: &ToBytes, out: &mut [u8]) {
    isa.dispatch(Add { a, b, scales, plus, to, out: &mut *out });
    fault::u8s("add_bytes", isa.name(), out);
}

struct Add<'a> {
    a: &'a [u8],
    b: &'a [u8],
    scales: [f32; 2],
    plus: f32,
    to: &'a ToBytes,
    out: &'a mut [u8],
}

impl SimdOp for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { a, b, scales, plus, to, out } = self;
        assert!(a.len() == out.len() && b.len() == out.len(), "maps differ");
        let (a, b) = (vectors(a, LANES), vectors(b, LANES));
        let bytes = Bytes::new(s, to);
        let (first, second, plus) = (s.splat(scales[0]), s.splat(scales[1]), s.splat(plus));
        let sum = |a: &[u8; LANES], b: &[u8; LANES]| {
            let y = s.fma(s.from_i32(s.load_u8(b)), second, plus);
            bytes.of::<LINE>(s, s.fma(s.from_i32(s.load_u8(a)), first, y))
        };
        let (fours, rest) = out.as_chunks_mut::<{ 4 * LANES }>();
        let whole = 4 * fours.len();
        for ((out, a), b) in fours.iter_mut().zip(a.chunks_exact(4)).zip(b.chunks_exact(4)) {
            s.store_u8x4([sum(&a[0], &b[0]), sum(&a[1], &b[1]), sum(&a[2], &b[2]), sum(&a[3], &b[3])], out);
        }
        for ((out, a), b) in rest.as_chunks_mut().0.iter_mut().zip(&a[whole..]).zip(&b[whole..]) {
            s.store_u8(sum(a, b), out);
        }
    }
}

/// The mean of all positions, channel by channel, as f32: `fma(sum, scale, plus)` of the exact sum.
///
/// # Panics
/// If `out` is not a multiple of 16 channels above zero, or `map` not whole positions of that many, at least one and at most 2^23.
pub fn mean_bytes(isa: Isa, map: &[u8], scale: f32, plus: f32, out: &mut [f32]) {
    isa.dispatch(Mean { map, scale, plus, out: &mut *out });
    fault::f32s("mean_bytes", isa.name(), out);
}

struct Mean<'a> {
    map: &'a [u8],
    scale: f32,
    plus: f32,
    out: &'a mut [f32],
}

impl SimdOp for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { map, scale, plus, out } = self;
        let channels = out.len();
        let map = vectors(map, channels);
        let count = map.len() / (channels / LANES);
        assert!(count > 0 && count <= 1 << 23 && map.len() == count * channels / LANES, "{count} positions of {channels} channels");
        let (scale, plus) = (s.splat(scale), s.splat(plus));
        for (c, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let mut sum = s.splat_i32(0);
            for x in map[c..].iter().step_by(channels / LANES) {
                sum = s.add_i32(sum, s.load_u8(x));
            }
            s.store(s.fma(s.from_i32(sum), scale, plus), out);
        }
    }
}

/// The largest byte of each window: outputs `first ..`, as far as `out` reaches.
///
/// # Panics
/// If the channels are not a multiple of 16, the window does not fit or is somewhere entirely outside, or a slice does not fit.
pub fn max_pool_bytes(isa: Isa, map: ByteMap<'_>, window: &Window, first: usize, out: &mut [u8]) {
    let ByteMap { values, size, channels } = map;
    let output = window.output(size).unwrap_or_else(|| panic!("{window:?} over {size:?}"));
    vectors(values, channels);
    assert!(values.len() == size.positions().saturating_mul(channels) && out.len().is_multiple_of(channels), "a map of {size:?}");
    assert!(first.saturating_add(out.len() / channels) <= output.positions(), "outputs {first} on of {output:?}");
    for (i, out) in out.chunks_exact_mut(channels).enumerate() {
        let taps = window.taps_at(size, first + i, output.width);
        assert!(taps.count() > 0, "{window:?} lies outside of {size:?}");
        out.fill(0);
        for row in taps.rows.clone() {
            for column in taps.columns.clone() {
                let x = &values[taps.at(row, column) * channels..][..channels];
                // Plain bytes: every compiler has an instruction for it.
                out.iter_mut().zip(x).for_each(|(most, x)| *most = (*most).max(*x));
            }
        }
    }
    fault::u8s("max_pool_bytes", isa.name(), out);
}

/// Each value to a byte: `fma(x, steps, zero)`, rounded, within 0 to 255. `steps` and `zeros` begin anew where they end.
///
/// # Panics
/// If `x` and `out`, or `steps` and `zeros`, differ in length, or the latter are not whole numbers of vectors.
pub fn quantize_channels(isa: Isa, x: &[f32], steps: &[f32], zeros: &[f32], out: &mut [u8]) {
    isa.dispatch(QuantizeChannels { x, steps, zeros, out: &mut *out });
    fault::u8s("quantize_channels", isa.name(), out);
}

struct QuantizeChannels<'a> {
    x: &'a [f32],
    steps: &'a [f32],
    zeros: &'a [f32],
    out: &'a mut [u8],
}

impl SimdOp for QuantizeChannels<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { x, steps, zeros, out } = self;
        let ((steps, rest), (zeros, _)) = (steps.as_chunks::<LANES>(), zeros.as_chunks::<LANES>());
        assert!(x.len() == out.len() && !steps.is_empty() && rest.is_empty() && zeros.len() == steps.len(), "steps and zeros");
        let to = ToBytes { curve: Curve::Line, steps: 1.0, zero: 0.0, low: 0.0, high: 255.0 };
        let bytes = Bytes::new(s, &to);
        for (x, out) in x.chunks(steps.len() * LANES).zip(out.chunks_mut(steps.len() * LANES)) {
            for (i, (x, out)) in x.chunks(LANES).zip(out.chunks_mut(LANES)).enumerate() {
                let y = s.fma(s.load_partial(x, 0.0), s.load(&steps[i]), s.load(&zeros[i]));
                match out.first_chunk_mut() {
                    Some(out) => s.store_u8(bytes.of::<LINE>(s, y), out),
                    None => {
                        let mut lanes = [0; LANES];
                        s.store_u8(bytes.of::<LINE>(s, y), &mut lanes);
                        out.copy_from_slice(&lanes[..x.len()]);
                    }
                }
            }
        }
    }
}

/// What bytes stand for: `(byte - zero) * scale`.
///
/// # Panics
/// If the lengths differ, or are not whole numbers of vectors.
pub fn floats_of_bytes(isa: Isa, map: &[u8], zero: u8, scale: f32, out: &mut [f32]) {
    isa.dispatch(Floats { map, zero, scale, out: &mut *out });
    fault::f32s("floats_of_bytes", isa.name(), out);
}

struct Floats<'a> {
    map: &'a [u8],
    zero: u8,
    scale: f32,
    out: &'a mut [f32],
}

impl SimdOp for Floats<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { map, zero, scale, out } = self;
        assert!(map.len() == out.len(), "maps differ");
        let (zero, scale) = (s.splat_i32(zero.into()), s.splat(scale));
        for (x, out) in vectors(map, LANES).iter().zip(out.as_chunks_mut().0) {
            s.store(s.mul(s.from_i32(s.sub_i32(s.load_u8(x), zero)), scale), out);
        }
    }
}
