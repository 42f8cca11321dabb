//! Convolutions of 3 x 3 over maps `[height][width][channels]`, and the mean over a map: what MobileNet-like networks have beside matrix
//! products (Howard et al. 2017, "MobileNets").
//!
//! With stride 1 a map is padded by one position of zeros on each side, with stride 2 by one behind its end only, as TensorFlow pads even
//! sizes. Sums are f32 and start from the bias: `acc = fma(x, w, acc)` over the taps inside the map, row by row. A 1 x 1 convolution is a
//! linear layer on positions: [`linear_u8`](crate::linear::linear_u8).

use core::ops::Range;

use crate::fault;
use crate::rows::{UnsignedRows, quantize_unsigned_row};
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Taps of a filter.
pub const TAPS: usize = 9;

/// Side of a filter.
const SIDE: usize = 3;

/// Filters, one for each output channel, and the step from one output to the next.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// `[9][channels]`
    pub weights: &'a [f32],
    /// `[channels]`
    pub bias: &'a [f32],
    /// 1 or 2, in both directions.
    pub stride: usize,
}

/// Height and width of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Positions in a row.
    pub width: usize,
}

impl Size {
    /// Positions; where they are more than can be counted, the most that can be, which no map has.
    pub fn positions(self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// The size after a convolution.
    pub fn strided(self, stride: usize) -> Self {
        Self { height: self.height.div_ceil(stride), width: self.width.div_ceil(stride) }
    }

    /// First position under the filter of output `position`, which may lie one before the map, and the filter rows and columns inside it.
    #[inline(always)]
    fn window(self, stride: usize, position: usize) -> (isize, Range<usize>, Range<usize>) {
        let width = self.strided(stride).width;
        let lead = 2 - stride;
        let inside = |at: usize, size: usize| {
            let first = at * stride;
            lead.saturating_sub(first)..SIDE.min(size + lead - first)
        };
        let (row, column) = (position / width, position % width);
        let first = (row * stride * self.width + column * stride) as isize - (lead * self.width + lead) as isize;
        (first, inside(row, self.height), inside(column, self.width))
    }
}

/// Convolves a map of one channel, adds the bias, applies ReLU: outputs `first ..` of the result, `[positions][channels]` as far as `out`
/// reaches.
///
/// # Panics
/// If the stride is neither 1 nor 2, the channels are no multiple of 16, or a slice does not fit.
pub fn convolve_plane(isa: Isa, plane: &[f32], size: Size, filters: &Filters<'_>, first: usize, out: &mut [f32]) {
    isa.dispatch(ConvolvePlane { plane, size, filters, first, out: &mut *out });
    fault::f32s("convolve_plane", isa.name(), out);
}

struct ConvolvePlane<'a> {
    plane: &'a [f32],
    size: Size,
    filters: &'a Filters<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl SimdOp for ConvolvePlane<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { plane, size, filters, first, out } = self;
        let (weights, bias) = filters.check(size, out.len().div_ceil(filters.bias.len()), first);
        assert!(plane.len() == size.positions() && out.len().is_multiple_of(filters.bias.len()), "a plane of {size:?}");
        let zero = s.splat(0.0);
        for (i, out) in out.as_chunks_mut().0.chunks_exact_mut(bias.len()).enumerate() {
            let (origin, rows, columns) = size.window(filters.stride, first + i);
            for (c, out) in out.iter_mut().enumerate() {
                let mut acc = s.load(&bias[c]);
                for row in rows.clone() {
                    for column in columns.clone() {
                        let x = plane[(origin + (row * size.width + column) as isize) as usize];
                        acc = s.fma(s.splat(x), s.load(&weights[(row * SIDE + column) * bias.len() + c]), acc);
                    }
                }
                s.store(s.max(acc, zero), out);
            }
        }
    }
}

/// Convolves each channel of `map` with its own filter, adds the bias, applies ReLU and quantises each position as a row: outputs `first ..`
/// of the result, as many as `out` has rows. `row` holds one position in between.
///
/// # Panics
/// If the stride is neither 1 nor 2, or a slice does not fit.
pub fn depthwise(isa: Isa, map: &[f32], size: Size, filters: &Filters<'_>, first: usize, row: &mut [f32], out: &mut UnsignedRows<'_>) {
    isa.dispatch(DepthwiseRows { map, size, filters, first, row, out: &mut *out });
    fault::u8s("depthwise", isa.name(), out.values);
}

struct DepthwiseRows<'a, 'b> {
    map: &'a [f32],
    size: Size,
    filters: &'a Filters<'a>,
    first: usize,
    row: &'a mut [f32],
    out: &'a mut UnsignedRows<'b>,
}

impl SimdOp for DepthwiseRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { map, size, filters, first, row, out } = self;
        let (weights, bias) = filters.check(size, out.scales.len(), first);
        let (map, _) = map.as_chunks::<LANES>();
        let (row, _) = row.as_chunks_mut::<LANES>();
        let row = &mut row[..bias.len()];
        assert!(map.len() == size.positions().saturating_mul(bias.len()) && out.depth() == bias.len() * LANES, "a map of {size:?}");
        let depth = out.depth();
        for (i, values) in out.values.chunks_exact_mut(depth).enumerate() {
            let taps = Taps::new(map, weights, size, filters.stride, first + i, bias.len());
            // Filters whose taps are all inside, or lack a row, a column or both: everything but maps narrower than two.
            let largest = match taps.count {
                9 => taps.convolve::<S, 9>(s, bias, row),
                6 => taps.convolve::<S, 6>(s, bias, row),
                4 => taps.convolve::<S, 4>(s, bias, row),
                _ => taps.convolve_any(s, bias, row),
            };
            out.scales[i] = quantize_unsigned_row(s, row, largest, values);
        }
    }
}

impl Filters<'_> {
    /// Weights and bias by vectors, once everything fits.
    #[inline(always)]
    fn check(&self, size: Size, outputs: usize, first: usize) -> (&[[f32; LANES]], &[[f32; LANES]]) {
        let ((weights, rest), (bias, _)) = (self.weights.as_chunks::<LANES>(), self.bias.as_chunks::<LANES>());
        assert!(matches!(self.stride, 1 | 2), "stride {}", self.stride);
        assert!(rest.is_empty() && weights.len() == TAPS * bias.len() && !bias.is_empty(), "filters of {} channels", self.bias.len());
        let end = first.saturating_add(outputs);
        assert!(end <= size.strided(self.stride).positions(), "outputs {first} to {end} of {size:?}");
        (weights, bias)
    }
}

/// What lies under the filter at one position, and the filter's weights there.
struct Taps<'a> {
    x: [&'a [[f32; LANES]]; TAPS],
    w: [&'a [[f32; LANES]]; TAPS],
    count: usize,
}

impl<'a> Taps<'a> {
    #[inline(always)]
    fn new(map: &'a [[f32; LANES]], weights: &'a [[f32; LANES]], size: Size, stride: usize, position: usize, vectors: usize) -> Self {
        let (origin, rows, columns) = size.window(stride, position);
        let mut taps = Self { x: [&[]; TAPS], w: [&[]; TAPS], count: 0 };
        for row in rows {
            for column in columns.clone() {
                let at = (origin + (row * size.width + column) as isize) as usize;
                taps.x[taps.count] = &map[at * vectors..][..vectors];
                taps.w[taps.count] = &weights[(row * SIDE + column) * vectors..][..vectors];
                taps.count += 1;
            }
        }
        taps
    }

    /// One position's outputs, from exactly `COUNT` taps; returns the largest.
    #[inline(always)]
    fn convolve<S: Simd, const COUNT: usize>(&self, s: S, bias: &[[f32; LANES]], out: &mut [[f32; LANES]]) -> f32 {
        let n = out.len();
        let (mut x, mut w) = ([&self.x[0][..n]; COUNT], [&self.w[0][..n]; COUNT]);
        for tap in 1..COUNT {
            x[tap] = &self.x[tap][..n];
            w[tap] = &self.w[tap][..n];
        }
        let zero = s.splat(0.0);
        let mut largest = zero;
        for (c, (out, bias)) in out.iter_mut().zip(bias).enumerate() {
            let mut acc = s.load(bias);
            for tap in 0..COUNT {
                acc = s.fma(s.load(&x[tap][c]), s.load(&w[tap][c]), acc);
            }
            let y = s.max(acc, zero);
            largest = s.max(largest, y);
            s.store(y, out);
        }
        s.reduce_max(largest)
    }

    /// As [`convolve`](Taps::convolve), from any number of taps.
    #[inline(always)]
    fn convolve_any<S: Simd>(&self, s: S, bias: &[[f32; LANES]], out: &mut [[f32; LANES]]) -> f32 {
        let zero = s.splat(0.0);
        let mut largest = zero;
        for (c, (out, bias)) in out.iter_mut().zip(bias).enumerate() {
            let mut acc = s.load(bias);
            for (x, w) in self.x.iter().zip(&self.w).take(self.count) {
                acc = s.fma(s.load(&x[c]), s.load(&w[c]), acc);
            }
            let y = s.max(acc, zero);
            largest = s.max(largest, y);
            s.store(y, out);
        }
        s.reduce_max(largest)
    }
}

/// The mean of all positions, channel by channel: their sum in order, divided by their number.
///
/// # Panics
/// If `out` is not a multiple of 16 channels above zero, or `map` not whole positions of that many, at least one.
pub fn mean_rows(isa: Isa, map: &[f32], out: &mut [f32]) {
    isa.dispatch(MeanRows { map, out: &mut *out });
    fault::f32s("mean_rows", isa.name(), out);
}

struct MeanRows<'a> {
    map: &'a [f32],
    out: &'a mut [f32],
}

impl SimdOp for MeanRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (channels, len) = (self.out.len(), self.map.len());
        assert!(
            channels > 0 && channels.is_multiple_of(LANES) && len > 0 && len.is_multiple_of(channels),
            "{len} values, {channels} channels"
        );
        let (map, _) = self.map.as_chunks::<LANES>();
        let (out, _) = self.out.as_chunks_mut::<LANES>();
        let count = s.splat((len / channels) as f32);
        let vectors = out.len();
        for (c, out) in out.iter_mut().enumerate() {
            let mut sum = s.splat(0.0);
            for x in map[c..].iter().step_by(vectors) {
                sum = s.add(sum, s.load(x));
            }
            s.store(s.div(sum, count), out);
        }
    }
}
