//! Walking rows and blocks by tiles.

use super::{Aarch64, I, Multiply};
use crate::dot::{Activations, Blocks, Epilogue};
use crate::simd::vector::Simd;

/// Rows whose activations are multiplied with all weights before the next ones come: few enough to stay in a small L1 beside one block.
const CHUNK: usize = 48;

/// Exact sums of `MR` rows with the 16 outputs of one block.
pub(super) trait Tile<const MR: usize>: Multiply {
    /// `rows` start each row, `block` the block; both are `groups` groups of 4 inputs long. With `U8`, activations are u8, of which
    /// [`PROB_OFFSET`](Multiply::PROB_OFFSET) is subtracted.
    ///
    /// # Safety
    /// The rows hold `4 * groups` bytes, the block `64 * groups`.
    unsafe fn tile<const U8: bool>(self, rows: [*const i8; MR], block: *const i8, groups: usize) -> [I; MR];
}

/// [`Products::products`](crate::dot::Products::products) by tiles of `MR` rows, those left over one by one.
///
/// # Panics
/// If the depths differ.
#[inline(always)]
pub(super) fn products<M, A, E, const MR: usize>(token: Aarch64<M>, acts: A, weights: Blocks<'_>, epilogue: &mut E)
where
    M: Tile<MR> + Tile<1>,
    A: Activations<Aarch64<M>>,
    E: Epilogue<Aarch64<M>>,
{
    assert_eq!(acts.depth(), weights.depth(), "rows and weights differ in depth");
    for start in (0..acts.rows()).step_by(CHUNK) {
        let end = acts.rows().min(start + CHUNK);
        for block in 0..weights.count() {
            let mut row = start;
            while row + MR <= end {
                tile::<M, A, E, MR>(token, acts, weights, row, block, epilogue);
                row += MR;
            }
            while row < end {
                tile::<M, A, E, 1>(token, acts, weights, row, block, epilogue);
                row += 1;
            }
        }
    }
}

#[inline(always)]
fn tile<M, A, E, const MR: usize>(token: Aarch64<M>, acts: A, weights: Blocks<'_>, row: usize, block: usize, epilogue: &mut E)
where
    M: Tile<MR>,
    A: Activations<Aarch64<M>>,
    E: Epilogue<Aarch64<M>>,
{
    debug_assert!(row + MR <= acts.rows() && block < weights.count());
    let mut rows = [core::ptr::null(); MR];
    for (r, start) in rows.iter_mut().enumerate() {
        // SAFETY: the tile's rows exist.
        *start = unsafe { acts.row(row + r) };
    }
    let groups = weights.depth() / 4;
    // SAFETY: the tile's rows and block exist and, as `products` compared, are equally deep.
    let sums = unsafe {
        let block = weights.block(block);
        if A::U8 { token.multiply.tile::<true>(rows, block, groups) } else { token.multiply.tile::<false>(rows, block, groups) }
    };
    let context = epilogue.block(token, block);
    for (r, sums) in sums.into_iter().enumerate() {
        let sums = token.add_i32(sums, acts.start(token, row + r, block));
        epilogue.put(token, (row + r, block), epilogue.row(token, row + r), context, sums);
    }
}
