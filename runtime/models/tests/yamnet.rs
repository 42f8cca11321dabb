//! The real YAMNet: bits, allocations, the memory plan and refusals.

mod counting;

use std::path::Path;
use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::yamnet::{MAX_PATCHES, YamnetConfig, YamnetGraph};
use ossicle_models::{GraphError, Options};
use ossicle_trace::{Header, Trace, Writer, WriterOptions};

const PATCH: usize = 96 * 64;
const LABELS: usize = 521;

fn folder() -> Arc<ModelFolder<YamnetConfig>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/yamnet");
    ModelFolder::open(&path).expect("the bundled model")
}

/// A deterministic stand-in for log-mel patches, one of them silence.
fn mel(patches: usize) -> Vec<f32> {
    (0..patches * PATCH)
        .map(|i| match i / PATCH {
            1 => 0.001f32.ln(),
            patch => ((i * i % 8191) as f32 / 8191.0) * 6.0 - 6.0 + ((i % 64) as f32 / 20.0) * (patch as f32 - 1.0),
        })
        .collect()
}

fn graph(isa: Isa, threads: usize) -> YamnetGraph {
    YamnetGraph::new(folder(), Options { isa, threads }).expect("graph")
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn trace(isa: Isa, threads: usize, patches: usize) -> Trace {
    let mut yamnet = graph(isa, threads);
    let writer = Arc::new(Writer::new(Vec::new(), &Header::default(), WriterOptions::default()).expect("memory"));
    yamnet.set_tap(Some(writer.clone()));
    yamnet.run(&mel(patches), patches).expect("run");
    yamnet.set_tap(None);
    let writer = Arc::into_inner(writer).expect("the only handle");
    Trace::read(&writer.finish().expect("memory")[..], None).expect("a trace")
}

/// Scores of patches one after another, a third of a patch apart, by the trained head.
fn heard(graph: &mut YamnetGraph, mel: &[f32]) -> Vec<u32> {
    let third = PATCH / 3;
    let scored = |patch| {
        let mut scores = bits(graph.run(patch, 1).expect("run"));
        scores.extend(bits(graph.near_scores()));
        scores
    };
    mel.windows(PATCH).step_by(third).flat_map(scored).collect()
}

/// Part of the one test, for the allocations.
fn a_head_has_the_same_bits_and_remembers_one_recording() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/sound-events");
    let folder: Arc<ModelFolder<YamnetConfig>> = ModelFolder::open(&path).expect("the bundled model");
    let graph = |isa, threads| YamnetGraph::new(Arc::clone(&folder), Options { isa, threads }).expect("graph");
    let mel = mel(3);
    let mut one = graph(Isa::from_name("scalar").expect("scalar"), 1);
    let wanted = heard(&mut one, &mel);
    let config = folder.config();
    assert_eq!(wanted.len(), 7 * (config.cells() * config.num_labels + config.near_labels));
    near_labels_score_as_the_model_without_a_head(&one, &mel);
    assert_ne!(heard(&mut one, &mel), wanted, "nothing is remembered");
    one.reset();
    assert_eq!(heard(&mut one, &mel), wanted, "something is remembered from another recording");
    for isa in Isa::available() {
        for threads in 1..=2 {
            assert!(heard(&mut graph(isa, threads), &mel) == wanted, "{isa} with {threads} threads differs");
        }
    }

    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut yamnet = graph(options.isa, options.threads);
    yamnet.run(&mel[..PATCH], 1).expect("run");
    let before = allocations();
    yamnet.run(&mel[..PATCH], 1).expect("run");
    yamnet.reset();
    assert_eq!(allocations(), before, "allocations in the steady state of a head");
    assert_eq!(yamnet.buffer_bytes(), YamnetGraph::memory_plan(&folder, options, 1).expect("a plan").buffers, "slots are not as planned");
    let refused = yamnet.run(&mel[..2 * PATCH], 2);
    assert!(matches!(refused, Err(GraphError::Size { most: 1, .. })), "{refused:?}");
}

/// The classifier that a head takes the place of, on the same embedding: the first 521 near labels are its own. `one` heard all of `mel`.
fn near_labels_score_as_the_model_without_a_head(one: &YamnetGraph, mel: &[f32]) {
    let mut alone = graph(Isa::from_name("scalar").expect("scalar"), 1);
    let scores = bits(alone.run(&mel[mel.len() - PATCH..], 1).expect("run"));
    assert!(scores == bits(&one.near_scores()[..LABELS]), "near labels are not the model's own");
}

// No test harness: the allocation count is the whole process's.
fn main() {
    // Emulated cores take minutes for what others do in seconds.
    let patches = if std::env::var_os("OSSICLE_QUICK").is_some() { 2 } else { 5 };
    let scalar = Isa::from_name("scalar").expect("scalar");
    let mel = mel(patches);
    // Patch after patch with the definition; all at once with everything else.
    let mut one = graph(scalar, 1);
    let reference: Vec<u32> = mel.chunks(PATCH).flat_map(|patch| bits(one.run(patch, 1).expect("run"))).collect();
    assert_eq!(reference.len(), patches * LABELS);
    assert!(reference.iter().all(|&score| (0.0..=1.0).contains(&f32::from_bits(score))));
    assert_ne!(reference[..LABELS], reference[LABELS..2 * LABELS], "noise and silence have the same scores");
    for isa in Isa::available() {
        for threads in 1..=3 {
            let got = bits(graph(isa, threads).run(&mel, patches).expect("run"));
            assert!(got == reference, "{isa} with {threads} threads differs");
        }
    }

    // Every tensor too, and each operator is traced.
    let wanted = trace(scalar, 1, 2);
    for op in ["yamnet.stem", "yamnet.layers.0", "yamnet.layers.12", "yamnet.embedding", "yamnet.logits", "yamnet.scores"] {
        assert!(wanted.descriptors.iter().any(|d| d.op == op), "{op} is not traced");
    }
    for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
        let other = trace(isa, threads, 2);
        assert_eq!(other.descriptors, wanted.descriptors);
        let differing = other.records.iter().zip(&wanted.records).find(|(a, b)| a != b);
        assert!(
            differing.is_none(),
            "{:?} with {isa}, {threads} threads",
            differing.map(|(record, _)| other.descriptor(record).to_string())
        );
    }

    for threads in [1, 2] {
        let options = Options { isa: Isa::detect(), threads };
        let mut yamnet = graph(options.isa, threads);
        yamnet.run(&mel, patches).expect("run");
        let before = allocations();
        yamnet.run(&mel, patches).expect("run");
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let planned = YamnetGraph::memory_plan(&folder(), options, patches).expect("a plan").buffers;
        assert_eq!(yamnet.buffer_bytes(), planned, "slots are not as planned");
    }

    let mut yamnet = graph(Isa::detect(), 1);
    for (mel, patches) in [(&mel[..], 0), (&mel[..PATCH], 2), (&mel[1..PATCH], 1), (&[], 1), (&[], MAX_PATCHES + 1), (&[], usize::MAX)] {
        let refused = yamnet.run(mel, patches);
        assert!(matches!(refused, Err(GraphError::Size { .. })), "{patches} patches in {} values: {refused:?}", mel.len());
    }

    a_head_has_the_same_bits_and_remembers_one_recording();
}
