//! Rows of a convolution, quantised as they are gathered: bit by bit what [`gather`](crate::window::gather) and the quantisers of
//! [`rows`](crate::rows) make one after the other, without the rows of f32 in between, which take longer to write than to multiply.

use core::ops::Range;

use crate::fault;
use crate::rows::{QuantRows, UnsignedRows, scale_of, unsigned_scale_of};
use crate::simd::{Isa, LANES, Simd, SimdOp};
use crate::window::{Map, Taps, Window, check};

/// What lies under a window at some outputs: rows of `[taps][width]`, and zeros up to their depth.
#[derive(Clone, Debug)]
pub struct Patches<'a> {
    /// The map.
    pub map: Map<'a>,
    /// The channels taken of each position, at most `width`; the rest of `width` is zero.
    pub channels: Range<usize>,
    /// Values of each tap.
    pub width: usize,
    /// What slides over the map.
    pub window: &'a Window,
    /// The first output; as many follow as there are rows.
    pub first: usize,
}

/// Quantises rows to s8, as [`quantize_rows`](crate::rows::quantize_rows) does.
///
/// # Panics
/// If the window or the channels do not fit, or the rows' depth does not hold a window or is no multiple of 16.
pub fn quantize_patches(isa: Isa, patches: &Patches<'_>, out: &mut QuantRows<'_>) {
    isa.dispatch(Signed { patches, out: &mut *out });
    fault::i8s("quantize_patches", isa.name(), out.values);
}

/// Quantises rows to u8 above `-offset`, as [`quantize_offset_rows`](crate::rows::quantize_offset_rows) does.
///
/// # Panics
/// As [`quantize_patches`].
pub fn quantize_offset_patches(isa: Isa, patches: &Patches<'_>, offset: f32, out: &mut UnsignedRows<'_>) {
    isa.dispatch(Unsigned { patches, offset, out: &mut *out });
    fault::u8s("quantize_offset_patches", isa.name(), out.values);
}

impl Patches<'_> {
    /// The width of the output map, after a look at everything.
    fn check(&self, rows: usize, depth: usize) -> usize {
        let fits = self.channels.start < self.channels.end && self.channels.end <= self.map.channels && self.channels.len() <= self.width;
        assert!(
            fits && self.window.taps().saturating_mul(self.width) <= depth && depth.is_multiple_of(LANES),
            "rows of {depth} for {self:?}"
        );
        check(self.window, &self.map, self.first, rows)
    }

    /// Whether neighbours in the map are neighbours in the row.
    #[inline(always)]
    fn is_dense(&self) -> bool {
        self.channels.len() == self.map.channels && self.width == self.map.channels && self.window.dilation[1] == 1
    }

    /// Whether a row holds more than what lies under these taps: zeros.
    #[inline(always)]
    fn has_zeros(&self, taps: &Taps, depth: usize) -> bool {
        taps.count() * self.channels.len() < depth
    }
}

/// The runs of the map under one output: where each starts in the row, and its values.
struct Runs<'a> {
    patches: &'a Patches<'a>,
    taps: Taps,
    dense: bool,
    row: usize,
    column: usize,
}

impl<'a> Runs<'a> {
    #[inline(always)]
    fn new(patches: &'a Patches<'a>, taps: Taps, dense: bool) -> Self {
        let (row, column) = (taps.rows.start, taps.columns.start);
        Self { patches, taps, dense, row, column }
    }

    /// The next run. A method of its own: an iterator's adapters are not always inlined.
    #[inline(always)]
    fn take(&mut self) -> Option<(usize, &'a [f32])> {
        let Self { patches: Patches { map, channels, width, .. }, taps, .. } = self;
        if self.row >= taps.rows.end || taps.columns.is_empty() {
            return None;
        }
        let at = (self.row * taps.kernel_width + self.column) * width;
        let from = taps.at(self.row, self.column) * map.channels + channels.start;
        self.column += if self.dense { taps.columns.len() } else { 1 };
        let length = if self.dense { taps.columns.len() * channels.len() } else { channels.len() };
        if self.column >= taps.columns.end {
            (self.row, self.column) = (self.row + 1, taps.columns.start);
        }
        Some((at, &map.values[from..][..length]))
    }
}

struct Signed<'a, 'b> {
    patches: &'a Patches<'a>,
    out: &'a mut QuantRows<'b>,
}

impl SimdOp for Signed<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { patches, out } = self;
        let rows = out.scales.len();
        let depth = out.values.len().checked_div(rows).unwrap_or(0);
        if rows == 0 {
            return;
        }
        let width = patches.check(rows, depth);
        let dense = patches.is_dense();
        for (i, values) in out.values.chunks_exact_mut(depth).enumerate() {
            let taps = patches.window.taps_at(patches.map.size, patches.first + i, width);
            let mut largest = s.splat(0.0);
            let mut runs = Runs::new(patches, taps.clone(), dense);
            while let Some((_, x)) = runs.take() {
                largest = largest_magnitude(s, x, largest);
            }
            let (scale, inverse) = scale_of(s.reduce_max(largest));
            let inverse = s.splat(inverse);
            if patches.has_zeros(&taps, depth) {
                values.fill(0);
            }
            let mut runs = Runs::new(patches, taps, dense);
            while let Some((at, x)) = runs.take() {
                let out = &mut values[at..][..x.len()];
                let whole = x.len() / LANES * LANES;
                for (x, out) in x.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                    s.store_s8(s.to_i32(s.mul(s.load(x), inverse)), out);
                }
                match (x.last_chunk(), out.last_chunk_mut()) {
                    // The last sixteen again: what overlaps becomes what it is.
                    (Some(last), Some(out)) if whole < x.len() => s.store_s8(s.to_i32(s.mul(s.load(last), inverse)), out),
                    (Some(_), Some(_)) => {}
                    _ => {
                        let mut lanes = [0; LANES];
                        s.store_s8(s.to_i32(s.mul(s.load_partial(x, 0.0), inverse)), &mut lanes);
                        out.copy_from_slice(&lanes[..x.len()]);
                    }
                }
            }
            let mut sum = s.splat_i32(0);
            for values in values.as_chunks().0 {
                sum = s.add_i32(sum, s.load_s8(values));
            }
            let mut lanes = [0; LANES];
            s.store_i32(sum, &mut lanes);
            (out.scales[i], out.sums[i]) = (scale, lanes.iter().sum());
        }
    }
}

struct Unsigned<'a, 'b> {
    patches: &'a Patches<'a>,
    offset: f32,
    out: &'a mut UnsignedRows<'b>,
}

impl SimdOp for Unsigned<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { patches, offset, out } = self;
        let depth = out.depth();
        let width = patches.check(out.scales.len(), depth);
        let dense = patches.is_dense();
        let (zero, plus) = (s.splat(0.0), s.splat(offset));
        for (i, values) in out.values.chunks_exact_mut(depth).enumerate() {
            let taps = patches.window.taps_at(patches.map.size, patches.first + i, width);
            let zeros = patches.has_zeros(&taps, depth);
            // The offset is added to the largest alone: rounding keeps the order.
            let mut largest = s.splat(if zeros { 0.0 } else { f32::MIN });
            let mut runs = Runs::new(patches, taps.clone(), dense);
            while let Some((_, x)) = runs.take() {
                largest = largest_value(s, x, largest);
            }
            let (scale, inverse) = unsigned_scale_of((s.reduce_max(largest) + offset).max(0.0));
            let inverse = s.splat(inverse);
            if zeros {
                let mut lanes = [0; LANES];
                s.store_u8(quantized(s, zero, plus, inverse), &mut lanes);
                values.fill(lanes[0]);
            }
            let mut runs = Runs::new(patches, taps, dense);
            while let Some((at, x)) = runs.take() {
                let out = &mut values[at..][..x.len()];
                let whole = x.len() / LANES * LANES;
                let (fours, rest) = (x.as_chunks::<{ 4 * LANES }>(), out.as_chunks_mut::<{ 4 * LANES }>());
                for (x, out) in fours.0.iter().zip(rest.0) {
                    let mut q = [s.splat_i32(0); 4];
                    for (q, x) in q.iter_mut().zip(x.as_chunks().0) {
                        *q = quantized(s, s.load(x), plus, inverse);
                    }
                    s.store_u8x4(q, out);
                }
                for (x, out) in fours.1.as_chunks().0.iter().zip(rest.1.as_chunks_mut().0) {
                    s.store_u8(quantized(s, s.load(x), plus, inverse), out);
                }
                match (x.last_chunk(), out.last_chunk_mut()) {
                    (Some(last), Some(out)) if whole < x.len() => s.store_u8(quantized(s, s.load(last), plus, inverse), out),
                    (Some(_), Some(_)) => {}
                    _ => {
                        let mut lanes = [0; LANES];
                        s.store_u8(quantized(s, s.load_partial(x, 0.0), plus, inverse), &mut lanes);
                        out.copy_from_slice(&lanes[..x.len()]);
                    }
                }
            }
            out.scales[i] = scale;
        }
    }
}

#[inline(always)]
fn quantized<S: Simd>(s: S, x: S::F32, offset: S::F32, inverse: S::F32) -> S::I32 {
    s.to_i32(s.mul(s.max(s.add(x, offset), s.splat(0.0)), inverse))
}

/// The largest of `first` and of a run, by lanes; every lane of a short run is one of its values or `first`'s.
#[inline(always)]
fn largest_value<S: Simd>(s: S, x: &[f32], first: S::F32) -> S::F32 {
    let Some(last) = x.last_chunk() else {
        return s.max(first, s.load_partial(x, f32::MIN));
    };
    s.max(s.max_of(x.as_chunks().0, first, |x| x), s.load(last))
}

/// The same of magnitudes.
#[inline(always)]
fn largest_magnitude<S: Simd>(s: S, x: &[f32], first: S::F32) -> S::F32 {
    let Some(last) = x.last_chunk() else {
        return s.max(first, s.abs(s.load_partial(x, 0.0)));
    };
    s.max(s.max_of(x.as_chunks().0, first, |x| s.abs(x)), s.abs(s.load(last)))
}
