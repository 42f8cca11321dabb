//! Windows of any size that slide over maps `[height][width][channels]`: depthwise convolutions, pooling, and the rows that a convolution
//! over all channels multiplies.
//!
//! What [`conv`](crate::conv) does for YAMNet's 3 x 3 filters in one pass is here in parts and for any geometry. Taps are taken row by row;
//! those outside the map are left out.

use core::ops::Range;

use crate::conv::Size;
use crate::fault;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Geometry of a sliding window; pairs are vertical, then horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// From one output to the next.
    pub stride: [usize; 2],
    /// From one tap to the next; 1 is dense.
    pub dilation: [usize; 2],
    /// Positions added in front of the map: rows above, columns to the left.
    pub before: [usize; 2],
    /// Positions added behind it: rows below, columns to the right.
    pub after: [usize; 2],
}

impl Window {
    /// Taps in all.
    pub fn taps(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// Outputs over a map of this size; none if the window does not fit, or a figure is zero or overflows.
    pub fn output(&self, size: Size) -> Option<Size> {
        let along = |axis: usize, size: usize| {
            let padded = size.checked_add(self.before[axis])?.checked_add(self.after[axis])?;
            // Positions outside of the map are negative ones.
            isize::try_from(padded).ok()?;
            let reach = self.kernel[axis].checked_sub(1)?.checked_mul(self.dilation[axis])?;
            let last = padded.checked_sub(1)?.checked_sub(reach)?;
            (self.dilation[axis] > 0 && size > 0).then_some(last.checked_div(self.stride[axis])? + 1)
        };
        Some(Size { height: along(0, size.height)?, width: along(1, size.width)? })
    }

    /// Taps of output `at` along one axis that lie inside, and where the first of all taps lies.
    #[inline(always)]
    fn inside(&self, axis: usize, at: usize, size: usize) -> (isize, Range<usize>) {
        let first = (at * self.stride[axis]) as isize - self.before[axis] as isize;
        let dilation = self.dilation[axis];
        let from = (-first).max(0).cast_unsigned().div_ceil(dilation);
        let to = (size as isize - first).max(0).cast_unsigned().div_ceil(dilation);
        (first, from.min(self.kernel[axis])..to.min(self.kernel[axis]))
    }

    /// The taps of an output that lie inside.
    #[inline(always)]
    pub(crate) fn taps_at(&self, size: Size, position: usize, output_width: usize) -> Taps {
        let (top, rows) = self.inside(0, position / output_width, size.height);
        let (left, columns) = self.inside(1, position % output_width, size.width);
        Taps { top, left, rows, columns, dilation: self.dilation, width: size.width, kernel_width: self.kernel[1] }
    }
}

/// A map, `[height][width][channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    /// Its values.
    pub values: &'a [f32],
    /// Its positions.
    pub size: Size,
    /// Values of each position.
    pub channels: usize,
}

/// What lies under the window at one output.
#[derive(Clone)]
pub(crate) struct Taps {
    top: isize,
    left: isize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    dilation: [usize; 2],
    width: usize,
    pub(crate) kernel_width: usize,
}

impl Taps {
    /// The map's position under a tap inside.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, column: usize) -> usize {
        let (y, x) = (self.top + (row * self.dilation[0]) as isize, self.left + (column * self.dilation[1]) as isize);
        y.cast_unsigned() * self.width + x.cast_unsigned()
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// Outputs `first ..` as far as `count` reaches exist, and the map has the size; returns the width of the output map.
pub(crate) fn check(window: &Window, map: &Map<'_>, first: usize, count: usize) -> usize {
    let (size, len) = (map.size, map.values.len());
    assert!(
        map.channels > 0 && len == size.positions().saturating_mul(map.channels),
        "{len} values of {size:?}, {} channels",
        map.channels
    );
    let output = window.output(size).unwrap_or_else(|| panic!("{window:?} over {size:?}"));
    let end = first.saturating_add(count);
    assert!(end <= output.positions(), "outputs {first} to {end} of {output:?}");
    output.width
}

/// Writes what lies under the window as rows: outputs `first ..`, each `[taps][channels]` and zeros up to `depth`, as far as `out` reaches.
/// The first `channels` of each position are taken.
///
/// # Panics
/// If the window does not fit, `depth` does not hold a row, or a slice does not fit.
pub fn gather(map: Map<'_>, channels: usize, window: &Window, first: usize, depth: usize, out: &mut [f32]) {
    let width = check(window, &map, first, out.len() / depth);
    let stride = map.channels;
    assert!(channels <= stride && window.taps().saturating_mul(channels) <= depth && out.len().is_multiple_of(depth), "rows of {depth}");
    for (i, out) in out.chunks_exact_mut(depth).enumerate() {
        let taps = window.taps_at(map.size, first + i, width);
        if taps.count() < window.taps() {
            out.fill(0.0);
        } else {
            out[window.taps() * channels..].fill(0.0);
        }
        for row in taps.rows.clone() {
            let out = &mut out[row * taps.kernel_width * channels..][..taps.kernel_width * channels];
            if channels == stride && taps.dilation[1] == 1 && !taps.columns.is_empty() {
                // Neighbours in the map are neighbours in the row.
                let run = taps.columns.len() * channels;
                let from = taps.at(row, taps.columns.start) * stride;
                out[taps.columns.start * channels..][..run].copy_from_slice(&map.values[from..][..run]);
                continue;
            }
            for column in taps.columns.clone() {
                let from = &map.values[taps.at(row, column) * stride..][..channels];
                out[column * channels..][..channels].copy_from_slice(from);
            }
        }
    }
}

/// Convolves each channel of a map with its own filter: outputs `first ..`, `[positions][channels]`, as far as `out` reaches.
/// `acc = fma(x, w, acc)` from the bias over the taps inside, row by row.
///
/// `weights` is `[taps][channels]`, `bias` `[channels]`.
///
/// # Panics
/// If the channels are not a multiple of 16, the window does not fit, or a slice does not.
pub fn depthwise_map(isa: Isa, map: Map<'_>, window: &Window, weights: &[f32], bias: &[f32], first: usize, out: &mut [f32]) {
    isa.dispatch(DepthwiseMap { map, window, weights, bias, first, out: &mut *out });
    fault::f32s("depthwise_map", isa.name(), out);
}

struct DepthwiseMap<'a> {
    map: Map<'a>,
    window: &'a Window,
    weights: &'a [f32],
    bias: &'a [f32],
    first: usize,
    out: &'a mut [f32],
}

impl SimdOp for DepthwiseMap<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { map: Map { values: map, size, channels }, window, weights, bias, first, out } = self;
        let width = check(window, &self.map, first, out.len() / channels);
        let ((map, rest), (weights, _)) = (map.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
        let (bias, out) = (bias.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
        let vectors = bias.len();
        let whole = rest.is_empty() && vectors * LANES == channels;
        assert!(
            whole && weights.len() == window.taps().saturating_mul(vectors) && out.len().is_multiple_of(vectors),
            "filters of {channels} channels"
        );
        let mut i = 0;
        let count = out.len() / vectors;
        while i + RUN <= count {
            let (taps, last) = (window.taps_at(size, first + i, width), window.taps_at(size, first + i + RUN - 1, width));
            // Neighbours whose taps are all inside share what they fetch of the weights.
            let run = taps.count() == window.taps() && last.count() == window.taps() && (first + i) % width + RUN <= width;
            if !run {
                one_output(s, &taps, map, weights, bias, &mut out[i * vectors..][..vectors]);
                i += 1;
                continue;
            }
            let step = window.stride[1];
            let mut c = 0;
            while c + 2 <= vectors {
                accumulate_run::<S, 2>(s, &taps, step, map, weights, bias, c, &mut out[i * vectors..]);
                c += 2;
            }
            if c < vectors {
                accumulate_run::<S, 1>(s, &taps, step, map, weights, bias, c, &mut out[i * vectors..]);
            }
            i += RUN;
        }
        for i in i..count {
            let taps = window.taps_at(size, first + i, width);
            one_output(s, &taps, map, weights, bias, &mut out[i * vectors..][..vectors]);
        }
    }
}

/// Outputs of a depthwise convolution that are summed at once.
const RUN: usize = 4;

/// All channels of one output.
#[inline(always)]
fn one_output<S: Simd>(s: S, taps: &Taps, map: &[[f32; LANES]], weights: &[[f32; LANES]], bias: &[[f32; LANES]], out: &mut [[f32; LANES]]) {
    // Several channels at once: a sum waits for the one before it.
    let (vectors, mut c) = (bias.len(), 0);
    while c + 4 <= vectors {
        accumulate::<S, 4>(s, taps, map, weights, bias, c, out);
        c += 4;
    }
    while c < vectors {
        accumulate::<S, 1>(s, taps, map, weights, bias, c, out);
        c += 1;
    }
}

/// `N` vectors of channels of [`RUN`] outputs, `step` positions apart, whose taps are all inside; `taps` are the first's.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what one output takes, and the step")]
fn accumulate_run<S: Simd, const N: usize>(
    s: S,
    taps: &Taps,
    step: usize,
    map: &[[f32; LANES]],
    weights: &[[f32; LANES]],
    bias: &[[f32; LANES]],
    c: usize,
    out: &mut [[f32; LANES]],
) {
    let vectors = bias.len();
    let mut acc = [[s.splat(0.0); N]; RUN];
    for acc in &mut acc {
        for (acc, bias) in acc.iter_mut().zip(&bias[c..c + N]) {
            *acc = s.load(bias);
        }
    }
    for row in taps.rows.clone() {
        for column in taps.columns.clone() {
            let x = &map[taps.at(row, column) * vectors..][..(RUN - 1) * step * vectors + c + N];
            let w = &weights[(row * taps.kernel_width + column) * vectors + c..][..N];
            for n in 0..N {
                let w = s.load(&w[n]);
                for (r, acc) in acc.iter_mut().enumerate() {
                    acc[n] = s.fma(s.load(&x[r * step * vectors + c + n]), w, acc[n]);
                }
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        for (acc, out) in acc.into_iter().zip(&mut out[r * vectors + c..][..N]) {
            s.store(acc, out);
        }
    }
}

/// `N` vectors of channels of one output.
#[inline(always)]
fn accumulate<S: Simd, const N: usize>(
    s: S,
    taps: &Taps,
    map: &[[f32; LANES]],
    weights: &[[f32; LANES]],
    bias: &[[f32; LANES]],
    c: usize,
    out: &mut [[f32; LANES]],
) {
    let vectors = bias.len();
    let mut acc = [s.splat(0.0); N];
    for (acc, bias) in acc.iter_mut().zip(&bias[c..c + N]) {
        *acc = s.load(bias);
    }
    for row in taps.rows.clone() {
        for column in taps.columns.clone() {
            let x = &map[taps.at(row, column) * vectors + c..][..N];
            let w = &weights[(row * taps.kernel_width + column) * vectors + c..][..N];
            for n in 0..N {
                acc[n] = s.fma(s.load(&x[n]), s.load(&w[n]), acc[n]);
            }
        }
    }
    for (acc, out) in acc.into_iter().zip(&mut out[c..c + N]) {
        s.store(acc, out);
    }
}

/// What a pooling window makes of its taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The largest tap inside.
    Max,
    /// The mean of the taps inside: their sum in order, divided by their number.
    Mean,
    /// As [`Pool::Mean`], with the taps outside counted as zeros.
    PaddedMean,
}

/// Pools each channel: outputs `first ..`, `[positions][channels]`, as far as `out` reaches.
///
/// # Panics
/// If the channels are not a multiple of 16, the window does not fit or is somewhere entirely outside, or a slice does not fit.
pub fn pool_map(isa: Isa, map: Map<'_>, window: &Window, pool: Pool, first: usize, out: &mut [f32]) {
    isa.dispatch(PoolMap { map, window, pool, first, out: &mut *out });
    fault::f32s("pool_map", isa.name(), out);
}

struct PoolMap<'a> {
    map: Map<'a>,
    window: &'a Window,
    pool: Pool,
    first: usize,
    out: &'a mut [f32],
}

impl SimdOp for PoolMap<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { map: Map { values: map, size, channels }, window, pool, first, out } = self;
        let width = check(window, &self.map, first, out.len() / channels);
        let ((map, rest), out) = (map.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>().0);
        let vectors = channels / LANES;
        assert!(rest.is_empty() && vectors * LANES == channels && out.len().is_multiple_of(vectors), "{channels} channels");
        for (i, out) in out.chunks_exact_mut(vectors).enumerate() {
            let taps = window.taps_at(size, first + i, width);
            let inside = taps.count();
            assert!(inside > 0, "{window:?} lies outside of {size:?}");
            let count = s.splat(if pool == Pool::PaddedMean { window.taps() } else { inside } as f32);
            for (c, out) in out.iter_mut().enumerate() {
                let mut acc = s.splat(if pool == Pool::Max { f32::MIN } else { 0.0 });
                for row in taps.rows.clone() {
                    for column in taps.columns.clone() {
                        let x = s.load(&map[taps.at(row, column) * vectors + c]);
                        acc = if pool == Pool::Max { s.max(acc, x) } else { s.add(acc, x) };
                    }
                }
                s.store(if pool == Pool::Max { acc } else { s.div(acc, count) }, out);
            }
        }
    }
}
