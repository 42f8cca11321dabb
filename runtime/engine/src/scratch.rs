//! Memory that layers need only while they run: asked for beforehand, then handed out piece by piece.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::arena::{ALIGN, Memory};
use crate::element::Element;
use crate::pool::MAX_THREADS;

/// How much scratch memory a layer needs, in bytes, each piece rounded up to 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Once, whatever the number of threads.
    pub(crate) shared: usize,
    /// For each thread.
    pub(crate) thread: usize,
}

/// Bytes of a piece of `count` values.
fn piece<T: Element>(count: usize) -> usize {
    count.saturating_mul(size_of::<T>()).checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX)
}

impl Need {
    /// And `count` values of `T`, once.
    #[must_use]
    pub fn shared<T: Element>(self, count: usize) -> Self {
        Self { shared: self.shared.saturating_add(piece::<T>(count)), ..self }
    }

    /// And `count` values of `T` for each thread.
    #[must_use]
    pub fn thread<T: Element>(self, count: usize) -> Self {
        Self { thread: self.thread.saturating_add(piece::<T>(count)), ..self }
    }

    /// Bytes for so many threads.
    pub fn bytes(self, threads: usize) -> usize {
        self.shared.saturating_add(self.thread.saturating_mul(threads))
    }
}

/// Scratch memory, from which pieces are taken in the order they were asked for. They hold anything.
#[derive(Debug)]
pub struct Scratch<'a> {
    rest: &'a mut [u8],
}

impl<'a> Scratch<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next piece: `count` values of `T`.
    ///
    /// # Panics
    /// If the layer asked for less than it takes: a bug of the layer.
    pub fn take<T: Element>(&mut self, count: usize) -> &'a mut [T] {
        let bytes = self.rest.split_off_mut(..piece::<T>(count)).expect("a layer takes no more scratch memory than it asked for");
        bytemuck::cast_slice_mut(&mut bytes[..count * size_of::<T>()])
    }

    /// The same memory from its start, for one block of rows after another.
    pub fn again(&mut self) -> Scratch<'_> {
        Scratch { rest: self.rest }
    }
}

/// Each thread's own scratch memory.
#[derive(Debug, Default)]
pub struct ThreadScratch<'a>([Mutex<&'a mut [u8]>; MAX_THREADS]);

impl<'a> ThreadScratch<'a> {
    /// Splits `bytes` into `thread` bytes for each thread.
    pub(crate) fn new(mut bytes: &'a mut [u8], thread: usize) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(bytes.split_off_mut(..thread).unwrap_or_default())))
    }

    /// That of one thread; nobody else uses it while that thread's part runs.
    pub fn of(&self, thread: usize) -> OneThread<'_, 'a> {
        OneThread(self.0[thread].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One thread's scratch memory while a part runs.
#[derive(Debug)]
pub struct OneThread<'s, 'a>(MutexGuard<'s, &'a mut [u8]>);

impl OneThread<'_, '_> {
    /// All of it.
    pub fn take_all(&mut self) -> Scratch<'_> {
        Scratch::new(&mut self.0[..])
    }
}

/// Scratch memory beside a graph's, for what is computed between its runs.
#[derive(Debug, Default)]
pub struct OwnScratch(Memory);

impl OwnScratch {
    /// Memory for `need` on one thread.
    pub fn new(need: Need) -> Self {
        Self(Memory::new(need.bytes(1)))
    }

    /// All of it.
    pub fn take_all(&mut self) -> Scratch<'_> {
        Scratch::new(self.0.get_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_was_asked_for() {
        let need = Need::default().shared::<i8>(3).shared::<f32>(20).thread::<f32>(1);
        assert_eq!((need.bytes(1), need.bytes(3)), (64 + 128 + 64, 64 + 128 + 3 * 64));
        assert_eq!(Need::default().shared::<f32>(usize::MAX / 2).thread::<i8>(9).bytes(8), usize::MAX);
        let mut memory = Memory::new(need.bytes(2));
        let (shared, threads) = memory.get_mut()[..need.bytes(2)].split_at_mut(need.shared);
        let mut shared = Scratch::new(shared);
        assert_eq!((shared.take::<i8>(3).len(), shared.take::<f32>(20).len()), (3, 20));
        let threads = ThreadScratch::new(threads, need.thread);
        threads.of(0).take_all().take::<f32>(1)[0] = 1.0;
        threads.of(1).take_all().take::<f32>(1)[0] = 2.0;
        assert_eq!(threads.of(0).take_all().take::<f32>(1)[0], 1.0);
        let result = std::panic::catch_unwind(|| threads.of(2).take_all().take::<f32>(1)[0]);
        assert!(result.is_err(), "there is none of a third thread");
    }
}
