//! The pool of threads in every order in which its threads can run, as far as they interrupt one another three times at most (loom: Norris and
//! Demsky 2013). What is tested is the pool's own source, with loom's threads, locks and atomics in place of the standard library's.

#![cfg(test)]
#![allow(dead_code, unreachable_pub, reason = "the pool's file is a module of the engine")]

#[path = "../../../runtime/engine/src/pool.rs"]
mod pool;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{JoinHandle, spawn, yield_now as spin};

    /// One turn, so that both ways of waiting are tried.
    pub(crate) const SPINS: u32 = 1;
}

use loom::model::Builder;
use pool::Pool;
use sync::{AtomicUsize, Ordering};

fn orders(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn every_part_of_two_tasks_runs_once() {
    orders(|| {
        let pool = Pool::new(2);
        for _ in 0..2 {
            let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
            pool.run(&|part| {
                counts[part].fetch_add(1, Ordering::Relaxed);
            });
            // What the parts did is seen without further ado.
            assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [1, 1]);
        }
    });
}

#[test]
fn what_a_part_writes_is_the_caller_s_afterwards() {
    orders(|| {
        let pool = Pool::new(2);
        let mut out = [0.0; 2];
        pool.for_parts(&mut out, 1, 1, |_, start, part| part.fill(start as f32 + 1.0));
        assert_eq!(out, [1.0, 2.0]);
    });
}

#[test]
fn a_pool_that_is_dropped_leaves_no_thread_waiting() {
    orders(|| drop(Pool::new(3)));
}
