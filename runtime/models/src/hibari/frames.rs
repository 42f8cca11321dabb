//! From rows to pitch, energy and spectra, chunk by chunk.

use std::ops::Range;
use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past};
use ossicle_engine::layers::{FloatLinear, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::math::log_all;
use ossicle_kernels::multiply::multiply_rows;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::config::HibariConfig;

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
        Work::default().and(self.flow.rows(), Units { float_mac: (LANES * self.width) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let inside = self.flow.inside();
        if inside.is_empty() {
            return Ok(());
        }
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
///
/// Both frames of a prosody frame have the same text row, so the taps on them are added up beforehand: four in place of seven.
#[derive(Debug)]
pub(super) struct DecoderInput {
    text_past: Arc<Past>,
    feature_past: Arc<Past>,
    /// `[4 text rows, 7 frames' features][width]`, of the first and of the second frame.
    folded: [Vec<f32>; FRAMES],
    bias: Span,
    text: usize,
    width: usize,
}

/// Text rows that a frame's taps lie on.
const TEXT_TAPS: usize = 4;
/// Which taps of a frame lie on each of them: from two rows before the first frame's own on, and from one row before the second's.
const FOLDS: [[Range<usize>; TEXT_TAPS]; FRAMES] = [[0..1, 1..3, 3..5, 5..7], [0..2, 2..4, 4..6, 6..7]];

impl DecoderInput {
    /// Over text rows that come in `rows`, and features of frames that come in `flow`.
    pub(super) fn new(weights: &Weights, config: &HibariConfig, rows: &Flow, flow: &Flow) -> Result<Self, FolderError> {
        let (text, width) = (config.text.hidden_size, config.decoder.hidden_size);
        let depth = text + FEATURES;
        let own = weights.f32_span("decoder.input.weight", &[TAPS * depth, width])?;
        let own = weights.f32s(&own);
        let tap = |tap: usize, value: usize| &own[(tap * depth + value) * width..][..width];
        let folded = FOLDS.map(|taps| {
            let mut folded = vec![];
            for (range, value) in taps.iter().flat_map(|range| (0..text).map(move |value| (range, value))) {
                let first = folded.len();
                folded.extend_from_slice(tap(range.start, value));
                for more in range.start + 1..range.end {
                    folded[first..].iter_mut().zip(tap(more, value)).for_each(|(sum, weight)| *sum += weight);
                }
            }
            for (at, value) in (0..TAPS).flat_map(|at| (text..depth).map(move |value| (at, value))) {
                folded.extend_from_slice(tap(at, value));
            }
            folded
        });
        // Two rows ahead are four frames ahead, one more than features need.
        let extra = FRAMES * (TEXT_TAPS / 2) - TAPS / 2;
        Ok(Self {
            text_past: Arc::new(Past::new(rows.clone(), text, TEXT_TAPS / 2, Chunks::Many { extra: 0 })),
            feature_past: Arc::new(Past::new(flow.clone(), FEATURES, TAPS / 2, Chunks::Many { extra })),
            folded,
            bias: weights.f32_span("decoder.input.bias", &[width])?,
            text,
            width,
        })
    }

    pub(super) fn pasts(&self) -> [&Arc<Past>; 2] {
        [&self.text_past, &self.feature_past]
    }

    pub(super) fn output(&self) -> Flow {
        self.feature_past.output()
    }

    /// Bytes of the weights that are made when it is.
    pub(super) fn folded_bytes(&self) -> usize {
        self.folded.iter().map(|weights| weights.len() * size_of::<f32>()).sum()
    }

    /// Values that a frame's result is computed from.
    fn depth(&self) -> usize {
        TEXT_TAPS * self.text + TAPS * FEATURES
    }
}

impl Layer for DecoderInput {
    fn name(&self) -> &'static str {
        "DecoderInput"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.output().chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(LANES * self.depth()).thread::<f32>(LANES * self.width)
    }

    fn work(&self) -> Work {
        Work::default().and(self.output().rows(), Units { float_mac: (self.depth() * self.width) as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (text, features, depth) = (io.input::<f32>(0)?, io.input::<f32>(1)?, self.depth());
        let rows = self.text_past.take(|i, row| row.copy_from_slice(&text[i * self.text..][..self.text]));
        let features = self.feature_past.take(|i, row| row.copy_from_slice(&features[i * FEATURES..][..FEATURES]));
        let inside = self.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let (bias, pair) = (session.weights().f32s(&self.bias), FRAMES * self.width);
        let out = &mut io.output::<f32>(0)?[inside.start * self.width..inside.end * self.width];
        // A prosody frame is a row here: its two frames lie next to one another.
        session.for_rows(&io.thread_scratch(), out, pair, |scratch, start, out| {
            let (gathered, results) = (scratch.take::<f32>(LANES * depth), scratch.take::<f32>(LANES * self.width));
            for (block, out) in out.chunks_mut(LANES * pair).enumerate() {
                let first = inside.start / FRAMES + start + block * LANES;
                let count = out.len() / pair;
                for (frame, folded) in self.folded.iter().enumerate() {
                    let (gathered, results) = (&mut gathered[..count * depth], &mut results[..count * self.width]);
                    for (i, row) in gathered.chunks_exact_mut(depth).enumerate() {
                        let (own_text, own_features) = row.split_at_mut(TEXT_TAPS * self.text);
                        own_text.copy_from_slice(&rows[(first + i + frame) * self.text..][..TEXT_TAPS * self.text]);
                        own_features.copy_from_slice(&features[(FRAMES * (first + i) + frame) * FEATURES..][..TAPS * FEATURES]);
                    }
                    multiply_rows(session.isa(), gathered, folded, bias, results);
                    for (out, result) in out.chunks_exact_mut(pair).zip(results.chunks_exact(self.width)) {
                        out[frame * self.width..][..self.width].copy_from_slice(result);
                    }
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.output(), results, 0, record)
    }
}
