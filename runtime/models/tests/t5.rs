//! A T5 encoder with weights by formula: bits, allocations, memory and refusals.

mod counting;
mod toy;

use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{FolderError, ModelConfig, ModelFolder};
use ossicle_models::t5::{T5Config, T5Graph};
use ossicle_models::{GraphError, Options};
use serde_json::json;
use toy::Folder;
use toy::t5::{config, folder, tensors};

fn open(folder: &Folder) -> Result<Arc<ModelFolder<T5Config>>, FolderError> {
    ModelFolder::open(&folder.0)
}

fn graph(folder: &Folder, isa: Isa, threads: usize) -> T5Graph {
    T5Graph::new(open(folder).expect("a folder"), Options { isa, threads }).expect("a graph")
}

fn tokens(count: u32) -> Vec<u32> {
    (0..count).map(|i| (7 * i * i + i) % 90).collect()
}

fn run(graph: &mut T5Graph, tokens: &[u32]) -> Vec<u32> {
    graph.run(tokens).expect("a text").iter().map(|x| x.to_bits()).collect()
}

// No test harness: the allocation count is the whole process's.
fn main() {
    let folder = folder();
    let scalar = Isa::from_name("scalar").expect("scalar");
    let mut last = vec![];
    for count in [1, 2, 15, 16, 17, 50, 70] {
        let tokens = tokens(count);
        let whole = run(&mut graph(&folder, scalar, 1), &tokens);
        assert!(whole.len() == tokens.len() * 80 && whole.iter().all(|&x| f32::from_bits(x).is_finite()));
        // The rows of a text depend on all of it.
        assert!(last.is_empty() || whole[..80] != last[..80]);
        last.clone_from(&whole);
        for isa in Isa::available() {
            for threads in 1..=3 {
                let mut graph = graph(&folder, isa, threads);
                run(&mut graph, &self::tokens(70));
                for _ in 0..2 {
                    assert!(run(&mut graph, &tokens) == whole, "{isa}, {threads} threads, {count} tokens");
                }
            }
        }
    }
    for threads in [1, 2] {
        let (mut graph, tokens) = (graph(&folder, Isa::detect(), threads), tokens(20));
        run(&mut graph, &tokens);
        let before = allocations();
        graph.run(&tokens).expect("a text");
        assert_eq!(allocations(), before, "allocations in the steady state, {threads} threads");
        let plan = graph.memory_plan();
        assert!(plan.buffers > 4 * 70 * 80 && plan.weights > 90 * 80, "{plan:?}");
    }
    let mut graph = graph(&folder, Isa::detect(), 1);
    for tokens in [&[][..], &[90], &[0; 71]] {
        assert!(matches!(graph.run(tokens), Err(GraphError::Size { .. })), "{tokens:?}");
    }
    let options = Options { isa: Isa::detect(), threads: 1 };
    assert!(matches!(T5Graph::new_within(open(&folder).expect("a folder"), options, 1000), Err(GraphError::Memory { .. })));
    let all = tensors(open(&folder).expect("a folder").config());
    for name in all.keys() {
        let mut without = all.clone();
        without.remove(name);
        folder.weights(&without);
        let problem = T5Graph::new(open(&folder).expect("a folder"), options).expect_err("a tensor is missing").to_string();
        assert!(problem.contains(name.as_str()), "{name}: {problem}");
    }
    for (key, value) in [("d_model", json!(81)), ("num_layers", json!(0)), ("max_tokens", json!(1000)), ("layer_norm_epsilon", json!(0.0))]
    {
        let mut config = config();
        config[key] = value;
        let config: T5Config = serde_json::from_value(config).expect("a configuration");
        assert!(config.problem().is_some(), "{config:?}");
    }
}
