//! The int8 engine beside the float reference on the same clips: what quantisation costs as a whole.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{LogitsFor, Options, WhisperGraph};
use serde::Serialize;

use crate::Error;
use crate::floats::{Floats, pick};
use crate::generation::GenerationConfig;
use crate::reference::Rows;

/// Cost of int8 on one clip.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Mean over encoder positions of the cosine between int8 and float outputs.
    pub encoder_cosine: f64,
    /// The lowest cosine of one encoder position.
    pub encoder_cosine_min: f64,
    /// Mean cosine of the logits, both decoders being given the float model's tokens.
    pub logits_cosine: f64,
    /// Positions at which both pick the same token.
    pub same_tokens: usize,
    /// Positions compared: the generated tokens and the one after them.
    pub positions: usize,
}

/// Runs the model folder at `folder` on what the float reference ran on; `done` is called after each clip.
///
/// # Errors
/// The runtime refuses the folder.
pub fn compare(folder: &Path, floats: &Floats, g: &GenerationConfig, done: &mut dyn FnMut()) -> Result<Vec<Cost>, Error> {
    let refused = |e: &dyn std::fmt::Display| Error::unsupported(folder, format!("int8 runtime: {e}"));
    let model = ModelFolder::open(folder).map_err(|e| refused(&e))?;
    let mut engine = WhisperGraph::new(model, Options { isa: Isa::detect(), threads: 1 }).map_err(|e| refused(&e))?;
    let mut costs = Vec::new();
    for (clip, window) in floats.windows.iter().enumerate() {
        engine.encode(window, floats.frames).map_err(|e| refused(&e))?;
        let cosines = cosines(engine.encoder_output(), &floats.encoded[clip]);
        engine.rewind(0);
        let (prompt, generated) = floats.tokens[clip].split_at(floats.prompt);
        let (mut same_tokens, mut logits_cosine) = (0, 0.0);
        for (at, float) in floats.logits[clip].iter().enumerate() {
            let next = if at == 0 { prompt } else { &generated[at - 1..at] };
            let int8 = engine.decode(next, LogitsFor::Last).map_err(|e| refused(&e))?;
            same_tokens += usize::from(pick(int8, g, at == 0) == pick(float, g, at == 0));
            logits_cosine += cosine(int8, float);
        }
        let positions = floats.logits[clip].len();
        costs.push(Cost {
            encoder_cosine: cosines.iter().sum::<f64>() / cosines.len() as f64,
            encoder_cosine_min: cosines.iter().copied().fold(1.0, f64::min),
            logits_cosine: logits_cosine / positions as f64,
            same_tokens,
            positions,
        });
        done();
    }
    Ok(costs)
}

fn cosines(int8: &[f32], float: &Rows) -> Vec<f64> {
    int8.chunks_exact(float.width).zip(float.values.chunks_exact(float.width)).map(|(a, b)| cosine(a, b)).collect()
}

/// Cosine of the angle between two vectors; 1 for two that are both zero.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { f64::from(u8::from(dot(a, a) == dot(b, b))) } else { dot(a, b) / norms }
}
