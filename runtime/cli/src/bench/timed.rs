//! An engine that notes how long its calls take.

use ossicle::whisper::engine::{Dims, Engine, EngineError, LogitsFor};
use ossicle_kernels::simd::Isa;

use super::clock::{Clock, Times};

/// Passes every call on to the engine inside.
pub(crate) struct Timed<E> {
    inner: E,
    clock: Clock,
    /// What was noted since [`Timed::restart`].
    pub(crate) notes: Notes,
    prompt_tokens: usize,
}

/// One transcription's times.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    /// When the first encoder run began.
    pub(crate) encode_start: Option<Times>,
    /// In encoder runs.
    pub(crate) encode: Times,
    /// Decoder calls for prompts.
    pub(crate) prefill: Times,
    /// Decoder calls for single tokens behind the prompt.
    pub(crate) tokens: usize,
    /// From prompts to the next encoder run; what follows the last prompt is open.
    decode: Times,
    /// When the last prompt was in, if no encoder run followed.
    prefill_end: Option<Times>,
}

impl Notes {
    /// Everything between prompts and the next window, or `end`.
    pub(crate) fn decode(&self, end: Times) -> Times {
        let mut decode = self.decode;
        if let Some(prefill_end) = self.prefill_end {
            decode += end - prefill_end;
        }
        decode
    }
}

impl<E: Engine> Timed<E> {
    /// Calls up to position `prompt_tokens` count as prefill.
    pub(crate) fn new(inner: E, clock: Clock, prompt_tokens: usize) -> Self {
        Self { inner, clock, notes: Notes::default(), prompt_tokens }
    }

    /// Forgets all notes.
    pub(crate) fn restart(&mut self) {
        self.notes = Notes::default();
    }
}

impl<E: Engine> Engine for Timed<E> {
    fn dims(&self) -> Dims {
        self.inner.dims()
    }

    fn isa(&self) -> Isa {
        self.inner.isa()
    }

    fn encode(&mut self, mel: &[f32], frames: usize) -> Result<(), EngineError> {
        let start = self.clock.now();
        self.notes.encode_start.get_or_insert(start);
        self.notes.decode = self.notes.decode(start);
        self.notes.prefill_end = None;
        self.inner.encode(mel, frames)?;
        self.notes.encode += self.clock.now() - start;
        Ok(())
    }

    fn encoder_output(&self) -> &[f32] {
        self.inner.encoder_output()
    }

    fn decode(&mut self, tokens: &[u32], out: LogitsFor) -> Result<&[f32], EngineError> {
        if self.inner.position() >= self.prompt_tokens {
            self.notes.tokens += tokens.len();
            return self.inner.decode(tokens, out);
        }
        let start = self.clock.now();
        let logits = self.inner.decode(tokens, out)?;
        let end = self.clock.now();
        self.notes.prefill += end - start;
        self.notes.prefill_end = Some(end);
        Ok(logits)
    }

    fn position(&self) -> usize {
        self.inner.position()
    }

    fn rewind(&mut self, position: usize) {
        self.inner.rewind(position);
    }

    fn align(&mut self, tokens: &[u32], heads: &[(usize, usize)]) -> Result<(), EngineError> {
        self.inner.align(tokens, heads)
    }

    fn head_weights(&mut self, index: usize, out: &mut [f32]) -> Result<(), EngineError> {
        self.inner.head_weights(index, out)
    }
}
