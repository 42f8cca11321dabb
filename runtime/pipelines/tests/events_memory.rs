//! The detector's memory: once it runs, only an event is allocated, for its name. So with a head, and with classes of one's own.
//! And what no recording may do to memory by its tags and tables.

#[path = "audio_odd/bombs.rs"]
mod bombs;
mod classes;
#[path = "../../models/tests/counting/mod.rs"]
mod counting;
#[path = "audio_odd/made.rs"]
#[allow(dead_code, reason = "other tests take the rest")]
mod made;

use std::cell::Cell;
use std::path::Path;

use counting::allocations;
use ossicle::audio::AudioReader;
use ossicle::events::{Detector, Heard, Options, Settings};

// No test harness: the allocation count is the whole process's.
fn main() {
    bombs::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio"), cfg!(feature = "opus"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sound = AudioReader::open(root.join("samples/kitchen.wav")).unwrap().read_to_end().unwrap();
    sound.resize(sound.len() + 48_000, 0.0);
    let own = std::env::temp_dir().join(format!("ossicle-events-memory-{}", std::process::id()));
    classes::write(&own, &root.join("models-int8/yamnet"), &["never"], -9.0, 1024);
    for (model, classes, add_classes) in
        [("yamnet", vec![], vec![]), ("yamnet", vec![], vec![own.clone()]), ("sound-events", vec!["speech".into()], vec![])]
    {
        let options = Options { classes, add_classes, ..Options::default() };
        let folder = root.join("models-int8").join(model);
        let mut detector = Detector::open(&folder, &Settings::of_model(&folder).unwrap(), options).unwrap();
        only_names_are_allocated(&mut detector, &sound, model);
    }
    std::fs::remove_dir_all(own).unwrap();
}

fn only_names_are_allocated(detector: &mut Detector, sound: &[f32], model: &str) {
    let (hops, starts, events) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Scores(_) => hops.set(hops.get() + 1),
        Heard::Start(_) | Heard::Repeat(_) => starts.set(starts.get() + 1),
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
    assert!(hops.get() > 20 * (rounds - 1) && told >= rounds - 1, "{model}: {hops:?} hops, {told} events");
    assert!(starts.get() >= events.get(), "{model}: {starts:?} starts");
    assert_eq!(allocated, told, "{model}: allocations beside the names of {told} events");
}
