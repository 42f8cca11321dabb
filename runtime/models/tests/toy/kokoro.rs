//! Kokoro's voices, small, with weights by formula.

use std::collections::BTreeMap;
use std::fs;

use ossicle_models::kokoro::{KokoroConfig, STYLES, sizes};
use serde_json::{Value, json};

use super::Folder;

pub(crate) fn config() -> Value {
    json!({
        "kind": "kokoro", "numerics_version": 1,
        "sampling_rate": 8000, "vocab_size": 40, "max_tokens": 64, "max_frames": 60, "style_size": 16,
        "embedding_size": 16, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "layer_norm_eps": 1e-12, "width": 64, "num_layers": 2, "kernel_size": 5, "max_duration": 7,
        "decoder_width": 80, "residual_width": 16, "upsample_rates": [4, 2], "resblock_kernel_sizes": [3, 5],
        "resblock_dilations": [1, 3], "source_kernel_sizes": [3, 5], "voices": ["one", "two"],
    })
}

/// Tensors while they are listed.
struct Shapes(BTreeMap<String, (bool, Vec<usize>)>);

impl Shapes {
    fn floats(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), (false, shape.to_vec()));
    }

    fn linear(&mut self, name: &str, outputs: usize, depth: usize) {
        self.unbiased(name, outputs, depth);
        self.floats(&format!("{name}.bias"), &[outputs.next_multiple_of(16)]);
    }

    fn unbiased(&mut self, name: &str, outputs: usize, depth: usize) {
        let padded = outputs.next_multiple_of(16);
        self.0.insert(format!("{name}.weight"), (true, vec![padded / 16, depth / 4, 16, 4]));
        self.floats(&format!("{name}.weight_scale"), &[padded]);
    }

    fn float_linear(&mut self, name: &str, depth: usize, outputs: usize) {
        self.floats(&format!("{name}.weight"), &[depth, outputs]);
        self.floats(&format!("{name}.bias"), &[outputs]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.floats(&format!("{name}.weight"), &[width]);
        self.floats(&format!("{name}.bias"), &[width]);
    }

    fn lstm(&mut self, name: &str, width: usize, hidden: usize) {
        for way in ["forward", "backward"] {
            self.linear(&format!("{name}.{way}.input"), 4 * hidden, width);
            self.unbiased(&format!("{name}.{way}.recurrent"), 4 * hidden, hidden);
        }
    }

    fn block(&mut self, name: &str, [inputs, outputs, style]: [usize; 3], twice: bool) {
        if inputs != outputs || twice {
            self.linear(&format!("{name}.shortcut"), outputs, inputs);
        }
        if twice {
            self.floats(&format!("{name}.pool.weight"), &[3, inputs]);
            self.floats(&format!("{name}.pool.bias"), &[inputs]);
        }
        for (part, inputs) in [("first", inputs), ("second", outputs)] {
            self.linear(&format!("{name}.{part}"), 3 * outputs, inputs);
            self.linear(&format!("{name}.{part}.style"), 2 * inputs, style);
        }
    }

    fn residual(&mut self, name: &str, dilations: usize, [channels, taps, style]: [usize; 3]) {
        for (i, part) in (0..dilations).flat_map(|i| ["first", "second"].map(|part| (i, part))) {
            let name = format!("{name}.{i}.{part}");
            self.linear(&name, taps * channels, channels);
            self.linear(&format!("{name}.style"), 2 * channels, style);
            self.floats(&format!("{name}.turns"), &[channels]);
            self.floats(&format!("{name}.inverse"), &[channels]);
        }
    }
}

/// Shapes of the tensors, by name.
pub(crate) fn tensors(config: &KokoroConfig) -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut all = Shapes(BTreeMap::new());
    let (width, hidden, style, outputs) = (config.width, config.hidden_size, config.style_size, config.decoder_width);
    all.floats("bert.embedding.words", &[config.vocab_size, config.embedding_size]);
    all.floats("bert.embedding.positions", &[config.max_tokens, config.embedding_size]);
    all.norm("bert.embedding.norm", config.embedding_size);
    all.linear("bert.input", hidden, config.embedding_size);
    all.linear("bert.layer.qkv", 3 * hidden, hidden);
    all.linear("bert.layer.output", hidden, hidden);
    all.linear("bert.layer.feed_forward.up", config.intermediate_size, hidden);
    all.linear("bert.layer.feed_forward.down", hidden, config.intermediate_size);
    all.norm("bert.layer.norm", hidden);
    all.norm("bert.layer.feed_forward.norm", hidden);
    all.linear("bert.output", width, hidden);
    all.floats("text.embedding", &[config.vocab_size, width]);
    for i in 0..config.num_layers {
        all.lstm(&format!("prosody_text.{i}.lstm"), width + style, width / 2);
        all.linear(&format!("prosody_text.{i}.style"), 2 * width, style);
        all.linear(&format!("text.convs.{i}"), config.kernel_size * width, width);
        all.norm(&format!("text.convs.{i}.norm"), width);
    }
    all.lstm("text.lstm", width, width / 2);
    all.lstm("durations.lstm", width + style, width / 2);
    all.linear("durations.output", config.max_duration, width);
    all.lstm("prosody.lstm", width + style, width / 2);
    for name in ["pitch", "energy"] {
        all.block(&format!("{name}.0"), [width, width, style], false);
        all.block(&format!("{name}.1"), [width, width / 2, style], true);
        all.block(&format!("{name}.2"), [width / 2, width / 2, style], false);
        all.float_linear(&format!("{name}.output"), width / 2, 16);
    }
    all.floats("curves", &[2, 16]);
    all.block("decoder.encode", [config.text_row(), outputs, style], false);
    all.linear("decoder.residual", config.residual_width, width);
    for i in 0..sizes::BLOCKS {
        let last = i + 1 == sizes::BLOCKS;
        all.block(&format!("decoder.{i}"), [config.decoder_row(), if last { width } else { outputs }, style], last);
    }
    all.floats("source.mix", &[16]);
    all.floats("source.basis", &[sizes::FRAME, sizes::PARTS]);
    for (stage, rate) in config.upsample_rates.iter().enumerate() {
        let (name, channels) = (format!("generator.{stage}"), config.channels(stage + 1));
        let stride: usize = config.upsample_rates[stage + 1..].iter().product();
        let window = if stride == 1 { 1 } else { 2 * stride };
        let dilations = config.resblock_dilations.len();
        all.float_linear(&format!("{name}.source"), window * sizes::SPECTRUM, channels);
        all.residual(&format!("{name}.source.block"), dilations, [channels, config.source_kernel_sizes[stage], style]);
        all.linear(&format!("{name}.upsample"), 2 * rate * channels, config.channels(stage));
        for (block, &taps) in config.resblock_kernel_sizes.iter().enumerate() {
            all.residual(&format!("{name}.blocks.{block}"), dilations, [channels, taps, style]);
        }
    }
    all.float_linear("head", config.channels(config.upsample_rates.len()), sizes::PRODUCTS);
    all.floats("head.spectrum_bias", &[32]);
    all.floats("head.basis", &[32, sizes::WINDOW]);
    for voice in &config.voices {
        all.floats(&format!("voices.{voice}"), &[STYLES, 2 * style]);
    }
    all.0
}

pub(crate) fn folder() -> Folder {
    let config = config();
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    let folder = Folder::of("kokoro", &config, &tensors);
    let letters = ('a'..='z').zip(5..).map(|(letter, number)| (letter.to_string(), json!(number)));
    let signs = [(" ", 1), (".", 2), (",", 3)].map(|(sign, number)| (sign.to_owned(), json!(number)));
    let symbols: serde_json::Map<String, Value> = letters.chain(signs).collect();
    fs::write(folder.0.join("vocab.json"), Value::Object(symbols).to_string()).expect("vocab.json");
    folder
}
