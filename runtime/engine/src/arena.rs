//! One piece of memory for all buffers of a graph, and where each lies in it.

use std::fmt;
use std::hash::{Hash, Hasher};

use tract_core::internal::*;

/// Buffers begin at multiples of so many bytes.
pub(crate) const ALIGN: usize = 64;

/// Memory that graphs run in, one at a time.
#[derive(Default)]
pub struct Memory {
    bytes: Vec<u8>,
    /// The first byte that is aligned.
    start: usize,
}

impl Memory {
    /// So many bytes, zero at first.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = vec![0u8; bytes + ALIGN];
        // Where the heap is does not change when the vector moves.
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start }
    }

    /// Bytes that buffers can take.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(ALIGN)
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.len())
    }
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

impl Place {
    pub(crate) fn of(self, memory: &[u8]) -> &[u8] {
        &memory[self.offset..][..self.bytes]
    }
}

/// A buffer that needs a place: its size, and the first and last step at which it is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Offsets of all buffers, and the bytes they take together. The largest goes first; each takes the smallest gap that it fits in between those
/// that are alive when it is, or lies after them.
pub(crate) fn place(buffers: &[Buffer]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first));
    let mut offsets = vec![0usize; buffers.len()];
    let (mut placed, mut total): (Vec<usize>, usize) = (vec![], 0);
    for &index in &order {
        let Buffer { bytes, first, last } = buffers[index];
        let mut beside: Vec<usize> =
            placed.iter().copied().filter(|&other| buffers[other].first <= last && first <= buffers[other].last).collect();
        beside.sort_by_key(|&other| offsets[other]);
        let (mut end, mut best) = (0usize, None);
        for other in beside {
            let gap = offsets[other].saturating_sub(end);
            if gap >= bytes && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, end));
            }
            let after = offsets[other].saturating_add(buffers[other].bytes);
            end = end.max(after.div_ceil(ALIGN).saturating_mul(ALIGN));
        }
        offsets[index] = best.map_or(end, |(_, start)| start);
        total = total.max(offsets[index].saturating_add(bytes));
        placed.push(index);
    }
    (offsets, total)
}

/// What tract hands from layer to layer: type and shape as ever, but the values are in the [`Memory`] of the run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InArena(Place);

impl InArena {
    /// A tensor whose values are at `place`.
    pub(crate) fn tensor(dtype: DatumType, shape: &[usize], place: Place) -> Arc<Tensor> {
        Arc::new(Tensor::from_storage(dtype, shape, Self(place)))
    }
}

impl fmt::Display for InArena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of the arena at {}", self.0.bytes, self.0.offset)
    }
}

impl TensorStorage for InArena {
    fn byte_len(&self) -> usize {
        self.0.bytes
    }

    fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }

    fn deep_clone(&self) -> Box<dyn TensorStorage> {
        Box::new(self.clone())
    }

    fn as_plain_ram(&self) -> Option<&PlainStorage> {
        None
    }

    fn as_plain_ram_mut(&mut self) -> Option<&mut PlainStorage> {
        None
    }

    fn into_plain_ram(self: Box<Self>) -> Option<PlainStorage> {
        None
    }

    fn dyn_hash(&self, mut state: &mut dyn Hasher) {
        self.hash(&mut state);
    }

    fn exotic_fact(&self, _: &[usize]) -> TractResult<Option<Box<dyn ExoticFact>>> {
        Ok(None)
    }

    /// Type and shape say all there is to say.
    fn is_exotic(&self) -> bool {
        false
    }

    /// tract cannot read them.
    fn in_ram(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(count: usize, seed: u64) -> Vec<Buffer> {
        let mut state = seed;
        let mut below = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % most) as usize
        };
        let buffer = |_| {
            let first = below(20);
            Buffer { bytes: below(5000), first, last: first + below(6) }
        };
        (0..count).map(buffer).collect()
    }

    #[test]
    fn buffers_alive_together_do_not_overlap() {
        for seed in 0..200 {
            let buffers = buffers(30, seed);
            let (offsets, total) = place(&buffers);
            let placed: Vec<_> = buffers.iter().zip(&offsets).collect();
            for (i, (a, from_a)) in placed.iter().enumerate() {
                assert!(from_a.is_multiple_of(ALIGN) && **from_a + a.bytes <= total);
                for (b, from_b) in &placed[..i] {
                    let alive = a.first <= b.last && b.first <= a.last && a.bytes > 0 && b.bytes > 0;
                    let apart = **from_a + a.bytes <= **from_b || **from_b + b.bytes <= **from_a;
                    assert!(!alive || apart, "{a:?} at {from_a} and {b:?} at {from_b}");
                }
            }
            let at = |step| buffers.iter().filter(|b| b.first <= step && step <= b.last).map(|b| b.bytes.next_multiple_of(ALIGN)).sum();
            let needed: usize = (0..26).map(at).max().unwrap_or_default();
            assert!(total <= needed * 3 / 2, "{total} bytes, {needed} alive at a time");
        }
    }

    #[test]
    fn shapes_do_not_matter() {
        // A map that doubles again and again: two of them are alive at a time.
        let pyramid: Vec<Buffer> = (0..10).map(|i| Buffer { bytes: 64 << i, first: i, last: i + 1 }).collect();
        assert_eq!(place(&pyramid).1, (64 << 9) + (64 << 8));
        let huge = Buffer { bytes: usize::MAX - 5, first: 0, last: 1 };
        assert_eq!(place(&[huge, huge]).1, usize::MAX);
    }

    #[test]
    fn memory_is_aligned_and_zero() {
        for bytes in [0, 1, 63, 64, 1000] {
            let mut memory = Memory::new(bytes);
            assert!(memory.len() == bytes && memory.get().len() >= bytes && memory.get().as_ptr().addr().is_multiple_of(ALIGN));
            assert!(memory.get_mut().iter().all(|&byte| byte == 0));
        }
        assert_eq!(Memory::default().len(), 0);
    }
}
