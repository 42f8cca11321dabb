//! What the pool needs of the standard library.

pub(crate) use std::hint::spin_loop as spin;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::{JoinHandle, spawn};

/// Turns of a waiting loop before a thread sleeps: some ten microseconds, less than waking it costs, too little to starve anybody.
pub(crate) const SPINS: u32 = 2000;
