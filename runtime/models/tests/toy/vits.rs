//! One of Piper's voices, small, with weights by formula.

use std::collections::BTreeMap;
use std::fs;

use ossicle_models::vits::VitsConfig;
use serde_json::{Value, json};

use super::Folder;

/// Residual blocks of single convolutions, or of pairs.
pub(crate) fn config(pairs: bool) -> Value {
    json!({
        "kind": "vits", "numerics_version": 1,
        "sampling_rate": 16_000, "vocab_size": 40, "max_tokens": 64, "hidden_size": 32, "ffn_dim": 48, "ffn_kernel_size": 3,
        "num_hidden_layers": 2, "num_attention_heads": 2, "window_size": 3,
        "depth_separable_num_layers": 2, "duration_predictor_kernel_size": 3, "duration_predictor_num_flows": 3,
        "duration_predictor_flow_bins": 5, "duration_predictor_tail_bound": 5.0,
        "prior_encoder_num_flows": 2, "prior_encoder_num_wavenet_layers": 2, "wavenet_kernel_size": 5, "wavenet_dilation_rate": 2,
        "upsample_initial_channel": 64, "upsample_rates": [4, 2], "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 2], [2, 6]], "resblock_pairs": pairs, "leaky_relu_slope": 0.1,
        "noise_scale": 0.667, "noise_scale_duration": 0.8, "length_scale": 1.0, "espeak_voice": "en-us", "language": "en-US",
    })
}

/// Shapes of the tensors, by name.
pub(crate) fn tensors(config: &VitsConfig) -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    let width = config.hidden_size;
    let mut floats = |name: String, shape: &[usize]| tensors.insert(name, (false, shape.to_vec()));
    let mut linears = vec![];
    let places = (2 * config.window_size + 1).next_multiple_of(16);
    floats("text.embedding".into(), &[config.vocab_size, width]);
    for i in 0..config.num_hidden_layers {
        let name = format!("text.layers.{i}");
        let taps = config.ffn_kernel_size;
        linears.push((format!("{name}.qkv"), 3 * width, width));
        linears.push((format!("{name}.output"), width, width));
        linears.push((format!("{name}.feed_forward.up"), taps * config.ffn_dim, width));
        linears.push((format!("{name}.feed_forward.down"), taps * width, config.ffn_dim));
        floats(format!("{name}.relative_keys"), &[config.head_size(), places]);
        floats(format!("{name}.relative_values"), &[places, config.head_size()]);
        for part in ["norm.weight", "norm.bias", "feed_forward.norm.weight", "feed_forward.norm.bias"] {
            floats(format!("{name}.{part}"), &[width]);
        }
    }
    linears.push(("text.output".into(), 2 * width, width));
    let mut stacks = vec!["durations.convs".to_owned()];
    let mut dense = vec![("durations.input".to_owned(), width), ("durations.condition".to_owned(), width)];
    for i in 0..config.duration_predictor_num_flows {
        let name = format!("durations.splines.{i}");
        floats(format!("{name}.input.weight"), &[width]);
        floats(format!("{name}.input.bias"), &[width]);
        stacks.push(format!("{name}.convs"));
        dense.push((format!("{name}.output"), config.spline_values().next_multiple_of(16)));
    }
    floats("durations.affine".into(), &[16]);
    for (stack, i) in stacks.iter().flat_map(|stack| (0..config.depth_separable_num_layers).map(move |i| (stack, i))) {
        let name = format!("{stack}.{i}");
        floats(format!("{name}.depthwise.weight"), &[config.duration_predictor_kernel_size, width]);
        for part in ["depthwise.bias", "norm_1.weight", "norm_1.bias", "norm_2.weight", "norm_2.bias"] {
            floats(format!("{name}.{part}"), &[width]);
        }
        dense.push((format!("{name}.point"), width));
    }
    for (name, outputs) in dense {
        floats(format!("{name}.weight"), &[width, outputs]);
        floats(format!("{name}.bias"), &[outputs]);
    }
    for i in 0..config.prior_encoder_num_flows {
        linears.push((format!("flow.{i}.enter"), width, width / 2));
        linears.push((format!("flow.{i}.leave"), width / 2, width));
        for layer in 0..config.prior_encoder_num_wavenet_layers {
            let last = layer + 1 == config.prior_encoder_num_wavenet_layers;
            linears.push((format!("flow.{i}.layers.{layer}.in"), config.wavenet_kernel_size * 2 * width, width));
            linears.push((format!("flow.{i}.layers.{layer}.out"), if last { width } else { 2 * width }, width));
        }
    }
    linears.push(("decoder.input".into(), 7 * config.channels(0), width));
    for (stage, rate) in config.upsample_rates.iter().enumerate() {
        let (name, channels) = (format!("decoder.stages.{stage}"), config.channels(stage + 1));
        linears.push((format!("{name}.upsample"), 2 * rate * channels, config.channels(stage)));
        for (block, taps) in config.resblock_kernel_sizes.iter().enumerate() {
            for i in 0..config.resblock_dilation_sizes[block].len() {
                let parts: &[&str] = if config.resblock_pairs { &[".first", ".second"] } else { &[""] };
                linears.extend(parts.iter().map(|part| (format!("{name}.blocks.{block}.{i}{part}"), taps * channels, channels)));
            }
        }
    }
    floats("decoder.output.weight".into(), &[config.channels(config.upsample_rates.len()), 16]);
    floats("decoder.output.bias".into(), &[16]);
    for (name, outputs, depth) in linears {
        tensors.insert(format!("{name}.weight"), (true, vec![outputs / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![outputs]));
        tensors.insert(format!("{name}.bias"), (false, vec![outputs]));
    }
    tensors
}

pub(crate) fn folder(pairs: bool) -> Folder {
    let config = config(pairs);
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    let folder = Folder::of(&format!("vits-{pairs}"), &config, &tensors);
    let letters = ('a'..='z').zip(5..).map(|(letter, number)| (letter.to_string(), json!(number)));
    let around = [("_", 0), ("^", 1), ("$", 2), (" ", 3), (".", 4), (",", 31), ("?", 32), ("ˈ", 33)]
        .map(|(sign, number)| (sign.to_owned(), json!(number)));
    let symbols: serde_json::Map<String, Value> = letters.chain(around).collect();
    fs::write(folder.0.join("vocab.json"), Value::Object(symbols).to_string()).expect("vocab.json");
    folder
}
