//! The bundled head on Whisper's encoder: bits, allocations, the memory plan and refusals.

mod counting;

use std::path::Path;
use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelFolder, WhisperConfig};
use ossicle_models::whisper_events::{STEP_CELLS, STEP_ROWS, WhisperEventsConfig, WhisperEventsGraph};
use ossicle_models::{GraphError, Options};

fn folder<C: ossicle_models::folder::ModelConfig>(name: &str) -> Result<Arc<ModelFolder<C>>, FolderError> {
    ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8").join(name))
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A deterministic stand-in for the encoder's output, with silence in it.
fn rows(steps: usize, width: usize) -> Vec<f32> {
    (0..steps * STEP_ROWS * width)
        .map(|i| match i / (STEP_ROWS * width) {
            1 => 0.0,
            step => ((i * i % 8191) as f32 / 8191.0) * 6.0 - 3.0 + step as f32 * 0.1,
        })
        .collect()
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let folder: Arc<ModelFolder<WhisperEventsConfig>> = folder("whisper-events").expect("the bundled head");
    let config = folder.config();
    let graph = |isa, threads| WhisperEventsGraph::new(Arc::clone(&folder), Options { isa, threads }).expect("graph");
    let rows = rows(6, config.d_model);
    let heard = |graph: &mut WhisperEventsGraph| -> Vec<u32> {
        rows.chunks_exact(STEP_ROWS * config.d_model).flat_map(|rows| bits(graph.run(rows).expect("run"))).collect()
    };
    let mut one = graph(Isa::from_name("scalar").expect("scalar"), 1);
    let wanted = heard(&mut one);
    assert_eq!(wanted.len(), 6 * STEP_CELLS * config.num_labels);
    assert_ne!(heard(&mut one), wanted, "nothing is remembered");
    one.reset();
    assert_eq!(heard(&mut one), wanted, "something is remembered from another recording");
    for isa in Isa::available() {
        for threads in 1..=2 {
            assert!(heard(&mut graph(isa, threads)) == wanted, "{isa} with {threads} threads differs");
        }
    }

    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut head = graph(options.isa, options.threads);
    head.run(&rows[..STEP_ROWS * config.d_model]).expect("run");
    let before = allocations();
    head.run(&rows[..STEP_ROWS * config.d_model]).expect("run");
    head.reset();
    assert_eq!(allocations(), before, "allocations in the steady state");
    assert_eq!(head.buffer_bytes(), WhisperEventsGraph::memory_plan(&folder, options).expect("a plan").buffers, "slots are not as planned");

    let refused = head.run(&rows[1..STEP_ROWS * config.d_model]);
    assert!(matches!(refused, Err(GraphError::Size { .. })), "{refused:?}");
    let other = self::folder::<WhisperConfig>("whisper-events").expect_err("a head is no Whisper");
    assert!(other.to_string().contains("kind is \"whisper-events\", not \"whisper\""), "{other}");
}
