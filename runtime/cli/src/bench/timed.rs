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
    /// When the last prompt was in.
    pub(crate) prefill_end: Times,
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
        self.notes.prefill_end = self.clock.now();
        self.notes.prefill += self.notes.prefill_end - start;
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
