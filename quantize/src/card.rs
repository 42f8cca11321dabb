//! The model card, `README.md` of a model folder.

use crate::source::Source;
use ossicle_models::folder::{LAYOUT, NUMERICS_VERSION};

pub(crate) fn text(source: &Source, name: &str, weights_bytes: u64, notes: &str) -> String {
    let config = source.model.config();
    let float_bytes: usize = source.model.tensors().map(|(_, t)| t.source_bytes()).sum();
    let languages = match source.generation.is_multilingual {
        true => format!("{} languages", source.generation.lang_to_id.len()),
        false => "English only".to_owned(),
    };
    let rows = [
        ("kind", format!("Whisper, {languages}")),
        ("encoder", stack(config.encoder_layers, config.encoder_attention_heads, config.encoder_ffn_dim)),
        ("decoder", stack(config.decoder_layers, config.decoder_attention_heads, config.decoder_ffn_dim)),
        ("width", config.d_model.to_string()),
        ("mel bins", config.num_mel_bins.to_string()),
        ("vocabulary", config.vocab_size.to_string()),
        ("parameters", source.model.parameters().to_string()),
        ("weights here", format!("{weights_bytes} bytes, int8 with one f32 scale per output channel, layout {LAYOUT}")),
        ("weights in the source", format!("{float_bytes} bytes, {}", source.format.name())),
        ("numerics version", NUMERICS_VERSION.to_string()),
    ];
    page(name, "Whisper for the Ossicle runtime, made by `ossicle-quantize`.", &rows, notes)
}

/// A card: what it is, a table, and the notes as they are.
pub(crate) fn page(name: &str, introduction: &str, rows: &[(&str, String)], notes: &str) -> String {
    let mut out = format!("# {name}\n\n{introduction}\n\n| | |\n| --- | --- |\n");
    for (key, value) in rows {
        out.push_str(&format!("| {key} | {value} |\n"));
    }
    let notes = notes.trim();
    if !notes.is_empty() {
        out.push_str(&format!("\n{notes}\n"));
    }
    out
}

fn stack(layers: usize, heads: usize, ffn: usize) -> String {
    format!("{layers} layers, {heads} heads, {ffn} wide inside")
}
