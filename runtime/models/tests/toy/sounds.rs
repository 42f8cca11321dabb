//! A model that makes sounds: the language model with its codec and its encoder of descriptions, all with weights by formula.

use std::fs;

use serde_json::json;

use super::{Folder, audiogen, encodec, t5};

pub(crate) fn folder() -> Folder {
    with(encodec::folder("constant", false))
}

/// The same with a codec of spectra, at 50 frames a second.
pub(crate) fn of_spectra() -> Folder {
    with(super::spectral::folder())
}

fn with(codec: Folder) -> Folder {
    let folder = audiogen::folder(true);
    for (part, name) in [(codec, "codec"), (t5::folder(), "text")] {
        let to = folder.0.join(name);
        fs::create_dir_all(&to).expect("a folder");
        for file in ["config.json", "model.safetensors"] {
            fs::copy(part.0.join(file), to.join(file)).expect("a file");
        }
    }
    let pieces = ["<pad>", "</s>", "<unk>", "\u{2581}", "\u{2581}a", "\u{2581}dog", "bark", "s"];
    let scores: Vec<_> = pieces.iter().zip(0..).map(|(piece, i)| json!([piece, -1.0 - f64::from(i)])).collect();
    let tokenizer = json!({
        "added_tokens": [{"id": 1, "content": "</s>"}], "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true}
        ]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            "special_tokens": {"</s>": {"ids": [1]}}},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": scores},
    });
    fs::write(folder.0.join("text/tokenizer.json"), tokenizer.to_string()).expect("a file");
    // Windows of 98 frames, the most that the model has positions for, each 53 frames after the one before.
    let generation = json!({"guidance_scale": 2.0, "top_k": 20, "window_seconds": 1.0, "stride_seconds": 0.1});
    fs::write(folder.0.join("generation_config.json"), generation.to_string()).expect("a file");
    folder
}
