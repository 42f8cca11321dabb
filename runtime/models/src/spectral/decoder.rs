//! Codes to sound.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Runner};
use ossicle_engine::layers::sequence::{Flow, Sequence};
use ossicle_engine::layers::{FlowLinear, FlowLinearShape};
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::work::Work;
use ossicle_engine::{GraphError, MemoryPlan, Options, Session};
use ossicle_frontend::spectral::{FRAME_VALUES, MOST_LEFT, Synthesis};
use ossicle_trace::{Tap, Values};

use crate::codebooks::{Codebooks, Dequantize};

use super::config::{ROWS, SPECTRA, SpectralConfig};
use super::stream::{Stream, Wire};
use super::{CHUNK_FRAMES, MOST};

/// Values of a row of spectra.
const ROW: usize = SPECTRA * FRAME_VALUES;

/// A codec's decoder ready to run: frames of codes come one after another, samples go out as soon as nothing later can change them.
pub struct SpectralDecoder {
    folder: Arc<ModelFolder<SpectralConfig>>,
    session: Arc<Session>,
    stream: Stream<i32>,
    synthesis: Box<Synthesis>,
    samples: Vec<f32>,
    seed: u64,
}

impl fmt::Debug for SpectralDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpectralDecoder").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl SpectralDecoder {
    /// Checks the folder's tensors, plans every buffer and starts the threads.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing, misshapen or holds what is not a finite number, [`GraphError::Memory`] if the buffers would
    /// take more than a gibibyte.
    pub fn new(folder: Arc<ModelFolder<SpectralConfig>>, options: Options) -> Result<Self, GraphError> {
        let session = Session::new(folder.weights(), options);
        Self::in_session(folder, session, MOST)
    }

    /// As [`new`](Self::new), in a session of the folder's weights, with another limit in bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn in_session(folder: Arc<ModelFolder<SpectralConfig>>, session: Arc<Session>, most: usize) -> Result<Self, GraphError> {
        let mut decoder = Self::build(folder, session)?;
        let needed = decoder.memory_plan().buffers;
        if needed > most {
            return Err(GraphError::Memory { needed, most });
        }
        decoder.stream.attach();
        decoder.reset(0);
        Ok(decoder)
    }

    /// What a decoder needs, in bytes. No buffer of its graph is allocated, no thread starts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn plan(folder: &Arc<ModelFolder<SpectralConfig>>, options: Options) -> Result<MemoryPlan, GraphError> {
        Ok(Self::build(Arc::clone(folder), Session::for_planning(folder.weights(), options))?.memory_plan())
    }

    /// How much a decoder computes for a chunk of [`CHUNK_FRAMES`] frames. No buffer of its graph is allocated, no thread starts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn work(folder: &Arc<ModelFolder<SpectralConfig>>, options: Options) -> Result<Work, GraphError> {
        Ok(Self::build(Arc::clone(folder), Session::for_planning(folder.weights(), options))?.stream.runner.work())
    }

    /// A decoder without memory.
    fn build(folder: Arc<ModelFolder<SpectralConfig>>, session: Arc<Session>) -> Result<Self, GraphError> {
        let (config, weights) = (folder.config(), folder.weights());
        let &SpectralConfig { hidden_size, latent_size, num_quantizers: books, decoder_blocks: [slow, fast], .. } = config;
        let sequence = Arc::new(Sequence::default());
        let flow = Flow::new(&sequence, CHUNK_FRAMES);
        let mut wire = Wire { graph: GraphBuilder::new(&session), weights, config, pasts: vec![] };
        let x = wire.graph.input::<i32>("spectral.codes", &[CHUNK_FRAMES, books])?;
        let codebooks = Codebooks::new(weights, books, config.codebook_size, latent_size)?;
        let x = wire.graph.add("spectral.dequantize", Dequantize { codebooks, rows: CHUNK_FRAMES }, &[x])?[0];
        let shape = FlowLinearShape { width: latent_size, outputs: hidden_size, parts: 1 };
        let x = wire.graph.add("spectral.open", FlowLinear::new(weights, "decoder.open", shape, &flow)?, &[x])?[0];
        let (flow, x) = wire.blocks("decoder.slow", slow, 1, flow, x)?;
        let split =
            FlowLinear::new(weights, "decoder.split", FlowLinearShape { width: hidden_size, outputs: hidden_size, parts: ROWS }, &flow)?;
        let flow = split.output();
        let x = wire.graph.add("spectral.split", split, &[x])?[0];
        let (flow, x) = wire.blocks("decoder.fast", fast, 1, flow, x)?;
        let shape = FlowLinearShape { width: hidden_size, outputs: SPECTRA * FRAME_VALUES, parts: 1 };
        let head = FlowLinear::new(weights, "decoder.head", shape, &flow)?.normalized(weights, "decoder.norm")?;
        let x = wire.graph.add("spectral.head", head, &[x])?[0];
        let stream = Stream::new(wire, &[x], sequence, flow, ("spectral.decoder", books, CHUNK_FRAMES))?;
        let samples = vec![0.0; MOST_LEFT.max(CHUNK_FRAMES * config.hop())];
        Ok(Self { folder, session, stream, synthesis: Box::new(Synthesis::new()), samples, seed: 0 })
    }

    /// The codec's configuration.
    pub fn config(&self) -> &SpectralConfig {
        self.folder.config()
    }

    /// Memory in use, all of it from the start.
    pub fn memory_plan(&self) -> MemoryPlan {
        let own = size_of::<Synthesis>() + self.samples.len() * size_of::<f32>();
        MemoryPlan { weights: self.folder.weights().bytes(), buffers: self.stream.runner.bytes(), state: self.stream.kept_bytes() + own }
    }

    /// Each layer in the order of the run, for one chunk: its name, its kind and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.stream.runner.layers()
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that. Steps are called `spectral.decoder`, samples
    /// `spectral.samples`.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Forgets the sound; the next one has the noise of `seed`.
    pub fn reset(&mut self, seed: u64) {
        self.seed = seed;
        self.stream.reset();
        self.synthesis.start(seed);
    }

    /// Takes the next frame's codes, one of each codebook; hands samples to `sink` where a chunk is complete. Allocates nothing once the graph
    /// has run.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are not as many codes as codebooks, or one is beyond its codebook.
    pub fn push(&mut self, codes: &[u32], sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let (codebooks, most) = (self.config().num_quantizers, self.config().codebook_size - 1);
        if codes.len() != codebooks {
            return Err(GraphError::Size { what: "codes of a frame (as many as codebooks)", have: codes.len(), most: codebooks });
        }
        if let Some(&code) = codes.iter().find(|&&code| code as usize > most) {
            return Err(GraphError::Size { what: "code", have: code as usize, most });
        }
        let Self { session, stream, synthesis, samples, .. } = self;
        let mut sound = Sound { session, synthesis, samples, sink };
        stream.push(session, bytemuck::cast_slice(codes), &mut |runner, inside| sound.rows(runner, inside))
    }

    /// Ends the sound: the samples that are left. The next frame begins another one, with the same noise.
    ///
    /// # Errors
    /// If the graph fails: a bug of ours.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[f32])) -> Result<(), GraphError> {
        let Self { session, stream, synthesis, samples, .. } = self;
        let mut sound = Sound { session, synthesis, samples, sink };
        let result = stream.finish(session, &mut |runner, inside| sound.rows(runner, inside));
        sound.end();
        self.reset(self.seed);
        result
    }
}

/// Spectra on their way to whoever wants samples.
struct Sound<'a> {
    session: &'a Session,
    synthesis: &'a mut Synthesis,
    samples: &'a mut [f32],
    sink: &'a mut dyn FnMut(&[f32]),
}

impl Sound<'_> {
    /// Makes samples of rows of the graph's output.
    fn rows(&mut self, runner: &Runner, inside: Range<usize>) -> Result<(), GraphError> {
        let mut count = 0;
        for frame in runner.output::<f32>(0)?[inside.start * ROW..inside.end * ROW].as_chunks::<FRAME_VALUES>().0 {
            count += self.synthesis.push(self.session.isa(), frame, &mut self.samples[count..]);
        }
        self.give(count);
        Ok(())
    }

    /// Makes the samples that are left after the last.
    fn end(&mut self) {
        let count = self.synthesis.finish(self.session.isa(), self.samples);
        self.give(count);
    }

    fn give(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let samples = &self.samples[..count];
        if let Some(mut listener) = self.session.recorder().listener() {
            listener.record("spectral.samples", "Synthesis").tensor("", &[count], Values::F32(samples));
        }
        (self.sink)(samples);
    }
}
