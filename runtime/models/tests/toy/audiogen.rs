//! A language model over codes with weights by formula.

use std::collections::BTreeMap;

use ossicle_models::audiogen::AudiogenConfig;
use serde_json::{Value, json};

use super::Folder;

pub(crate) const WIDTH: usize = 128;

pub(crate) fn config(projection: bool) -> Value {
    json!({
        "kind": "audiogen", "numerics_version": 1, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 160,
        "vocab_size": 48, "num_codebooks": 3, "delays": [0, 1, 2], "max_position_embeddings": 100,
        "text_size": if projection { 80 } else { WIDTH }, "text_projection": projection,
    })
}

pub(crate) fn tensors(config: &AudiogenConfig) -> BTreeMap<String, (bool, Vec<usize>)> {
    let mut tensors = BTreeMap::new();
    tensors.insert("positions".to_owned(), (false, vec![config.max_position_embeddings, WIDTH]));
    let mut norms = vec!["norm".to_owned()];
    let mut linears = vec![("heads".to_owned(), config.logits(), WIDTH, false)];
    if config.text_projection {
        linears.push(("text_projection".to_owned(), WIDTH, config.text_size, true));
    }
    for k in 0..config.num_codebooks {
        linears.push((format!("embed.{k}"), config.vocab_size + 1, WIDTH, false));
    }
    for i in 0..config.num_hidden_layers {
        let name = |part: &str| format!("layers.{i}.{part}");
        norms.extend([name("self_norm"), name("cross_norm"), name("forward_norm")]);
        for (part, outputs, depth) in [
            ("qkv", 3 * WIDTH, WIDTH),
            ("out", WIDTH, WIDTH),
            ("cross_query", WIDTH, WIDTH),
            ("cross_kv", 2 * WIDTH, WIDTH),
            ("cross_out", WIDTH, WIDTH),
            ("up", config.ffn_dim, WIDTH),
            ("down", WIDTH, config.ffn_dim),
        ] {
            linears.push((name(part), outputs, depth, false));
        }
    }
    for name in norms {
        tensors.insert(format!("{name}.weight"), (false, vec![WIDTH]));
        tensors.insert(format!("{name}.bias"), (false, vec![WIDTH]));
    }
    for (name, outputs, depth, biased) in linears {
        let padded = usize::next_multiple_of(outputs, 16);
        tensors.insert(format!("{name}.weight"), (true, vec![padded / 16, depth / 4, 16, 4]));
        tensors.insert(format!("{name}.weight_scale"), (false, vec![padded]));
        if biased {
            tensors.insert(format!("{name}.bias"), (false, vec![padded]));
        }
    }
    tensors
}

pub(crate) fn folder(projection: bool) -> Folder {
    let config = config(projection);
    let tensors = tensors(&serde_json::from_value(config.clone()).expect("a configuration"));
    Folder::of(&format!("audiogen-{projection}"), &config, &tensors)
}
