//! Small voices of Kokoro's kind with weights by formula: bits, voices, allocations, the memory plan and refusals.

mod counting;
mod toy;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::kokoro::{KokoroConfig, KokoroGraph};
use ossicle_models::{GraphError, Options};
use ossicle_trace::{Step, Tap, Tensor, Values};
use serde_json::{Value, json};
use toy::kokoro::{config, folder, tensors};

const PIECE: [u32; 9] = [0, 7, 12, 1, 39, 8, 20, 2, 0];
const LENGTHS: [u32; 9] = [2, 4, 1, 3, 9, 2, 6, 1, 3];
/// Samples of a frame: twice 4 * 2 * 5.
const FRAME: usize = 80;

fn open(path: &Path, isa: Isa, threads: usize) -> Result<KokoroGraph, GraphError> {
    KokoroGraph::new(ModelFolder::open(path)?, Options { isa, threads })
}

fn voice(path: &Path, isa: Isa, threads: usize) -> KokoroGraph {
    open(path, isa, threads).expect("voices")
}

/// Samples of a piece, as bits.
fn lasting(voice: &mut KokoroGraph, lengths: &[u32]) -> Vec<u32> {
    let frames = voice.begin_with(&PIECE, lengths).expect("a piece");
    let samples: Vec<u32> = voice.run().expect("samples").iter().map(|x| x.to_bits()).collect();
    assert_eq!(samples.len(), frames * FRAME);
    assert!(samples.iter().all(|&bits| f32::from_bits(bits).is_finite()), "a sample is not finite");
    samples
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let folder = folder();
    let path = &folder.0;
    let mut first = voice(path, Isa::detect(), 1);
    let wanted = lasting(&mut first, &LENGTHS);
    let loud = wanted.iter().filter(|&&bits| f32::from_bits(bits).abs() > 1e-3).count();
    assert!(loud > wanted.len() / 2, "{loud} of {} samples are not silent", wanted.len());
    for isa in Isa::available() {
        for threads in 1..=3 {
            let mut other = voice(path, isa, threads);
            assert!(lasting(&mut other, &LENGTHS) == wanted, "{isa} with {threads} threads differs");
            other.begin(&PIECE, 1.0).expect("a piece");
            first.begin(&PIECE, 1.0).expect("a piece");
            assert_eq!(other.durations(), first.durations(), "{isa} with {threads} threads");
        }
    }
    a_piece_leaves_nothing_behind(&mut first, &wanted);
    voices_differ_and_mix(&mut first, &wanted);
    speeds_change_lengths(&mut first);
    layers_are_as_in_plain_arithmetic(&mut first);
    what_cannot_be_said_is_refused(&mut first);
    nothing_is_allocated_in_the_steady_state(path);
    damaged_folders_are_named(path);
}

fn a_piece_leaves_nothing_behind(voice: &mut KokoroGraph, wanted: &[u32]) {
    let long: Vec<u32> = PIECE.iter().copied().cycle().take(60).collect();
    voice.begin_with(&long, &[1; 60]).expect("a piece");
    voice.run().expect("samples");
    voice.begin(&long, 1.0).expect("one that is given up");
    voice.begin_with(&[0, 9, 0], &[1; 3]).expect("a short one");
    voice.run().expect("samples");
    assert!(lasting(voice, &LENGTHS) == wanted, "what was said before is heard");
}

fn voices_differ_and_mix(voice: &mut KokoroGraph, wanted: &[u32]) {
    voice.choose(&[("two", 1.0)]).expect("a voice");
    let other = lasting(voice, &LENGTHS);
    assert!(other != wanted, "both voices sound the same");
    voice.choose(&[("one", 3.0), ("two", 1.0)]).expect("a mixture");
    let mixed = lasting(voice, &LENGTHS);
    assert!(mixed != wanted && mixed != other);
    voice.choose(&[("one", 0.75), ("two", 0.25)]).expect("a mixture");
    assert!(lasting(voice, &LENGTHS) == mixed, "parts are not in proportion");
    for wrong in [&[][..], &[("three", 1.0)], &[("one", 0.0)], &[("one", f32::NAN)], &[("one", 1.0); 9]] {
        assert!(voice.choose(wrong).is_err(), "{wrong:?}");
    }
    assert!(lasting(voice, &LENGTHS) == mixed, "a refusal changed the voice");
    voice.choose(&[("one", 7.0)]).expect("a voice");
    assert!(lasting(voice, &LENGTHS) == wanted);
}

fn speeds_change_lengths(voice: &mut KokoroGraph) {
    let mut frames = |speed: f32| voice.begin(&PIECE, speed).expect("a piece");
    let (slow, plain, fast) = (frames(0.5), frames(1.0), frames(2.0));
    assert!(slow > plain && plain > fast, "{slow} {plain} {fast}");
    assert_eq!(frames(1e30), PIECE.len(), "no phoneme is shorter than a frame");
    // A third of the 60 frames of the longest piece.
    assert_eq!(frames(1e-30), 20 * PIECE.len(), "nor longer than the longest");
    assert!(matches!(voice.run(), Err(GraphError::Size { .. })), "a piece of 180 frames");
}

/// One tensor of a run.
#[derive(Debug, Default)]
struct Heard(&'static str, Mutex<Vec<f32>>);

impl Tap for Heard {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if let (true, Values::F32(values)) = (tensor.op == self.0, tensor.values) {
            *self.1.lock().expect("a tensor") = values.to_vec();
        }
    }
}

fn heard(voice: &mut KokoroGraph, name: &'static str) -> Vec<f32> {
    let tap = Arc::new(Heard(name, Mutex::default()));
    voice.set_tap(Some(tap.clone()));
    lasting(voice, &LENGTHS);
    voice.set_tap(None);
    let values = std::mem::take(&mut *tap.1.lock().expect("a tensor"));
    assert!(!values.is_empty(), "no tensor {name}");
    values
}

/// Means of channels in f64, and rows that become two.
fn layers_are_as_in_plain_arithmetic(voice: &mut KokoroGraph) {
    let channels = 16;
    let x = heard(voice, "kokoro.generator.1.upsample");
    let affine = heard(voice, "kokoro.generator.1.blocks.0.0.first.affine");
    assert_eq!((x.len() % channels, affine.len()), (0, 3 * channels));
    let rows = x.len() / channels;
    // Half frames, eight rows each, and the one before the first.
    assert_eq!(rows, 31 * 2 * 8 + 1);
    for (c, found) in affine.iter().take(channels).enumerate() {
        let mean = x.iter().skip(c).step_by(channels).map(|x| f64::from(*x)).sum::<f64>() / rows as f64;
        assert!((mean - f64::from(*found)).abs() < 1e-4 * mean.abs().max(1.0), "channel {c}: {mean} {found}");
    }
    let short = heard(voice, "kokoro.pitch.1.shortcut");
    let twice = heard(voice, "kokoro.pitch.1.shortcut.twice");
    let width = 32;
    assert!(twice.chunks_exact(width).zip(0..).all(|(row, i)| row == &short[i / 2 * width..][..width]));
}

fn what_cannot_be_said_is_refused(voice: &mut KokoroGraph) {
    let mut refused = |piece: &[u32], speed: f32, wanted: &str| {
        let error = voice.begin(piece, speed).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(voice.run().is_err(), "what came before goes on");
    };
    refused(&[], 1.0, "phonemes");
    refused(&[0; 65], 1.0, "phonemes");
    refused(&[40], 1.0, "beyond the vocabulary of 40");
    for speed in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(&PIECE, speed, "a speed of");
    }
    for lengths in [&LENGTHS[..8], &[0, 1, 1, 1, 1, 1, 1, 1, 1], &[61, 1, 1, 1, 1, 1, 1, 1, 1]] {
        assert!(matches!(voice.begin_with(&PIECE, lengths), Err(GraphError::Size { .. })), "{lengths:?}");
    }
}

fn nothing_is_allocated_in_the_steady_state(path: &Path) {
    for threads in [1, 2] {
        let mut voice = voice(path, Isa::detect(), threads);
        let mut run = || {
            voice.begin_with(&PIECE, &LENGTHS).expect("a piece");
            voice.run().expect("samples");
            voice.begin(&PIECE, 1.0).expect("a piece");
        };
        run();
        let before = allocations();
        run();
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
    }
    let folder = ModelFolder::open(path).expect("voices");
    let refused = KokoroGraph::new_within(folder, Options { isa: Isa::detect(), threads: 1 }, 10_000);
    assert!(matches!(refused, Err(GraphError::Memory { .. })), "{refused:?}");
}

fn damaged_folders_are_named(path: &Path) {
    let problem = |wanted: &str| {
        let error = open(path, Isa::detect(), 1).map(drop).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
    };
    let write = |config: &Value| fs::write(path.join("config.json"), config.to_string()).expect("config.json");
    for (field, value, wanted) in [
        ("hidden_size", json!(33), "hidden_size is 33"),
        ("upsample_rates", json!([3, 2]), "an upsampling of 3"),
        ("upsample_rates", json!([4]), "1 upsamplings"),
        ("source_kernel_sizes", json!([3]), "not one for each"),
        ("resblock_dilations", json!([0]), "a residual block's dilation is 0"),
        ("width", json!(80), "width is 80"),
        ("max_frames", json!(2), "max_frames is 2"),
        ("voices", json!([]), "voices is 0"),
        ("voices", json!(["a/b"]), "a voice is called"),
    ] {
        let mut changed = config();
        changed[field] = value;
        write(&changed);
        problem(wanted);
    }
    write(&config());
    let all = || tensors(&serde_json::from_value::<KokoroConfig>(config()).expect("a configuration"));
    let folder = folder();
    let error = |all| {
        folder.weights(&all);
        open(&folder.0, Isa::detect(), 1).map(drop).expect_err("a damaged folder").to_string()
    };
    let mut missing = all();
    missing.remove("head.basis");
    assert!(error(missing).contains("head.basis"));
    let mut misshapen = all();
    misshapen.insert("curves".into(), (false, vec![32]));
    assert!(error(misshapen).contains("should be"));
}
