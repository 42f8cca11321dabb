//! A small voice of Piper's with weights by formula: bits, chunks, noise, allocations, the memory plan and refusals.

mod counting;
mod toy;

use std::fs;
use std::path::Path;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::vits::{CHUNK, LONGEST, Manner, VitsConfig, VitsGraph};
use ossicle_models::{GraphError, Options};
use serde_json::{Value, json};
use toy::vits::{config, folder, tensors};

const CLAUSE: [u32; 9] = [1, 0, 7, 0, 12, 0, 39, 0, 2];
/// More than three chunks.
const LENGTHS: [u32; 9] = [3, 1, 17, 2, 40, 9, 1, 30, 8];

fn open(path: &Path, isa: Isa, threads: usize) -> Result<VitsGraph, GraphError> {
    VitsGraph::new(ModelFolder::open(path)?, Options { isa, threads })
}

fn voice(path: &Path, isa: Isa, threads: usize) -> VitsGraph {
    open(path, isa, threads).expect("graphs")
}

/// The samples of a clause that has begun, as bits.
fn rest(voice: &mut VitsGraph, wanted: usize) -> Vec<u32> {
    let mut samples = vec![];
    while let Some(chunk) = voice.next_chunk().expect("a chunk") {
        assert!(chunk.len() <= CHUNK * voice_hop() && chunk.iter().all(|sample| (-1.0..=1.0).contains(sample)));
        samples.extend(chunk.iter().map(|sample| sample.to_bits()));
    }
    assert_eq!(samples.len(), wanted);
    assert!(voice.next_chunk().expect("nothing").is_none());
    samples
}

fn voice_hop() -> usize {
    8
}

/// Bits of durations and samples, as the voice decides.
fn say(voice: &mut VitsGraph, clause: &[u32], manner: Manner) -> (Vec<u32>, Vec<u32>) {
    let count = voice.begin(clause, manner).expect("a clause");
    let durations = voice.durations().to_vec();
    assert_eq!(count, durations.iter().sum::<u32>() as usize * voice_hop());
    (durations, rest(voice, count))
}

fn lasting(voice: &mut VitsGraph, manner: Manner, lengths: &[u32]) -> Vec<u32> {
    let count = voice.begin_with(&CLAUSE, manner, lengths).expect("a clause");
    rest(voice, count)
}

// No test harness: the allocation count is the whole process's.
fn main() {
    for pairs in [false, true] {
        let folder = folder(pairs);
        let path = &folder.0;
        let mut first = voice(path, Isa::detect(), 1);
        let wanted = (say(&mut first, &CLAUSE, Manner::default()), lasting(&mut first, Manner::default(), &LENGTHS));
        assert!(wanted.1.iter().any(|&bits| f32::from_bits(bits).abs() > 1e-3), "silence");
        for isa in Isa::available() {
            for threads in 1..=3 {
                let mut other = voice(path, isa, threads);
                let have = (say(&mut other, &CLAUSE, Manner::default()), lasting(&mut other, Manner::default(), &LENGTHS));
                assert!(have == wanted, "{isa} with {threads} threads differs");
            }
        }
        a_clause_leaves_nothing_behind(&mut first, &wanted.1);
        chunks_are_as_one_piece(&mut first);
        noise_is_as_asked(&mut first);
        speeds_change_lengths(&mut first);
        what_cannot_be_said_is_refused(&mut first);
        nothing_is_allocated_in_the_steady_state(path);
        damaged_folders_are_named(path, pairs);
    }
}

fn a_clause_leaves_nothing_behind(voice: &mut VitsGraph, wanted: &[u32]) {
    // A longer one, one that is given up, and a shorter one before it.
    let long: Vec<u32> = CLAUSE.iter().copied().cycle().take(64).collect();
    say(voice, &long, Manner::default());
    voice.begin_with(&CLAUSE, Manner::default(), &LENGTHS).expect("a clause");
    voice.next_chunk().expect("a chunk");
    say(voice, &CLAUSE[..1], Manner::default());
    assert!(lasting(voice, Manner::default(), &LENGTHS) == wanted, "what was said before is heard");
}

/// Behind the durations there are only convolutions: where the end changes, the samples far before it do not, whichever chunk they are in.
fn chunks_are_as_one_piece(voice: &mut VitsGraph) {
    let mut lengths = LENGTHS;
    let mut whole = vec![];
    for more in 0..CHUNK as u32 + 1 {
        lengths[8] = LENGTHS[8] + more;
        let samples = lasting(voice, Manner::default(), &lengths);
        // Two coupling layers of 2 + 4 rows, 3 rows, and some 20 of the decoder.
        let same = (LENGTHS.iter().sum::<u32>() as usize - 45) * voice_hop();
        if more == 0 {
            whole = samples;
        } else {
            assert!(samples[..same] == whole[..same], "{more} frames more");
            assert!(samples[..whole.len()] != whole[..], "the end is heard");
        }
    }
}

fn noise_is_as_asked(voice: &mut VitsGraph) {
    let manner = Manner::default();
    let plain = lasting(voice, manner, &LENGTHS);
    for other in [Manner { seed: 1, ..manner }, Manner { seed: 1 << 32, ..manner }, Manner { clause: 1, ..manner }] {
        assert!(lasting(voice, other, &LENGTHS) != plain, "{other:?} is the same");
    }
    let quiet = Manner { noise_scale: Some(0.0), noise_scale_duration: Some(0.0), ..manner };
    let silent = say(voice, &CLAUSE, quiet);
    assert!(say(voice, &CLAUSE, Manner { seed: 9, clause: 4, ..quiet }) == silent, "noise of 0 times is heard");
    let own = Manner { noise_scale: Some(0.667), noise_scale_duration: Some(0.8), ..manner };
    assert!(lasting(voice, own, &LENGTHS) == plain, "the configuration's noise is another");
}

fn speeds_change_lengths(voice: &mut VitsGraph) {
    let mut frames = |speed: f32| voice.begin(&CLAUSE, Manner { speed, ..Manner::default() }).expect("a clause") / voice_hop();
    let (slow, plain, fast) = (frames(0.5), frames(1.0), frames(2.0));
    assert!(slow >= plain && plain >= fast && slow > fast, "{slow} {plain} {fast}");
    assert_eq!(frames(1e30), CLAUSE.len(), "no symbol is shorter than a frame");
    assert_eq!(frames(1e-30), LONGEST as usize * CLAUSE.len(), "nor longer than the longest");
}

fn what_cannot_be_said_is_refused(voice: &mut VitsGraph) {
    let mut refused = |clause: &[u32], manner: Manner, wanted: &str| {
        let error = voice.begin(clause, manner).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(voice.next_chunk().expect("nothing").is_none(), "what came before goes on");
    };
    let manner = Manner::default();
    refused(&[], manner, "symbols");
    refused(&[0; 65], manner, "symbols");
    refused(&[40], manner, "beyond the vocabulary of 40");
    for speed in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(&CLAUSE, Manner { speed, ..manner }, "a speed of");
    }
    refused(&CLAUSE, Manner { noise_scale: Some(f32::NAN), ..manner }, "noise of NaN");
    refused(&CLAUSE, Manner { noise_scale_duration: Some(-1.0), ..manner }, "noise of -1");
    for lengths in [&LENGTHS[..8], &[0, 1, 1, 1, 1, 1, 1, 1, 1], &[LONGEST + 1, 1, 1, 1, 1, 1, 1, 1, 1]] {
        assert!(matches!(voice.begin_with(&CLAUSE, manner, lengths), Err(GraphError::Size { .. })), "{lengths:?}");
    }
}

fn nothing_is_allocated_in_the_steady_state(path: &Path) {
    for threads in [1, 2] {
        let mut voice = voice(path, Isa::detect(), threads);
        let mut run = || {
            voice.begin_with(&CLAUSE, Manner::default(), &LENGTHS).expect("a clause");
            while voice.next_chunk().expect("a chunk").is_some() {}
        };
        run();
        let before = allocations();
        run();
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
    }
    let folder = ModelFolder::open(path).expect("a voice");
    let refused = VitsGraph::new_within(folder, Options { isa: Isa::detect(), threads: 1 }, 10_000);
    assert!(matches!(refused, Err(GraphError::Memory { .. })), "{refused:?}");
}

fn damaged_folders_are_named(path: &Path, pairs: bool) {
    let problem = |wanted: &str| {
        let error = open(path, Isa::detect(), 1).map(drop).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
    };
    let write = |config: &Value| fs::write(path.join("config.json"), config.to_string()).expect("config.json");
    for (field, value, wanted) in [
        ("hidden_size", json!(48), "hidden_size is 48"),
        ("prior_encoder_num_flows", json!(3), "not an even number"),
        ("upsample_rates", json!([3, 2]), "an upsampling of 3"),
        ("resblock_dilation_sizes", json!([[1, 2]]), "not one list for each"),
        ("duration_predictor_flow_bins", json!(0), "duration_predictor_flow_bins is 0"),
        ("noise_scale", json!(-1.0), "noise_scale is -1"),
        ("espeak_voice", json!("-x"), "not the name of a voice"),
    ] {
        let mut changed = config(pairs);
        changed[field] = value;
        write(&changed);
        problem(wanted);
    }
    write(&config(pairs));
    let mut all = tensors(&serde_json::from_value::<VitsConfig>(config(pairs)).expect("a configuration"));
    let folder = folder(pairs);
    all.remove("decoder.output.bias");
    folder.weights(&all);
    let error = open(&folder.0, Isa::detect(), 1).map(drop).expect_err("a tensor is missing").to_string();
    assert!(error.contains("decoder.output.bias"), "{error}");
    all.insert("decoder.output.bias".into(), (false, vec![32]));
    folder.weights(&all);
    let error = open(&folder.0, Isa::detect(), 1).map(drop).expect_err("a tensor is misshapen").to_string();
    assert!(error.contains("should be") && error.contains("decoder.output.bias"), "{error}");
}
