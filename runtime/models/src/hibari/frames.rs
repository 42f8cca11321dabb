//! From rows to pitch, energy and spectra, chunk by chunk.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past};
use ossicle_engine::layers::{Norm, RowBuffers, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{FolderError, LinearSpan, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::math::log_all;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::config::{CURVE, CURVES, HibariConfig};
use super::text::{FloatLinear, norm};

/// Decoder frames of a prosody frame.
pub(super) const FRAMES: usize = 2;
/// Values of a decoder frame that are not of the text: pitch and energy.
const FEATURES: usize = 2;
/// Taps of the decoder's first convolution.
const TAPS: usize = 7;
/// Hertz of one unit of pitch.
const HERTZ: f32 = 100.0;
/// The decoder reads `ln(1 + pitch) / 5`.
const LOG_SCALE: f32 = 5.0;

/// Prosody rows to the pitch in hertz of each of their frames, and to what the decoder reads of pitch and energy.
#[derive(Debug)]
pub(super) struct Curves {
    flow: Flow,
    output: FloatLinear,
    width: usize,
}

impl Curves {
    pub(super) fn new(weights: &Weights, config: &HibariConfig, flow: &Flow) -> Result<Self, FolderError> {
        let width = config.prosody.hidden_size;
        Ok(Self { flow: flow.clone(), output: FloatLinear::new(weights, "prosody.output", width, LANES)?, width })
    }
}

impl Layer for Curves {
    fn name(&self) -> &'static str {
        "Curves"
    }

    fn outputs(&self) -> Vec<Fact> {
        let rows = FRAMES * self.flow.chunk();
        vec![Fact::f32([rows]), Fact::f32([rows, FEATURES])]
    }

    fn scratch(&self) -> Need {
        Need::default().shared::<f32>(self.flow.chunk() * LANES)
    }

    fn work(&self) -> Work {
        Work::default().and(self.flow.chunk(), Units { float_mac: (LANES * self.width) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let inside = self.flow.inside();
        let rows = &mut io.scratch::<f32>(self.flow.chunk() * LANES)[..inside.len() * LANES];
        self.output.rows(session, &io.input::<f32>(0)?[inside.start * self.width..inside.end * self.width], rows);
        let pitch = &mut io.output::<f32>(0)?[FRAMES * inside.start..FRAMES * inside.end];
        let features = &mut io.output::<f32>(1)?[FRAMES * FEATURES * inside.start..][..FEATURES * pitch.len()];
        for (row, pitch) in rows.chunks_exact(LANES).zip(pitch.as_chunks_mut::<FRAMES>().0) {
            *pitch = [row[0] * HERTZ, row[1] * HERTZ];
        }
        // As many values as pitches: the rows are read once more below.
        let logs = &mut features[..pitch.len()];
        for (log, pitch) in logs.iter_mut().zip(&*pitch) {
            *log = 1.0 + if *pitch > 0.0 { *pitch } else { 0.0 };
        }
        log_all(session.isa(), logs);
        for frame in (0..pitch.len()).rev() {
            features[FEATURES * frame] = features[frame] / LOG_SCALE;
            features[FEATURES * frame + 1] = rows[frame / FRAMES * LANES + FRAMES + frame % FRAMES];
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let inside = self.flow.inside();
        let frames = FRAMES * inside.start..FRAMES * inside.end;
        record.tensor("pitch", &[frames.len()], Values::F32(&results.output::<f32>(0)?[frames.clone()]));
        let features = &results.output::<f32>(1)?[FEATURES * frames.start..FEATURES * frames.end];
        record.tensor("features", &[frames.len(), FEATURES], Values::F32(features));
        Ok(())
    }
}

/// The decoder's first convolution, in f32, over text rows with pitch and energy behind them.
#[derive(Debug)]
pub(super) struct DecoderInput {
    past: Arc<Past>,
    layer: FloatLinear,
    text: usize,
    width: usize,
}

impl DecoderInput {
    pub(super) fn new(weights: &Weights, config: &HibariConfig, flow: &Flow) -> Result<Self, FolderError> {
        let (text, width) = (config.text.hidden_size, config.decoder.hidden_size);
        let depth = text + FEATURES;
        Ok(Self {
            past: Arc::new(Past::new(flow.clone(), depth, TAPS / 2, Chunks::Many { extra: 0 })),
            layer: FloatLinear::new(weights, "decoder.input", TAPS * depth, width)?,
            text,
            width,
        })
    }

    pub(super) fn past(&self) -> &Arc<Past> {
        &self.past
    }

    /// Rows that are gathered at a time.
    fn block() -> usize {
        LANES
    }
}

impl Layer for DecoderInput {
    fn name(&self) -> &'static str {
        "DecoderInput"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.past.output().chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(Self::block() * TAPS * (self.text + FEATURES))
    }

    fn work(&self) -> Work {
        let row = Units { float_mac: (TAPS * (self.text + FEATURES) * self.width) as f64, ..Units::default() };
        Work::default().and(self.past.output().chunk(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, features, depth) = (io.input::<f32>(0)?, io.input::<f32>(1)?, self.text + FEATURES);
        let rows = self.past.take(|i, row| {
            row[..self.text].copy_from_slice(&text[i * self.text..][..self.text]);
            row[self.text..].copy_from_slice(&features[i * FEATURES..][..FEATURES]);
        });
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let out = &mut io.output::<f32>(0)?[inside.start * self.width..inside.end * self.width];
        session.for_rows(&io.thread_scratch(), out, self.width, |scratch, start, out| {
            let gathered = scratch.take::<f32>(Self::block() * TAPS * depth);
            for (block, out) in out.chunks_mut(Self::block() * self.width).enumerate() {
                let first = inside.start + start + block * Self::block();
                let gathered = &mut gathered[..out.len() / self.width * TAPS * depth];
                for (row, taps) in gathered.chunks_exact_mut(TAPS * depth).enumerate() {
                    taps.copy_from_slice(&rows[(first + row) * depth..][..TAPS * depth]);
                }
                self.layer.rows(session, gathered, out);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.past.output(), results, 0, record)
    }
}

/// The decoder's rows to the curves of each frame, `[chunk][5][608]`.
#[derive(Debug)]
pub(super) struct Spectra {
    flow: Flow,
    norm: Norm,
    head: LinearSpan,
    width: usize,
}

impl Spectra {
    pub(super) fn new(weights: &Weights, config: &HibariConfig, flow: &Flow) -> Result<Self, FolderError> {
        let width = config.decoder.hidden_size;
        let head = weights.linear_span("decoder.head", CURVES * CURVE, width, true)?;
        Ok(Self { flow: flow.clone(), norm: norm(weights, "decoder.norm", width)?, head, width })
    }
}

impl Layer for Spectra {
    fn name(&self) -> &'static str {
        "Spectra"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), CURVES * CURVE])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), ROWS, self.width)
    }

    fn work(&self) -> Work {
        let rows = self.flow.chunk();
        Work::product(rows, self.width, CURVES * CURVE).and(rows, Units { normalize: self.width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width, inside) = (io.input::<f32>(0)?, self.width, self.flow.inside());
        if inside.is_empty() {
            return Ok(());
        }
        let head = session.weights().linear(&self.head);
        let out = &mut io.output::<f32>(0)?[inside.start * CURVES * CURVE..inside.end * CURVES * CURVE];
        session.for_rows(&io.thread_scratch(), out, CURVES * CURVE, |scratch, start, out| {
            let rows = out.len() / (CURVES * CURVE);
            let mut buffers = RowBuffers::take(scratch, ROWS, width);
            let x = &x[(inside.start + start) * width..][..rows * width];
            session.linear(&buffers.normalize(session, &self.norm, x, rows), &head, Finish::Store, out);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}
