//! The detector's memory: once it runs, only an event is allocated, for its name.

#[path = "../../graph/tests/counting/mod.rs"]
mod counting;

use std::cell::Cell;
use std::path::Path;

use counting::allocations;
use ossicle::audio::AudioReader;
use ossicle::events::{Detector, Heard, Options, Settings};
use ossicle_kernels::simd::Isa;

// No test harness: the allocation count is the whole process's.
fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sound = AudioReader::open(root.join("samples/kitchen.wav"), Isa::detect()).unwrap().read_to_end().unwrap();
    sound.resize(sound.len() + 48_000, 0.0);
    let mut detector = Detector::open(&root.join("models-int8/yamnet"), &Settings::default(), Options::default()).unwrap();
    let (hops, events) = (Cell::new(0), Cell::new(0));
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Scores(_) => hops.set(hops.get() + 1),
        Heard::Event(_) => events.set(events.get() + 1),
    };
    // Emulated cores take minutes for what others do in seconds.
    let rounds = if std::env::var_os("OSSICLE_QUICK").is_some() { 2 } else { 20 };
    let mut before = (0, 0);
    for round in 0..rounds {
        if round == 1 {
            before = (allocations(), events.get());
        }
        for block in sound.chunks(1000) {
            detector.push(block, &mut sink).unwrap();
        }
    }
    let (allocated, told) = (allocations() - before.0, events.get() - before.1);
    assert!(hops.get() > 20 * (rounds - 1) && told >= rounds - 1, "{hops:?} hops, {told} events");
    assert_eq!(allocated, told, "allocations beside the names of {told} events");
}
