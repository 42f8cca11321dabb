//! The bundled voice: bits, chunks, allocations, the memory plan and refusals.

mod counting;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::hibari::{CURVE, CURVES, HibariConfig, HibariGraph, LONGEST};
use ossicle_models::{GraphError, Options};
use serde_json::{Value, json};

/// "ðə lˈIt ɪz ˈɔn."
const CLAUSE: [u32; 16] = [0, 81, 83, 16, 54, 156, 25, 62, 16, 102, 68, 16, 156, 76, 4, 0];

fn voice_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/hibari")
}

fn open(path: &Path) -> Result<Arc<ModelFolder<HibariConfig>>, FolderError> {
    ModelFolder::open(path)
}

fn voice(isa: Isa, threads: usize) -> HibariGraph {
    HibariGraph::new(open(&voice_folder()).expect("the bundled voice"), Options { isa, threads }).expect("graphs")
}

/// Pitch and spectra of a clause that has begun, as bits.
fn rest(voice: &mut HibariGraph) -> (Vec<u32>, Vec<u32>) {
    let (mut pitch, mut spectra) = (vec![], vec![]);
    while let Some(chunk) = voice.next_chunk().expect("a chunk") {
        assert_eq!(chunk.first * CURVES * CURVE, spectra.len(), "chunks follow one another");
        assert!(chunk.first.is_multiple_of(16), "spectra begin at whole batches");
        pitch.extend(chunk.pitch.iter().map(|x| x.to_bits()));
        spectra.extend(chunk.spectra.iter().map(|x| x.to_bits()));
        assert!(pitch.len() * CURVES * CURVE >= spectra.len(), "pitch comes first");
    }
    (pitch, spectra)
}

fn say(voice: &mut HibariGraph, clause: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let frames = voice.begin(clause, 1.0).expect("a clause");
    let (pitch, spectra) = rest(voice);
    assert_eq!((pitch.len(), spectra.len()), (frames, frames * CURVES * CURVE));
    (pitch, spectra)
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let mut first = voice(Isa::detect(), 1);
    let wanted = say(&mut first, &CLAUSE);
    let durations: Vec<u32> = first.durations().to_vec();
    let pitch: Vec<f32> = wanted.0.iter().map(|&bits| f32::from_bits(bits)).collect();
    let voiced: Vec<f32> = pitch.iter().copied().filter(|&hertz| hertz > 40.0).collect();
    let mean = voiced.iter().sum::<f32>() / voiced.len() as f32;
    assert!((120.0..320.0).contains(&mean) && voiced.len() > pitch.len() / 4, "{mean} Hz over {} of {} frames", voiced.len(), pitch.len());
    every_instruction_set_has_the_same_bits(&wanted);
    a_clause_leaves_nothing_behind(&mut first, &wanted);
    rows_do_not_hang_on_what_is_far_away(&mut first, &durations);
    nothing_is_allocated_in_the_steady_state();
    speeds_change_lengths(&mut first);
    what_cannot_be_said_is_refused(&mut first);
    damaged_folders_are_named();
}

fn every_instruction_set_has_the_same_bits(wanted: &(Vec<u32>, Vec<u32>)) {
    for isa in Isa::available() {
        for threads in 1..=3 {
            assert!(say(&mut voice(isa, threads), &CLAUSE) == *wanted, "{isa} with {threads} threads differs");
        }
    }
}

fn a_clause_leaves_nothing_behind(voice: &mut HibariGraph, wanted: &(Vec<u32>, Vec<u32>)) {
    // A longer one, one that is given up, and a shorter one before it.
    let long: Vec<u32> = CLAUSE.iter().copied().cycle().take(300).collect();
    say(voice, &long);
    voice.begin(&long, 1.0).expect("a clause");
    voice.next_chunk().expect("a chunk");
    say(voice, &CLAUSE[..3]);
    assert!(say(voice, &CLAUSE) == *wanted, "what was said before is heard");
}

/// Behind the durations there are only convolutions: a clause whose last phoneme lasts longer has the same frames as far as those reach.
fn rows_do_not_hang_on_what_is_far_away(voice: &mut HibariGraph, durations: &[u32]) {
    let mut lengths = durations.to_vec();
    lengths[0] = LONGEST;
    lengths[CLAUSE.len() - 1] = LONGEST;
    voice.begin_with(&CLAUSE, &lengths).expect("a clause");
    let (_, whole) = rest(voice);
    lengths[CLAUSE.len() - 1] -= 1;
    voice.begin_with(&CLAUSE, &lengths).expect("a clause");
    let (_, shorter) = rest(voice);
    let frame = CURVES * CURVE;
    // 54 prosody frames and 27 of the decoder.
    let same = shorter.len() / frame - 2 * 54 - 27;
    assert!(whole[..same * frame] == shorter[..same * frame]);
    assert!(whole[..shorter.len()] != shorter[..], "the end is heard");
}

fn nothing_is_allocated_in_the_steady_state() {
    for threads in [1, 2] {
        let mut voice = voice(Isa::detect(), threads);
        let mut run = || {
            voice.begin(&CLAUSE, 1.0).expect("a clause");
            while voice.next_chunk().expect("a chunk").is_some() {}
        };
        run();
        let before = allocations();
        run();
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let plan = voice.memory_plan();
        assert!(plan.buffers + plan.state < 10_000_000 && plan.weights < 8_000_000, "{plan:?}");
    }
    let folder = open(&voice_folder()).expect("the bundled voice");
    let refused = HibariGraph::new_within(folder, Options { isa: Isa::detect(), threads: 1 }, 100_000);
    assert!(matches!(refused, Err(GraphError::Memory { .. })), "{refused:?}");
}

fn speeds_change_lengths(voice: &mut HibariGraph) {
    let mut frames = |speed: f32| voice.begin(&CLAUSE, speed).expect("a clause");
    let (slow, plain, fast) = (frames(0.5), frames(1.0), frames(2.0));
    assert!(slow > plain + plain / 2 && fast < plain - plain / 4, "{slow} {plain} {fast}");
    assert_eq!(frames(1e30), 2 * CLAUSE.len(), "no phoneme is shorter than one prosody frame");
    assert_eq!(frames(1e-30), 2 * LONGEST as usize * CLAUSE.len(), "nor longer than the longest");
}

fn what_cannot_be_said_is_refused(voice: &mut HibariGraph) {
    for wrong in [&[][..], &[0], &[0; 403]] {
        assert!(matches!(voice.begin(wrong, 1.0), Err(GraphError::Size { .. })), "{} phonemes", wrong.len());
    }
    for speed in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(voice.begin(&CLAUSE, speed).is_err(), "{speed}");
    }
    assert!(voice.begin(&[0, 178, 0], 1.0).is_err_and(|error| error.to_string().contains("178")));
    for wrong in [&[1; 15][..], &[0; 16], &[LONGEST + 1; 16]] {
        assert!(matches!(voice.begin_with(&CLAUSE, wrong), Err(GraphError::Size { .. })));
    }
    assert!(voice.next_chunk().expect("nothing").is_none(), "nothing is left of what was said before");
}

fn damaged_folders_are_named() {
    let folder = std::env::temp_dir().join(format!("ossicle-hibari-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let weights = fs::read(voice_folder().join("model.safetensors")).expect("weights");
    let config: Value = serde_json::from_slice(&fs::read(voice_folder().join("config.json")).expect("a file")).expect("json");
    let options = Options { isa: Isa::detect(), threads: 1 };
    let attempt = |config: &Value, weights: &[u8]| {
        fs::write(folder.join("config.json"), config.to_string()).expect("a file");
        fs::write(folder.join("model.safetensors"), weights).expect("a file");
        let graph = open(&folder).map_err(|error| error.to_string());
        graph.and_then(|folder| HibariGraph::new(folder, options).map_err(|error| error.to_string())).map(drop)
    };
    assert_eq!(attempt(&config, &weights), Ok(()));
    for (path, value, problem) in [
        ("/max_tokens", json!(2000), "max_tokens is 2000, 1 to 1024 are possible"),
        ("/sampling_rate", json!(16_000), "sampling_rate is 16000, 24000 is possible"),
        ("/text/num_attention_heads", json!(3), "heads of a multiple of 16 values are possible"),
        ("/decoder/kernel_size", json!(4), "decoder: kernel_size is 4, not an odd number"),
        ("/prosody/dilations/0", json!(99), "prosody: a dilation is 99, 1 to 32 are possible"),
        ("/prosody/hidden_size", json!(128), "prosody_text is 192 wide and prosody 128, not the same"),
        ("/decoder/intermediate_size", json!(512), "decoder.blocks.0.up.weight"),
    ] {
        let mut wrong = config.clone();
        *wrong.pointer_mut(path).expect("a figure") = value;
        let error = attempt(&wrong, &weights).expect_err(path);
        assert!(error.contains(problem), "{path}: {error}");
    }
    let header = u64::from_le_bytes(*weights.first_chunk().expect("a header")) as usize;
    let tensors: Value = serde_json::from_slice(&weights[8..8 + header]).expect("json");
    let names: Vec<&String> = tensors.as_object().expect("tensors").keys().filter(|name| *name != "__metadata__").collect();
    assert!(names.len() > 150, "{} tensors", names.len());
    for name in names {
        // The same length, so that every other tensor stays where it is.
        let renamed = format!("{}#", &name[..name.len() - 1]);
        let text = String::from_utf8(weights[8..8 + header].to_vec()).expect("text").replacen(
            &format!("\"{name}\""),
            &format!("\"{renamed}\""),
            1,
        );
        let mut wrong = weights.clone();
        wrong[8..8 + header].copy_from_slice(text.as_bytes());
        let error = attempt(&config, &wrong).expect_err(name);
        assert!(error.contains(name.as_str()) && error.contains("missing"), "{name}: {error}");
        let info = &tensors[name.as_str()];
        if info["dtype"] == "F32" {
            let at = 8 + header + info["data_offsets"][0].as_u64().expect("an offset") as usize;
            let mut wrong = weights.clone();
            wrong[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            let error = attempt(&config, &wrong).expect_err(name);
            assert!(error.contains(name.as_str()) && error.contains("not a finite number"), "{name}: {error}");
        }
    }
    fs::remove_dir_all(&folder).expect("a folder");
}
