//! A language model over codes with weights by formula: bits, what the rows share, allocations, memory and refusals.

mod counting;
mod toy;

use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::audiogen::{AudiogenConfig, AudiogenGraph, Limits};
use ossicle_models::folder::{FolderError, ModelConfig, ModelFolder};
use ossicle_models::{GraphError, Options};
use serde_json::json;
use toy::Folder;
use toy::audiogen::{WIDTH, config, folder, tensors};

fn open(folder: &Folder) -> Result<Arc<ModelFolder<AudiogenConfig>>, FolderError> {
    ModelFolder::open(&folder.0)
}

fn graph(folder: &Folder, isa: Isa, threads: usize, rows: usize) -> AudiogenGraph {
    let limits = Limits { rows, steps: 36, text: 21 };
    AudiogenGraph::new(open(folder).expect("a folder"), Options { isa, threads }, limits).expect("a graph")
}

fn text(rows: usize, width: usize) -> Vec<f32> {
    (0..rows * width).map(|i| ((i * i + 7 * i) % 511) as f32 / 256.0 - 1.0).collect()
}

fn tokens(step: usize) -> [u32; 3] {
    let step = step as u32;
    if step == 0 { [48; 3] } else { [(5 * step) % 48, (step * step) % 49, (11 * step + 3) % 48] }
}

/// The logits of each step, `[steps][rows][logits]`.
fn run(graph: &mut AudiogenGraph, text: &[f32], steps: usize) -> Vec<Vec<u32>> {
    graph.start(text).expect("a description");
    let step = |step| graph.step(&tokens(step)).expect("a step").iter().map(|x| x.to_bits()).collect();
    (0..steps).map(step).collect()
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let scalar = Isa::from_name("scalar").expect("scalar");
    for projection in [true, false] {
        let folder = folder(projection);
        let width = open(&folder).expect("a folder").config().text_size;
        let logits = 3 * 48;
        for rows in [1, 5, 16, 21] {
            let text = text(rows, width);
            let both = run(&mut graph(&folder, scalar, 1, 2), &text, 20);
            assert!(both[3] != both[4] && both.iter().flatten().all(|&x| f32::from_bits(x).is_finite()));
            // Each row is what it would be alone; the second is what no description gives.
            let (with, without) = (run(&mut graph(&folder, scalar, 1, 1), &text, 20), run(&mut graph(&folder, scalar, 1, 1), &[], 20));
            for (step, both) in both.iter().enumerate() {
                assert!(both[..logits] == with[step] && both[logits..] == without[step], "step {step}");
                assert!(with[step] != without[step]);
            }
            for isa in Isa::available() {
                for threads in 1..=3 {
                    let mut graph = graph(&folder, isa, threads, 2);
                    // A longer description before, and a longer sequence.
                    run(&mut graph, &self::text(21, width), 36);
                    for _ in 0..2 {
                        assert!(run(&mut graph, &text, 20) == both, "{isa}, {threads} threads, {rows} rows of text");
                    }
                }
            }
        }
    }
    let folder = folder(true);
    nothing_is_allocated(&folder);
    wrong_input_is_refused(&folder);
    missing_tensors_are_named(&folder);
    wrong_figures_are_named();
}

fn nothing_is_allocated(folder: &Folder) {
    for threads in [1, 2] {
        let mut graph = graph(folder, Isa::detect(), threads, 2);
        graph.start(&text(5, 80)).expect("a description");
        graph.step(&tokens(0)).expect("a step");
        let before = allocations();
        for step in 1..36 {
            graph.step(&tokens(step)).expect("a step");
        }
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let plan = graph.memory_plan();
        // Two sequences of 36 steps and 21 rows of text: keys and values of 8 bits in two layers.
        assert!(plan.state > 2 * (2 * 48 + 32) * 2 * WIDTH && plan.buffers > 4 * 2 * WIDTH && plan.weights > 1000, "{plan:?}");
    }
}

fn wrong_input_is_refused(folder: &Folder) {
    let mut graph = graph(folder, Isa::detect(), 1, 2);
    let size = |result: Result<(), GraphError>| matches!(result, Err(GraphError::Size { .. }));
    assert!(size(graph.start(&text(22, 80))) && size(graph.start(&text(1, 79))));
    assert!(matches!(graph.start(&[f32::NAN; 80]), Err(GraphError::Layer(_))));
    graph.start(&text(2, 80)).expect("a description");
    assert!(size(graph.step(&[0, 0]).map(drop)) && size(graph.step(&[0, 0, 49]).map(drop)));
    for step in 0..36 {
        graph.step(&tokens(step)).expect("a step");
    }
    assert!(size(graph.step(&tokens(1)).map(drop)));
    let options = Options { isa: Isa::detect(), threads: 1 };
    let limits = Limits { rows: 2, steps: 36, text: 21 };
    for limits in
        [Limits { rows: 3, ..limits }, Limits { steps: 101, ..limits }, Limits { steps: 0, ..limits }, Limits { text: 513, ..limits }]
    {
        assert!(size(AudiogenGraph::new(open(folder).expect("a folder"), options, limits).map(drop)), "{limits:?}");
    }
    let plan = graph.memory_plan();
    let within = |most| AudiogenGraph::new_within(open(folder).expect("a folder"), options, limits, most).map(drop);
    assert!(matches!(within(plan.buffers + plan.state - 1), Err(GraphError::Memory { .. })));
    within(plan.buffers + plan.state).expect("it fits");
}

fn missing_tensors_are_named(folder: &Folder) {
    let options = Options { isa: Isa::detect(), threads: 1 };
    let all = tensors(open(folder).expect("a folder").config());
    for name in all.keys() {
        let mut without = all.clone();
        without.remove(name);
        folder.weights(&without);
        let limits = Limits { rows: 1, steps: 4, text: 4 };
        let problem = AudiogenGraph::new(open(folder).expect("a folder"), options, limits).expect_err("a tensor is missing").to_string();
        assert!(problem.contains(name.as_str()), "{name}: {problem}");
    }
    folder.weights(&all);
}

fn wrong_figures_are_named() {
    for (key, value) in [
        ("num_hidden_layers", json!(0)),
        ("num_attention_heads", json!(3)),
        ("hidden_size", json!(127)),
        ("ffn_dim", json!(100)),
        ("delays", json!([0, 1])),
        ("delays", json!([0, 1, 1000])),
        ("text_projection", json!(false)),
        ("vocab_size", json!(50)),
    ] {
        let mut config = config(true);
        config[key] = value;
        let config: AudiogenConfig = serde_json::from_value(config).expect("a configuration");
        assert!(config.problem().is_some(), "{config:?}");
    }
}
