//! Products of activation rows with packed weight blocks: the loop under every matrix kernel.
//!
//! Weights are packed in blocks of 16 outputs x 4 inputs, `[N/16][K/4][16][4]` bytes, the same for every instruction set. Sums are exact in
//! i32 (`K <= 131072` keeps `127 * 128 * K` below 2^31 for rows of s8, `K <= 65792` keeps `255 * 128 * K` there for rows of u8), so tile
//! shapes and the order of additions are free.

use crate::simd::vector::{LANES, Simd};

/// Bytes of one packed block: 16 outputs x 4 inputs.
pub const BLOCK_BYTES: usize = 64;

/// Largest depth whose sums cannot overflow, for rows of s8.
pub const MAX_DEPTH: usize = 131_072;

/// The same for rows of u8. (Whisper's probabilities come to 6000 positions at most.)
pub const MAX_DEPTH_U8: usize = 65_792;

const _: () = assert!(127 * 128 * MAX_DEPTH < 1 << 31 && 255 * 128 * MAX_DEPTH_U8 < 1 << 31);

/// Values from the start of the first to the end of the last of `count` runs of `length`, `stride` apart; none if no memory holds as many.
/// Every `unsafe` read below stands on this, so it may not wrap around.
#[inline]
fn reach(count: usize, stride: usize, length: usize) -> Option<usize> {
    let Some(last) = count.checked_sub(1) else { return Some(0) };
    last.checked_mul(stride)?.checked_add(length)
}

/// Packed s8 weights: `[count][depth / 4][16][4]`.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    data: &'a [i8],
    groups: usize,
    stride: usize,
    count: usize,
}

impl<'a> Blocks<'a> {
    /// All of `data` as blocks of `depth` inputs.
    ///
    /// # Panics
    /// If `depth` is not a multiple of 4 in `4..=MAX_DEPTH`, or `data` is not whole blocks.
    #[inline]
    pub fn new(data: &'a [i8], depth: usize) -> Self {
        assert!(depth > 0 && depth.is_multiple_of(4) && depth <= MAX_DEPTH, "depth {depth}");
        let groups = depth / 4;
        assert!(data.len().is_multiple_of(groups * BLOCK_BYTES), "{} bytes are not blocks of depth {depth}", data.len());
        Self { data, groups, stride: groups, count: data.len() / (groups * BLOCK_BYTES) }
    }

    /// `count` blocks of `depth` inputs that start `stride` inputs apart.
    ///
    /// # Panics
    /// If `depth` or `stride` is not a multiple of 4, `depth` is zero or exceeds `stride`, or `data` is too short.
    #[inline]
    pub fn strided(data: &'a [i8], depth: usize, stride: usize, count: usize) -> Self {
        assert!(depth > 0 && depth.is_multiple_of(4) && stride.is_multiple_of(4) && depth <= stride.min(MAX_DEPTH), "depth {depth}");
        let needed = reach(count, stride, depth).and_then(|inputs| inputs.checked_mul(LANES));
        assert!(needed.is_some_and(|needed| data.len() >= needed), "{} bytes hold no {count} blocks of depth {depth}", data.len());
        Self { data, groups: depth / 4, stride: stride / 4, count }
    }

    /// The same blocks, of which only the first `depth` inputs are multiplied.
    ///
    /// # Panics
    /// If `depth` is not a multiple of 4 or exceeds the blocks' depth.
    #[inline]
    pub fn truncated(self, depth: usize) -> Self {
        // Not the stride: nothing needs to follow the last block.
        assert!(depth.is_multiple_of(4) && depth / 4 <= self.groups, "depth {depth}");
        Self { groups: depth / 4, ..self }
    }

    /// Blocks `range` of these.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[inline]
    pub fn slice(self, range: core::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.count, "blocks {range:?} of {}", self.count);
        // No block, no bytes: where strided blocks end, the next one's start may lie beyond the data.
        let data = if range.is_empty() { &[] } else { &self.data[range.start * self.stride * BLOCK_BYTES..] };
        Self { data, count: range.len(), ..self }
    }

    /// Number of blocks: outputs / 16.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Inputs that are multiplied.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.groups * 4
    }

    /// Inputs `4 * group ..` of output `lane` of a block.
    ///
    /// # Panics
    /// If there is no such block, group or lane.
    #[inline]
    pub fn values(&self, block: usize, group: usize, lane: usize) -> [i8; 4] {
        assert!(block < self.count && group < self.groups && lane < LANES, "block {block}, group {group}, lane {lane}");
        let start = ((block * self.stride + group) * LANES + lane) * 4;
        core::array::from_fn(|i| self.data[start + i])
    }

    /// The packed weights of a group of a block: 16 outputs x 4 inputs.
    ///
    /// # Panics
    /// If there is no such block or group.
    #[inline(always)]
    pub(crate) fn bytes(&self, block: usize, group: usize) -> [i8; BLOCK_BYTES] {
        assert!(block < self.count && group < self.groups, "block {block}, group {group}");
        // SAFETY: both exist.
        unsafe { *self.get(block, group) }
    }

    /// Writes each output's sum of weights, which [`U8Rows`] asks for: `[16 * count]`.
    ///
    /// # Errors
    /// [`LowestWeight`] if one is -128, on every instruction set: baseline NEON has no room for its products with rows of u8.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn sums(&self, out: &mut [i32]) -> Result<(), LowestWeight> {
        assert_eq!(out.len(), LANES * self.count, "sums of {} outputs", LANES * self.count);
        for (block, sums) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            *sums = [0; LANES];
            let bytes = &self.data[block * self.stride * BLOCK_BYTES..][..self.groups * BLOCK_BYTES];
            if bytes.contains(&i8::MIN) {
                return Err(LowestWeight);
            }
            for group in bytes.as_chunks::<4>().0.chunks_exact(LANES) {
                for (sum, weights) in sums.iter_mut().zip(group) {
                    *sum += weights.iter().map(|&w| i32::from(w)).sum::<i32>();
                }
            }
        }
        Ok(())
    }

    /// Start of one block's `16 * depth` bytes.
    ///
    /// # Panics
    /// If there is no such block.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "aarch64"), expect(dead_code, reason = "tiles of other instruction sets go by groups"))]
    pub(crate) fn block(&self, block: usize) -> *const i8 {
        self.data[block * self.stride * BLOCK_BYTES..][..self.groups * BLOCK_BYTES].as_ptr()
    }

    /// # Safety
    /// `block < count` and `group < groups`.
    #[inline(always)]
    unsafe fn get(&self, block: usize, group: usize) -> &'a [i8; BLOCK_BYTES] {
        debug_assert!(block < self.count && group < self.groups);
        // SAFETY: the constructors checked that `data` holds this block; an array of i8 has no alignment.
        unsafe { &*self.data.as_ptr().add((block * self.stride + group) * BLOCK_BYTES).cast() }
    }
}

/// A weight is -128, which no symmetric quantisation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowestWeight;

impl core::fmt::Display for LowestWeight {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("holds a weight of -128, weights are within -127..=127")
    }
}

impl core::error::Error for LowestWeight {}

/// Rows that can be multiplied with packed blocks.
///
/// # Safety
/// For each `r < rows()`, `row(r)` points at `depth()` readable bytes, and `depth()` is a multiple of 4.
pub unsafe trait Activations<S: Simd>: Copy {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Inputs of each row.
    fn depth(&self) -> usize;

    /// Prepares a weight block for these activations.
    fn weights(simd: S, block: &[i8; BLOCK_BYTES]) -> S::Weights;

    /// Inputs `4 * group ..` of a row, for every output.
    ///
    /// # Safety
    /// `row < rows()` and `4 * group < depth()`.
    unsafe fn load(&self, simd: S, row: usize, group: usize) -> S::Acts;

    /// Whether the values are u8, not s8.
    const U8: bool;

    /// The first of a row's `depth()` values.
    ///
    /// # Safety
    /// `row < rows()`
    unsafe fn row(&self, row: usize) -> *const i8;

    /// One multiply-accumulate step.
    fn dot(simd: S, acc: S::I32, weights: S::Weights, acts: S::Acts) -> S::I32;

    /// Where the sums of outputs `16 * block ..` start from, so that they end exact: what the steps add too much, taken away beforehand.
    /// (Steps and start may wrap around; the end does not.)
    fn start(&self, simd: S, row: usize, block: usize) -> S::I32;
}

/// Quantised rows: values in [-127, 127], row after row.
#[derive(Clone, Copy, Debug)]
pub struct S8Rows<'a> {
    values: &'a [i8],
    sums: &'a [i32],
    depth: usize,
    stride: usize,
}

impl<'a> S8Rows<'a> {
    /// Rows of `depth` values, `stride` apart; one per entry of `sums`, each the sum of its row.
    ///
    /// # Panics
    /// If `depth` is not a multiple of 4, exceeds `stride`, or `values` is too short.
    #[inline]
    pub fn new(values: &'a [i8], sums: &'a [i32], depth: usize, stride: usize) -> Self {
        assert!(depth.is_multiple_of(4) && depth <= stride, "depth {depth}, stride {stride}");
        let fits = reach(sums.len(), stride, depth).is_some_and(|needed| values.len() >= needed);
        assert!(fits, "{} rows in {} bytes", sums.len(), values.len());
        Self { values, sums, depth, stride }
    }
}

// SAFETY: `new` checked the depth, and that every row lies in `values`.
unsafe impl<S: Simd> Activations<S> for S8Rows<'_> {
    const U8: bool = false;

    #[inline(always)]
    fn rows(&self) -> usize {
        self.sums.len()
    }
    #[inline(always)]
    fn depth(&self) -> usize {
        self.depth
    }
    #[inline(always)]
    fn weights(simd: S, block: &[i8; BLOCK_BYTES]) -> S::Weights {
        simd.weights(block)
    }
    #[inline(always)]
    unsafe fn load(&self, simd: S, row: usize, group: usize) -> S::Acts {
        debug_assert!(row < self.sums.len() && 4 * group < self.depth);
        // SAFETY: `new` checked that `values` holds `depth` values (a multiple of 4) of each row.
        simd.acts_s8(unsafe { *self.values.as_ptr().add(row * self.stride + 4 * group).cast() })
    }
    #[inline(always)]
    unsafe fn row(&self, row: usize) -> *const i8 {
        debug_assert!(row < self.sums.len());
        // SAFETY: `new` checked that `values` holds each row.
        unsafe { self.values.as_ptr().add(row * self.stride) }
    }
    #[inline(always)]
    fn dot(simd: S, acc: S::I32, weights: S::Weights, acts: S::Acts) -> S::I32 {
        simd.dot_s8(acc, weights, acts)
    }
    #[inline(always)]
    fn start(&self, simd: S, row: usize, _block: usize) -> S::I32 {
        simd.splat_i32(if S::WEIGHT_OFFSET == 0 { 0 } else { -S::WEIGHT_OFFSET * self.sums[row] })
    }
}

/// Rows of u8: attention probabilities, and what a ReLU left. Weights that they are multiplied with are within [-127, 127], which
/// [`Blocks::sums`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct U8Rows<'a> {
    values: &'a [u8],
    weight_sums: &'a [i32],
    rows: usize,
    depth: usize,
    stride: usize,
}

impl<'a> U8Rows<'a> {
    /// `rows` rows of `depth` values, `stride` apart. `weight_sums` holds, for each output, the sum of its weights over `depth`.
    ///
    /// # Panics
    /// If `depth` is not a multiple of 4, exceeds `stride` or [`MAX_DEPTH_U8`], or `values` is too short.
    #[inline]
    pub fn new(values: &'a [u8], weight_sums: &'a [i32], rows: usize, depth: usize, stride: usize) -> Self {
        assert!(depth.is_multiple_of(4) && depth <= stride.min(MAX_DEPTH_U8), "depth {depth}, stride {stride}");
        let fits = reach(rows, stride, depth).is_some_and(|needed| values.len() >= needed);
        assert!(fits, "{rows} rows in {} bytes", values.len());
        Self { values, weight_sums, rows, depth, stride }
    }
}

// SAFETY: `new` checked the depth, and that every row lies in `values`.
unsafe impl<S: Simd> Activations<S> for U8Rows<'_> {
    const U8: bool = true;

    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows
    }
    #[inline(always)]
    fn depth(&self) -> usize {
        self.depth
    }
    #[inline(always)]
    fn weights(simd: S, block: &[i8; BLOCK_BYTES]) -> S::Weights {
        simd.weights_for_u8(block)
    }
    #[inline(always)]
    unsafe fn load(&self, simd: S, row: usize, group: usize) -> S::Acts {
        debug_assert!(row < self.rows && 4 * group < self.depth);
        // SAFETY: `new` checked that `values` holds `depth` values (a multiple of 4) of each row.
        simd.acts_u8(unsafe { *self.values.as_ptr().add(row * self.stride + 4 * group).cast() })
    }
    #[inline(always)]
    unsafe fn row(&self, row: usize) -> *const i8 {
        debug_assert!(row < self.rows);
        // SAFETY: `new` checked that `values` holds each row.
        unsafe { self.values.as_ptr().add(row * self.stride).cast() }
    }
    #[inline(always)]
    fn dot(simd: S, acc: S::I32, weights: S::Weights, acts: S::Acts) -> S::I32 {
        simd.dot_u8(acc, weights, acts)
    }
    #[inline(always)]
    fn start(&self, simd: S, _row: usize, block: usize) -> S::I32 {
        if S::PROB_OFFSET == 0 {
            return simd.splat_i32(0);
        }
        let (sums, _) = self.weight_sums.as_chunks::<LANES>();
        simd.mul_i32(simd.splat_i32(S::PROB_OFFSET), simd.load_i32(&sums[block]))
    }
}

/// What becomes of each sum.
///
/// What depends on the row or on the block alone is fetched once a tile.
pub trait Epilogue<S: Simd> {
    /// What [`put`](Epilogue::put) needs of a row.
    type Row: Copy;
    /// What [`put`](Epilogue::put) needs of a block.
    type Block: Copy;

    /// Fetches what depends on the row.
    fn row(&self, simd: S, row: usize) -> Self::Row;

    /// Fetches what depends on the block.
    fn block(&self, simd: S, block: usize) -> Self::Block;

    /// Takes the exact sums of outputs `16 * block ..` of a row. Each (row, block) comes once, in no particular order.
    fn put(&mut self, simd: S, at: (usize, usize), row: Self::Row, block: Self::Block, sums: S::I32);
}

/// Products of rows with packed weights, on one instruction set.
pub trait Products: Simd {
    /// Multiplies `m` activation rows with packed weights and hands each sum of 16 outputs to `epilogue`. The tile shape is the
    /// instruction set's own; sums are exact, so no result depends on it.
    #[inline(always)]
    fn products<A: Activations<Self>, E: Epilogue<Self>>(self, acts: A, weights: Blocks<'_>, epilogue: &mut E) {
        products_tiled::<Self, A, E, 4, 1>(self, acts, weights, epilogue);
    }
}

/// [`Products::products`] by tiles of `MR` rows x `NR` blocks.
///
/// # Panics
/// If the depths differ.
#[inline(always)]
pub fn products_tiled<S: Simd, A: Activations<S>, E: Epilogue<S>, const MR: usize, const NR: usize>(
    simd: S,
    acts: A,
    weights: Blocks<'_>,
    epilogue: &mut E,
) {
    assert_eq!(acts.depth(), weights.depth(), "rows and weights differ in depth");
    if acts.rows() == 1 {
        for block in 0..weights.count() {
            // SAFETY: the depths are equal and row 0 exists.
            let acc = unsafe { row_by_block(simd, acts, weights, block) };
            let (row, context) = (epilogue.row(simd, 0), epilogue.block(simd, block));
            epilogue.put(simd, (0, block), row, context, acc);
        }
        return;
    }
    let mut block = 0;
    while block + NR <= weights.count() {
        panel::<S, A, E, MR, NR>(simd, acts, weights, block, epilogue);
        block += NR;
    }
    if NR > 2 && block + 2 <= weights.count() {
        panel::<S, A, E, MR, 2>(simd, acts, weights, block, epilogue);
        block += 2;
    }
    while block < weights.count() {
        panel::<S, A, E, MR, 1>(simd, acts, weights, block, epilogue);
        block += 1;
    }
}

/// All rows by `NR` blocks. The depths have been compared.
#[inline(always)]
fn panel<S: Simd, A: Activations<S>, E: Epilogue<S>, const MR: usize, const NR: usize>(
    simd: S,
    acts: A,
    weights: Blocks<'_>,
    block: usize,
    epilogue: &mut E,
) {
    let mut row = 0;
    while row + MR <= acts.rows() {
        // While one tile is computed the next panel is fetched: heavy weights are far away, and a new panel would be waited for.
        if row == MR && block + 2 * NR <= weights.count() {
            tile::<S, A, E, MR, NR, true>(simd, acts, weights, row, block, epilogue);
        } else {
            tile::<S, A, E, MR, NR, false>(simd, acts, weights, row, block, epilogue);
        }
        row += MR;
    }
    if MR > 4 {
        while row + 4 <= acts.rows() {
            tile::<S, A, E, 4, NR, false>(simd, acts, weights, row, block, epilogue);
            row += 4;
        }
    }
    while row < acts.rows() {
        tile::<S, A, E, 1, NR, false>(simd, acts, weights, row, block, epilogue);
        row += 1;
    }
}

/// `MR` rows by `NR` blocks; with `AHEAD`, the next `NR` blocks exist and are fetched.
#[inline(always)]
fn tile<S: Simd, A: Activations<S>, E: Epilogue<S>, const MR: usize, const NR: usize, const AHEAD: bool>(
    simd: S,
    acts: A,
    weights: Blocks<'_>,
    row: usize,
    block: usize,
    epilogue: &mut E,
) {
    debug_assert!(row + MR <= acts.rows() && block + NR <= weights.count());
    // Plain loops: `core::array::from_fn` is not always inlined, and what is not inlined lacks the vector instructions.
    let mut acc = [[simd.splat_i32(0); NR]; MR];
    for (r, acc) in acc.iter_mut().enumerate() {
        for (j, acc) in acc.iter_mut().enumerate() {
            *acc = acts.start(simd, row + r, block + j);
        }
    }
    for group in 0..weights.groups {
        let mut w = [A::weights(simd, &[0; BLOCK_BYTES]); NR];
        for (j, w) in w.iter_mut().enumerate() {
            // SAFETY: the panel's blocks and this group exist.
            *w = A::weights(simd, unsafe { weights.get(block + j, group) });
        }
        if AHEAD {
            for j in 0..NR {
                // SAFETY: the caller vouches for the next panel.
                simd.fetch(unsafe { weights.get(block + NR + j, group) });
            }
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the tile's rows exist, and the depths are equal.
            let a = unsafe { acts.load(simd, row + r, group) };
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = A::dot(simd, *acc, w, a);
            }
        }
    }
    let mut blocks = [epilogue.block(simd, block); NR];
    for (j, context) in blocks.iter_mut().enumerate().skip(1) {
        *context = epilogue.block(simd, block + j);
    }
    for (r, acc) in acc.into_iter().enumerate() {
        let context = epilogue.row(simd, row + r);
        for (j, acc) in acc.into_iter().enumerate() {
            epilogue.put(simd, (row + r, block + j), context, blocks[j], acc);
        }
    }
}

/// Row 0 by one block, in several sums to hide the latency of each step. Weights stream through once: this is bound by memory.
///
/// # Safety
/// `block < weights.count()`, row 0 exists, and the depths are equal.
#[inline(always)]
unsafe fn row_by_block<S: Simd, A: Activations<S>>(simd: S, acts: A, weights: Blocks<'_>, block: usize) -> S::I32 {
    const WAYS: usize = 4;
    let mut acc = [simd.splat_i32(0); WAYS];
    acc[0] = acts.start(simd, 0, block);
    let mut group = 0;
    while group + WAYS <= weights.groups {
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the block; `group + i` is below the depth.
            let (w, a) = unsafe { (weights.get(block, group + i), acts.load(simd, 0, group + i)) };
            *acc = A::dot(simd, *acc, A::weights(simd, w), a);
        }
        group += WAYS;
    }
    while group < weights.groups {
        // SAFETY: as above.
        let (w, a) = unsafe { (weights.get(block, group), acts.load(simd, 0, group)) };
        acc[0] = A::dot(simd, acc[0], A::weights(simd, w), a);
        group += 1;
    }
    simd.add_i32(simd.add_i32(acc[0], acc[1]), simd.add_i32(acc[2], acc[3]))
}
