//! What the float reference says to each clip: the measure that an int8 engine is held against.

use crate::Error;
use crate::generation::GenerationConfig;
use crate::reference::{Decoder, Rows, Tap};

/// What the float reference computed on the way, for comparing an int8 engine with it.
pub struct Floats {
    /// Mel windows, frame-major.
    pub windows: Vec<Vec<f32>>,
    /// Frames of each window.
    pub frames: usize,
    /// Encoder outputs.
    pub encoded: Vec<Rows>,
    /// Tokens of each clip: the prompt, then what greedy decoding gave.
    pub tokens: Vec<Vec<u32>>,
    /// Length of the prompt.
    pub prompt: usize,
    /// Logits at each generated position of each clip.
    pub logits: Vec<Vec<Vec<f32>>>,
}

/// Transcription in English without timestamps.
pub(crate) fn prompt(g: &GenerationConfig) -> Vec<u32> {
    let mut prompt = vec![g.decoder_start_token_id];
    if g.is_multilingual {
        prompt.extend(g.lang_to_id.get("<|en|>"));
        prompt.extend(g.task_to_id.get("transcribe"));
    }
    prompt.push(g.no_timestamps_token_id);
    prompt
}

/// The tokens, prompt included, and the logits at each generated one.
type Decoded = (Vec<u32>, Vec<Vec<f32>>);

/// The likeliest text of one clip, up to `length` tokens; `tap` sees the inputs of every layer on the way.
pub(crate) fn greedy(
    decoder: &Decoder<'_>,
    encoded: &Rows,
    prompt: &[u32],
    length: usize,
    g: &GenerationConfig,
    tap: &mut dyn FnMut(Tap<'_>),
) -> Result<Decoded, Error> {
    let cross = decoder.cross(encoded, tap)?;
    let mut tokens = prompt.to_vec();
    while tokens.len() < length {
        let last = decoder.logits(&tokens, tokens.len() - 1, &cross, &mut |_| {})?;
        let next = pick(&last[0], g, tokens.len() == prompt.len());
        if next == g.eos_token_id {
            break;
        }
        tokens.push(next);
    }
    let logits = decoder.logits(&tokens, prompt.len() - 1, &cross, tap)?;
    Ok((tokens, logits))
}

/// The likeliest token that may be generated: no suppressed one and no timestamp.
pub(crate) fn pick(logits: &[f32], g: &GenerationConfig, first: bool) -> u32 {
    let allowed = |token: u32| {
        token <= g.no_timestamps_token_id && !g.suppress_tokens.contains(&token) && !(first && g.begin_suppress_tokens.contains(&token))
    };
    let best = (0u32..).zip(logits).filter(|(token, _)| allowed(*token)).max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(g.eos_token_id, |(token, _)| token)
}
