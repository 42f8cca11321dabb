//! A folder of classes of one's own, made by hand.

use std::fs;
use std::path::Path;

use ossicle_models::folder::{LAYOUT, ModelFolder, NUMERICS_VERSION};
use ossicle_models::yamnet::{YamnetConfig, embedding_sha256};
use serde_json::json;

/// Writes a folder of at most 16 classes to go with `model`, each of which scores `sigmoid(logit)` whatever is heard; as if it read embeddings of
/// so many values.
pub(crate) fn write(folder: &Path, model: &Path, labels: &[&str], logit: f32, embedding: usize) {
    let base = ModelFolder::<YamnetConfig>::open(model).unwrap();
    let (weights, rows) = (16 * embedding, 16 * 4);
    let tensor = |dtype: &str, shape: &[usize], from: usize, bytes: usize| json!({"dtype": dtype, "shape": shape, "data_offsets": [from, from + bytes]});
    let mut header = json!({
        "__metadata__": {"layout": LAYOUT},
        "classifier.weight": tensor("I8", &[1, embedding / 4, 16, 4], 0, weights),
        "classifier.weight_scale": tensor("F32", &[16], weights, rows),
        "classifier.bias": tensor("F32", &[16], weights + rows, rows),
    })
    .to_string();
    // Tensors begin at multiples of 64 bytes.
    header.push_str(&" ".repeat((8 + header.len()).next_multiple_of(64) - 8 - header.len()));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + weights, 0);
    for value in [1.0, logit] {
        file.extend((0..16).flat_map(|_| value.to_le_bytes()));
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("model.safetensors"), file).unwrap();
    let config = json!({
        "kind": "yamnet-classes",
        "numerics_version": NUMERICS_VERSION,
        "num_labels": labels.len(),
        "embedding": embedding,
        "base_sha256": base.weights().sha256(),
        "embedding_sha256": embedding_sha256(&base),
        "thresholds": vec![0.5; labels.len()],
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("labels.txt"), labels.iter().flat_map(|label| [label, "\n"]).collect::<String>()).unwrap();
}
