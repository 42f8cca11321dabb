//! Where the weights that encoder and decoder layers have in common are.

use ossicle_engine::layers::Norm;
use ossicle_engine::weights::{FolderError, LinearSpan, Weights};

/// Self-attention and feed-forward block of one layer.
#[derive(Debug)]
pub(super) struct LayerSpans {
    pub(super) attention_norm: Norm,
    pub(super) qkv: LinearSpan,
    pub(super) out: LinearSpan,
    pub(super) forward_norm: Norm,
    pub(super) first: LinearSpan,
    pub(super) second: LinearSpan,
}

impl LayerSpans {
    /// The layer whose tensors' names start with `prefix`, `width` wide, `inner` inside the feed-forward block.
    pub(super) fn new(folder: &Weights, prefix: &str, width: usize, inner: usize) -> Result<Self, FolderError> {
        let name = |part: &str| format!("{prefix}.{part}");
        Ok(Self {
            attention_norm: norm(folder, &name("self_attn_layer_norm"), width)?,
            qkv: folder.linear_span(&name("self_attn.qkv"), 3 * width, width, true)?,
            out: folder.linear_span(&name("self_attn.out_proj"), width, width, true)?,
            forward_norm: norm(folder, &name("final_layer_norm"), width)?,
            first: folder.linear_span(&name("fc1"), inner, width, true)?,
            second: folder.linear_span(&name("fc2"), width, inner, true)?,
        })
    }
}

/// A layer normalisation by name.
pub(super) fn norm(folder: &Weights, name: &str, width: usize) -> Result<Norm, FolderError> {
    Ok(Norm { gamma: folder.f32_span(&format!("{name}.weight"), &[width])?, beta: folder.f32_span(&format!("{name}.bias"), &[width])? })
}
