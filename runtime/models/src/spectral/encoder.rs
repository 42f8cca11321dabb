//! Sound to codes.

use std::fmt;
use std::sync::Arc;

use ossicle_engine::graph::GraphBuilder;
use ossicle_engine::layers::sequence::{Flow, Sequence};
use ossicle_engine::layers::{FlowLinear, FlowLinearShape};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_frontend::spectral::{BEFORE, CURVE, STEP, WINDOW, analyze};
use ossicle_trace::Tap;

use crate::codebooks::{Codebooks, Quantize};

use super::config::{ROWS, SPECTRA, SpectralConfig};
use super::stream::{Stream, Wire};
use super::{CHUNK_FRAMES, MOST};

/// Values of a frame: its spectra.
const FRAME: usize = ROWS * SPECTRA * CURVE;
/// What networks read of a magnitude's logarithm: so that values are around 0.
const SCALE: f32 = 0.4;
const SHIFT: f32 = 2.0;

/// A codec's encoder ready to run: samples come as they like, codes go out frame by frame.
pub struct SpectralEncoder {
    folder: Arc<ModelFolder<SpectralConfig>>,
    session: Arc<Session>,
    stream: Stream<f32>,
    /// Samples from the next spectrum's first on; zeros lie before the sound.
    window: Vec<f32>,
    /// Spectra of a frame that is not complete.
    spectra: Vec<f32>,
    /// Samples taken.
    taken: usize,
}

impl fmt::Debug for SpectralEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpectralEncoder").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl SpectralEncoder {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// As [`SpectralDecoder::new`](super::SpectralDecoder::new).
    pub fn new(folder: Arc<ModelFolder<SpectralConfig>>, options: Options) -> Result<Self, GraphError> {
        let session = Session::new(folder.weights(), options);
        let mut encoder = Self::build(folder, session)?;
        let needed = encoder.memory_plan().buffers;
        if needed > MOST {
            return Err(GraphError::Memory { needed, most: MOST });
        }
        encoder.stream.attach();
        encoder.reset();
        Ok(encoder)
    }

    /// An encoder without memory.
    fn build(folder: Arc<ModelFolder<SpectralConfig>>, session: Arc<Session>) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let &SpectralConfig { hidden_size, latent_size, num_quantizers: books, encoder_blocks: [fast, slow], .. } = config;
        let sequence = Arc::new(Sequence::default());
        let frames = Flow::new(&sequence, CHUNK_FRAMES);
        let spectra = frames.repeated(ROWS);
        let mut wire = Wire { graph: GraphBuilder::new(&session), weights, config, pasts: vec![] };
        let x = wire.graph.input::<f32>("spectral.magnitudes", &[ROWS * CHUNK_FRAMES, SPECTRA * CURVE])?;
        let shape = FlowLinearShape { width: SPECTRA * CURVE, outputs: hidden_size, parts: 1 };
        let x = wire.graph.add("spectral.input", FlowLinear::new(weights, "encoder.input", shape, &spectra)?, &[x])?[0];
        let (spectra, x) = wire.blocks("encoder.fast", fast, ROWS, spectra, x)?;
        let flow = frames.later(spectra.late() / ROWS);
        let shape = FlowLinearShape { width: ROWS * hidden_size, outputs: hidden_size, parts: 1 };
        let x = wire.graph.add("spectral.merge", FlowLinear::new(weights, "encoder.merge", shape, &flow)?, &[x])?[0];
        let (flow, x) = wire.blocks("encoder.slow", slow, 1, flow, x)?;
        let shape = FlowLinearShape { width: hidden_size, outputs: latent_size, parts: 1 };
        let latent = wire.graph.add("spectral.latent", FlowLinear::new(weights, "encoder.latent", shape, &flow)?, &[x])?[0];
        let codebooks = Codebooks::new(weights, books, config.codebook_size, latent_size)?;
        let codes = wire.graph.add("spectral.quantize", Quantize { codebooks, rows: CHUNK_FRAMES }, &[latent])?[0];
        let stream = Stream::new(wire, &[codes, latent], sequence, flow, ("spectral.encoder", FRAME, CHUNK_FRAMES))?;
        let (window, spectra) = (Vec::with_capacity(WINDOW + STEP), Vec::with_capacity(FRAME));
        Ok(Self { folder, session, stream, window, spectra, taken: 0 })
    }

    /// The codec's configuration.
    pub fn config(&self) -> &SpectralConfig {
        self.folder.config()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        let own = (WINDOW + STEP + FRAME) * size_of::<f32>();
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.stream.runner.bytes(), state: self.stream.kept_bytes() + own }
    }

    /// Each layer in the order of the run, for one chunk: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.stream.runner.layers()
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `spectral.encoder`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the recording.
    pub fn reset(&mut self) {
        self.stream.reset();
        self.window.clear();
        self.window.resize(BEFORE, 0.0);
        self.spectra.clear();
        self.taken = 0;
    }

    /// Takes samples in -1.0..=1.0; hands codes, `[frames][codebooks]`, to `sink` where a chunk is complete. Allocates nothing once the graph
    /// has run.
    ///
    /// # Errors
    /// [`GraphError::Layer`] if a sample is not a finite number.
    pub fn push(&mut self, samples: &[f32], sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err(GraphError::Layer("a sample is not a finite number"));
        }
        self.taken += samples.len();
        self.extend(samples, sink)
    }

    /// Ends the recording: the codes that are left, the last frame's for a part of its samples too. The next sample begins another one.
    ///
    /// # Errors
    /// If the graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let hop = self.config().hop();
        // Zeros up to the end of the last frame, and up to the end of what its last spectrum sees.
        let mut left = self.taken.next_multiple_of(hop) - self.taken + WINDOW - STEP - BEFORE;
        let mut result = Ok(());
        while left > 0 && self.taken > 0 && result.is_ok() {
            let count = left.min(STEP);
            result = self.extend(&[0.0; STEP][..count], sink);
            left -= count;
        }
        let Self { session, stream, .. } = self;
        let books = self.folder.config().num_quantizers;
        let result = result.and_then(|()| {
            stream.finish(session, &mut |runner, inside| {
                sink(bytemuck::cast_slice(&runner.output::<i32>(0)?[inside.start * books..inside.end * books]));
                Ok(())
            })
        });
        self.reset();
        result
    }

    fn extend(&mut self, samples: &[f32], sink: &mut dyn FnMut(&[u32])) -> Result<(), GraphError> {
        let books = self.config().num_quantizers;
        let Self { session, stream, window, spectra, .. } = self;
        for part in samples.chunks(STEP) {
            window.extend_from_slice(part);
            let Some(seen) = window.first_chunk::<WINDOW>() else { continue };
            let mut logs = [0.0; CURVE];
            analyze(session.isa(), seen, &mut logs);
            spectra.extend(logs.iter().map(|log| log * SCALE + SHIFT));
            window.drain(..STEP);
            if spectra.len() == FRAME {
                stream.push(session, spectra, &mut |runner, inside| {
                    sink(bytemuck::cast_slice(&runner.output::<i32>(0)?[inside.start * books..inside.end * books]));
                    Ok(())
                })?;
                spectra.clear();
            }
        }
        Ok(())
    }
}
