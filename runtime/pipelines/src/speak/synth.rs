//! What makes samples of a clause's symbols: one implementation for each family of voices.

use std::sync::Arc;

use ossicle_frontend::vocoder::{self, BATCH, FRAME_VALUES, HOP_SAMPLES, Vocoder};
use ossicle_kernels::simd::Isa;
use ossicle_models::hibari::{CHUNK, HibariGraph};
use ossicle_models::vits::{Manner, VitsGraph};
use ossicle_models::{GraphError, MemoryPlan};
use ossicle_trace::{Tap, Tensor, Values};

use super::{Settings, SpeakError};

/// A voice's network, ready to speak.
pub(super) trait Synth: Send {
    fn memory_plan(&self) -> MemoryPlan;

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>);

    /// Samples a second.
    fn sample_rate(&self) -> u32;

    /// Names of the voices, if there are several.
    fn voices(&self) -> &[String] {
        &[]
    }

    /// Speaks in a mixture of these voices where no other is asked for.
    fn choose(&mut self, _: &[(&str, f32)]) -> Result<(), GraphError> {
        Ok(())
    }

    /// Most phonemes of a clause.
    fn most(&self) -> usize;

    /// Begins with a clause, whose number says whose noise is in it. Nothing is left of the one before.
    fn begin(&mut self, clause: &[u32], settings: Settings, number: u32) -> Result<(), SpeakError>;

    /// Computes the next samples; false after the last.
    fn advance(&mut self) -> Result<bool, SpeakError>;

    /// What was computed last.
    fn samples(&self) -> Result<&[f32], SpeakError>;
}

/// The phoneme around each clause of hibari.
const PAD: u32 = 0;

/// Frames that come at once at most: a chunk's, and the two that the vocoder is late by.
const FRAMES: usize = 2 * CHUNK + 2;

/// hibari and its vocoder.
pub(super) struct Hibari {
    graph: HibariGraph,
    vocoder: Box<Vocoder>,
    isa: Isa,
    phonemes: Vec<u32>,
    samples: Vec<f32>,
    count: usize,
    tap: Option<Arc<dyn Tap>>,
}

impl Hibari {
    pub(super) fn new(graph: HibariGraph, isa: Isa) -> Self {
        let phonemes = Vec::with_capacity(graph.config().max_tokens);
        Self { graph, vocoder: Box::new(Vocoder::new()), isa, phonemes, samples: vec![0.0; FRAMES * HOP_SAMPLES], count: 0, tap: None }
    }
}

impl Synth for Hibari {
    fn memory_plan(&self) -> MemoryPlan {
        let plan = self.graph.memory_plan();
        let own = size_of::<Vocoder>() + self.samples.len() * size_of::<f32>() + self.phonemes.capacity() * size_of::<u32>();
        MemoryPlan { state: plan.state + own, ..plan }
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }

    fn sample_rate(&self) -> u32 {
        vocoder::SAMPLE_RATE
    }

    fn most(&self) -> usize {
        // The two around them are not among them.
        self.graph.config().max_tokens - 2
    }

    fn begin(&mut self, clause: &[u32], settings: Settings, number: u32) -> Result<(), SpeakError> {
        self.phonemes.clear();
        self.phonemes.extend(std::iter::once(PAD).chain(clause.iter().copied()).chain(std::iter::once(PAD)));
        let frames = self.graph.begin(&self.phonemes, settings.speed)?;
        Ok(self.vocoder.start(frames, settings.seed, number)?)
    }

    fn advance(&mut self) -> Result<bool, SpeakError> {
        self.count = 0;
        while self.vocoder.left() > 0 {
            let Some(chunk) = self.graph.next_chunk()? else { break };
            self.vocoder.push_pitch(chunk.pitch)?;
            for batch in chunk.spectra.chunks(BATCH * FRAME_VALUES) {
                self.count += self.vocoder.run(self.isa, batch, &mut self.samples[self.count..])?;
            }
            if self.count > 0 {
                if let Some(tap) = &self.tap {
                    let values = Values::F32(&self.samples[..self.count]);
                    tap.tensor(&Tensor { op: "hibari.samples", kernel: "Vocoder", part: "", shape: &[self.count], values });
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn samples(&self) -> Result<&[f32], SpeakError> {
        Ok(&self.samples[..self.count])
    }
}

/// Symbols around a clause of one of Piper's voices, and between its phonemes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) begin: u32,
    pub(super) between: u32,
    pub(super) end: u32,
}

/// VITS.
pub(super) struct Vits {
    graph: VitsGraph,
    around: Around,
    symbols: Vec<u32>,
}

impl Vits {
    pub(super) fn new(graph: VitsGraph, around: Around) -> Self {
        let symbols = Vec::with_capacity(graph.config().max_tokens);
        Self { graph, around, symbols }
    }
}

impl Synth for Vits {
    fn memory_plan(&self) -> MemoryPlan {
        let plan = self.graph.memory_plan();
        MemoryPlan { state: plan.state + self.symbols.capacity() * size_of::<u32>(), ..plan }
    }

    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap);
    }

    fn sample_rate(&self) -> u32 {
        // At most 48 kHz.
        self.graph.config().sampling_rate as u32
    }

    fn most(&self) -> usize {
        // Each has one after it, and there are three around all of them.
        (self.graph.config().max_tokens - 3) / 2
    }

    fn begin(&mut self, clause: &[u32], settings: Settings, number: u32) -> Result<(), SpeakError> {
        let Around { begin, between, end } = self.around;
        self.symbols.clear();
        self.symbols.extend([begin, between]);
        self.symbols.extend(clause.iter().flat_map(|&phoneme| [phoneme, between]));
        self.symbols.push(end);
        let manner = Manner { speed: settings.speed, seed: settings.seed, clause: number, ..Manner::default() };
        self.graph.begin(&self.symbols, manner)?;
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, SpeakError> {
        Ok(self.graph.advance()?)
    }

    fn samples(&self) -> Result<&[f32], SpeakError> {
        Ok(self.graph.samples()?)
    }
}
