//! Convolutions of each channel by itself, over maps of bytes.
//!
//! Of sixteen channels, the taps of a column are brought together by fours, so that one instruction multiplies four of a channel; columns are
//! shared by the outputs of a row.

use super::{ByteMap, Bytes, Curve, HARD_SWISH, LINE, SILU, ToBytes, vectors};
use crate::conv::Size;
use crate::dot::{BLOCK_BYTES, Blocks};
use crate::fault;
use crate::linear::Linear;
use crate::simd::{Isa, LANES, Simd, SimdOp};
use crate::window::Window;

/// A filter for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// Packed weights, scales and biases. The inputs of an output are its window's taps, column after column, each with zeros up to a multiple of
    /// four rows.
    pub layer: Linear<'a>,
    /// The sums of the weights, one for each channel.
    pub sums: &'a [i32],
    /// What slides over the map.
    pub window: &'a Window,
}

/// Bytes of `columns` that [`depthwise_bytes`] needs over a map of this size.
pub fn columns_bytes(window: &Window, size: Size) -> usize {
    let columns = size.width.saturating_add(window.before[1]).saturating_add(window.after[1]);
    columns.saturating_mul(window.kernel[0].div_ceil(4)).saturating_mul(BLOCK_BYTES)
}

/// Convolves each channel of a map of bytes: rows `first ..` of the output, as far as `out` reaches. `y = fma(sum, scale, bias)`, rounded as `to`
/// says; taps outside of the map are `zero`.
///
/// # Panics
/// If the channels are not a multiple of 16, the window does not fit, or a slice does not.
#[expect(clippy::too_many_arguments, reason = "one kernel")]
pub fn depthwise_bytes(
    isa: Isa,
    map: ByteMap<'_>,
    zero: u8,
    filters: &Filters<'_>,
    to: &ToBytes,
    first: usize,
    columns: &mut [u8],
    out: &mut [u8],
) {
    isa.dispatch(Depthwise { map, zero, filters, to, first, columns, out: &mut *out });
    fault::u8s("depthwise_bytes", isa.name(), out);
}

struct Depthwise<'a> {
    map: ByteMap<'a>,
    zero: u8,
    filters: &'a Filters<'a>,
    to: &'a ToBytes,
    first: usize,
    columns: &'a mut [u8],
    out: &'a mut [u8],
}

impl SimdOp for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.to.curve {
            Curve::Line => self.with::<S, LINE>(s),
            Curve::HardSwish => self.with::<S, HARD_SWISH>(s),
            Curve::Silu => self.with::<S, SILU>(s),
        }
    }
}

/// What is the same for all outputs.
struct Plan<'a> {
    map: &'a [[u8; LANES]],
    size: Size,
    vectors: usize,
    zero: [u8; LANES],
    window: &'a Window,
    /// Groups of four taps in a column.
    groups: usize,
    outputs: usize,
}

impl Depthwise<'_> {
    #[inline(always)]
    fn with<S: Simd, const CURVE: u8>(self, s: S) {
        let Self { map: ByteMap { values, size, channels }, zero, filters, to, first, columns, out } = self;
        let Filters { layer, sums, window } = *filters;
        let map = vectors(values, channels);
        let output = window.output(size).unwrap_or_else(|| panic!("{window:?} over {size:?}"));
        let (vectors, groups) = (channels / LANES, window.kernel[0].div_ceil(4));
        assert!(map.len() == size.positions().saturating_mul(vectors), "a map of {size:?}, {channels} channels");
        assert!(layer.weights.count() == vectors && layer.weights.depth() == 4 * groups * window.kernel[1], "filters for {window:?}");
        let ((factors, _), (bias, _), (sums, _)) = (layer.scales.as_chunks(), layer.bias.as_chunks(), sums.as_chunks());
        assert!(factors.len() == vectors && bias.len() == vectors && sums.len() == vectors, "a scale, a bias and a sum for each channel");
        let out = out.as_chunks_mut::<LANES>().0;
        let row = output.width * vectors;
        let rows = out.len() / row;
        assert!(out.len() == rows * row && first.saturating_add(rows) <= output.height, "rows {first} on of {output:?}");
        let columns = &mut columns.as_chunks_mut::<BLOCK_BYTES>().0[..columns_bytes(window, size) / BLOCK_BYTES];
        let plan = Plan { map, size, vectors, zero: [zero; LANES], window, groups, outputs: output.width };
        let bytes = Bytes::new(s, to);
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            for c in 0..vectors {
                plan.gather(s, first + y, c, columns);
                let channel = Channel {
                    weights: layer.weights.slice(c..c + 1),
                    start: s.mul_i32(s.splat_i32(S::PROB_OFFSET), s.load_i32(&sums[c])),
                    factor: s.load(&factors[c]),
                    bias: s.load(&bias[c]),
                    bytes,
                };
                match (groups, window.kernel[1]) {
                    (1, 3) => plan.row::<S, CURVE, 3>(s, &channel, columns, &mut out[c..]),
                    (2, 5) => plan.row::<S, CURVE, 10>(s, &channel, columns, &mut out[c..]),
                    _ => plan.any_row::<S, CURVE>(s, &channel, columns, &mut out[c..]),
                }
            }
        }
    }
}

/// What sixteen channels are multiplied with, and what becomes of their sums.
struct Channel<'a, S: Simd> {
    weights: Blocks<'a>,
    start: S::I32,
    factor: S::F32,
    bias: S::F32,
    bytes: Bytes<S>,
}

impl Plan<'_> {
    /// Brings together what lies under the windows of one row of outputs, for one vector of channels: `[column][group]`.
    #[inline(always)]
    fn gather<S: Simd>(&self, s: S, row: usize, c: usize, columns: &mut [[u8; BLOCK_BYTES]]) {
        let Window { stride, dilation, before, kernel, .. } = *self.window;
        let top = (row * stride[0]) as isize - before[0] as isize;
        for group in 0..self.groups {
            // Where each of four rows starts in the map; none of those outside.
            let mut starts = [None; 4];
            for (i, start) in starts.iter_mut().enumerate().take(kernel[0] - 4 * group) {
                let y = top + ((4 * group + i) * dilation[0]) as isize;
                *start = usize::try_from(y).ok().filter(|&y| y < self.size.height).map(|y| y * self.size.width * self.vectors + c);
            }
            let mut at = 0;
            for (column, out) in columns.chunks_exact_mut(self.groups).enumerate() {
                let inside = column >= before[1] && column - before[1] < self.size.width;
                let mut taps = [&self.zero; 4];
                if inside {
                    for (tap, start) in taps.iter_mut().zip(&starts) {
                        if let Some(start) = start {
                            *tap = &self.map[start + at];
                        }
                    }
                    at += self.vectors;
                }
                s.interleave(taps, &mut out[group]);
            }
        }
    }

    /// One row of outputs, `N` groups of taps under each, of columns that are neighbours.
    #[inline(always)]
    fn row<S: Simd, const CURVE: u8, const N: usize>(
        &self,
        s: S,
        channel: &Channel<'_, S>,
        columns: &[[u8; BLOCK_BYTES]],
        out: &mut [[u8; LANES]],
    ) {
        if self.window.dilation[1] != 1 {
            return self.any_row::<S, CURVE>(s, channel, columns, out);
        }
        let mut weights = [s.weights_for_u8(&[0; BLOCK_BYTES]); N];
        for (group, weights) in weights.iter_mut().enumerate() {
            *weights = s.weights_for_u8(&channel.weights.bytes(0, group));
        }
        let step = self.window.stride[1] * self.groups;
        for (x, out) in out.iter_mut().step_by(self.vectors).take(self.outputs).enumerate() {
            let columns = &columns[x * step..][..N];
            let mut acc = channel.start;
            for n in 0..N {
                acc = s.filter_u8(acc, weights[n], &columns[n]);
            }
            let y = s.fma(s.from_i32(acc), channel.factor, channel.bias);
            s.store_u8(channel.bytes.of::<CURVE>(s, y), out);
        }
    }

    /// As [`row`](Self::row), of any window.
    #[inline(always)]
    fn any_row<S: Simd, const CURVE: u8>(&self, s: S, channel: &Channel<'_, S>, columns: &[[u8; BLOCK_BYTES]], out: &mut [[u8; LANES]]) {
        let Window { stride, dilation, kernel, .. } = *self.window;
        for (x, out) in out.iter_mut().step_by(self.vectors).take(self.outputs).enumerate() {
            let mut acc = channel.start;
            for column in 0..kernel[1] {
                for group in 0..self.groups {
                    let weights = s.weights_for_u8(&channel.weights.bytes(0, column * self.groups + group));
                    acc = s.filter_u8(acc, weights, &columns[(x * stride[1] + column * dilation[1]) * self.groups + group]);
                }
            }
            let y = s.fma(s.from_i32(acc), channel.factor, channel.bias);
            s.store_u8(channel.bytes.of::<CURVE>(s, y), out);
        }
    }
}
