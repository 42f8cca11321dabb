//! Operands that end where memory ends: kernels read rows and weights through raw pointers, and a read beyond is a crash here.

use std::ops::Deref;
use std::ptr;

/// A copy of a slice of bytes, in front of a page that nobody may touch.
pub(crate) struct Guarded<T> {
    map: *mut libc::c_void,
    map_bytes: usize,
    start: *const T,
    count: usize,
}

/// A type of one byte, any of whose values is valid.
pub(crate) trait Byte: Copy {}
impl Byte for i8 {}
impl Byte for u8 {}

impl<T: Byte> Guarded<T> {
    pub(crate) fn new(content: &[T]) -> Self {
        // SAFETY: asks for nothing but a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size");
        let usable = content.len().next_multiple_of(page);
        let map_bytes = usable + page;
        // SAFETY: a new private mapping, of which the last page is taken away and the others hold `content` up to their end.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(ptr::null_mut(), map_bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert!(map != libc::MAP_FAILED, "mmap");
            let end = map.cast::<u8>().add(usable);
            assert_eq!(libc::mprotect(end.cast(), page, libc::PROT_NONE), 0, "mprotect");
            let start: *mut T = end.sub(content.len()).cast();
            ptr::copy_nonoverlapping(content.as_ptr(), start, content.len());
            Self { map, map_bytes, start, count: content.len() }
        }
    }
}

impl<T> Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` wrote these values, and nobody else knows of them.
        unsafe { std::slice::from_raw_parts(self.start, self.count) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slice outlives `self`.
        unsafe { libc::munmap(self.map, self.map_bytes) };
    }
}
