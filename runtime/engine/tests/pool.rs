//! The pool of threads: each part runs once, panics arrive, parts may ask for more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use ossicle_engine::pool::{MAX_THREADS, Pool};

#[test]
fn every_part_runs_once_each_time() {
    for threads in 1..=4 {
        let pool = Pool::new(threads);
        for _ in 0..2000 {
            let counts: [AtomicUsize; MAX_THREADS] = Default::default();
            pool.run(&|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            let counts = counts.map(AtomicUsize::into_inner);
            assert!(counts[..threads].iter().all(|&n| n == 1) && counts[threads..].iter().all(|&n| n == 0), "{counts:?}");
        }
    }
}

#[test]
fn ranges_cover_everything_in_granules() {
    for threads in 1..=5 {
        let pool = Pool::new(threads);
        for count in [0, 1, 15, 16, 47, 1500] {
            let ranges: Vec<_> = pool.split(count, 16).collect();
            assert_eq!(ranges.len(), threads);
            assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), count);
            assert!(ranges.windows(2).all(|w| w[0].end == w[1].start && w[0].end.is_multiple_of(16) || w[0].end == count));
        }
    }
}

#[test]
fn a_worker_s_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(2);
    let result = catch_unwind(AssertUnwindSafe(|| pool.run(&|i| assert!(i == 0, "part {i}"))));
    assert!(result.is_err());
    pool.run(&|_| ());
}

#[test]
fn a_part_may_ask_for_more() {
    let pool = Pool::new(2);
    let count = AtomicUsize::new(0);
    pool.run(&|_| {
        pool.run(&|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(count.into_inner(), 4);
}
