//! The second stage: mel powers through a dense layer, a gated recurrent unit and a logistic output.

use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::math;
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use crate::mel::{FRAME_SAMPLES, FrameScratch, LogMel};
use crate::tables::vad as table;

/// Mel bands seen.
const BANDS: usize = 80;
/// Values of the state, and of the dense layer.
const HIDDEN: usize = 48;
/// Reset, update and new gates.
const GATES: usize = 3 * HIDDEN;
/// Powers below 10^LOWEST count as this; OFFSET centres the rest.
const LOWEST: f32 = -7.0;
const OFFSET: f32 = 3.0;

/// State and scratch, about 5 KiB.
pub(super) struct Network {
    isa: Isa,
    mel: LogMel,
    scratch: FrameScratch,
    bands: [f32; BANDS],
    dense: [f32; HIDDEN],
    from_input: [f32; GATES],
    from_state: [f32; GATES],
    quantized: [i8; BANDS],
    state: [f32; HIDDEN],
}

impl Network {
    pub(super) const fn new(isa: Isa) -> Self {
        Self {
            isa,
            mel: LogMel::with_80_bins(isa),
            scratch: FrameScratch::new(),
            bands: [0.0; BANDS],
            dense: [0.0; HIDDEN],
            from_input: [0.0; GATES],
            from_state: [0.0; GATES],
            quantized: [0; BANDS],
            state: [0.0; HIDDEN],
        }
    }

    /// Forgets what it heard.
    pub(super) fn reset(&mut self) {
        self.state = [0.0; HIDDEN];
    }

    /// Hears one window; returns the probability of speech.
    pub(super) fn step(&mut self, window: &[f32; FRAME_SAMPLES]) -> f32 {
        let isa = self.isa;
        // One frame of 80 bands is what the filters give, so this never fails.
        let _ = self.mel.log10_frame(window, &mut self.bands, &mut self.scratch);
        for band in &mut self.bands {
            *band = band.max(LOWEST) + OFFSET;
        }
        multiply(isa, &self.bands, &DENSE, &mut self.quantized, &mut self.dense);
        for value in &mut self.dense {
            *value = value.max(0.0);
        }
        multiply(isa, &self.dense, &INPUT, &mut self.quantized, &mut self.from_input);
        multiply(isa, &self.state, &STATE, &mut self.quantized, &mut self.from_state);
        isa.dispatch(Recur { input: &self.from_input, hidden: &self.from_state, state: &mut self.state })
    }
}

/// A layer as the table has it.
struct Layer {
    weights: &'static [i8],
    scales: &'static [f32],
    bias: &'static [f32],
}

static DENSE: Layer = Layer { weights: &table::DENSE_WEIGHTS, scales: &table::DENSE_SCALES, bias: &table::DENSE_BIAS };
static INPUT: Layer = Layer { weights: &table::INPUT_WEIGHTS, scales: &table::INPUT_SCALES, bias: &table::INPUT_BIAS };
static STATE: Layer = Layer { weights: &table::STATE_WEIGHTS, scales: &table::STATE_SCALES, bias: &table::STATE_BIAS };

/// One row through one layer, by numerics rules 1 and 2.
fn multiply(isa: Isa, row: &[f32], layer: &Layer, quantized: &mut [i8; BANDS], out: &mut [f32]) {
    let (mut scale, mut sum) = ([0.0], [0]);
    let mut quantized = QuantRows::new(quantized, &mut scale, &mut sum, 1, row.len());
    quantize_rows(isa, row, row.len(), row.len(), &mut quantized);
    let layer = Linear { weights: Blocks::new(layer.weights, row.len()), scales: layer.scales, bias: layer.bias };
    linear(isa, quantized.as_rows(), quantized.scales, &layer, Finish::Store, out);
}

/// The gates on the products, the new state and the output, as PyTorch's GRU computes them.
struct Recur<'a> {
    input: &'a [f32; GATES],
    hidden: &'a [f32; GATES],
    state: &'a mut [f32; HIDDEN],
}

impl SimdOp for Recur<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        const VECTORS: usize = HIDDEN / LANES;
        let (input, hidden) = (self.input.as_chunks().0, self.hidden.as_chunks().0);
        let weights = table::OUT_WEIGHTS.as_chunks().0;
        let mut sum = s.splat(0.0);
        for (i, state) in self.state.as_chunks_mut().0.iter_mut().enumerate() {
            let reset = math::sigmoid(s, s.add(s.load(&input[i]), s.load(&hidden[i])));
            let update = math::sigmoid(s, s.add(s.load(&input[VECTORS + i]), s.load(&hidden[VECTORS + i])));
            let new = math::tanh(s, s.add(s.load(&input[2 * VECTORS + i]), s.mul(reset, s.load(&hidden[2 * VECTORS + i]))));
            let old = s.load(state);
            let next = s.add(new, s.mul(update, s.sub(old, new)));
            s.store(next, state);
            sum = s.add(sum, s.mul(next, s.load(&weights[i])));
        }
        let logit = s.reduce_add(sum) + table::OUT_BIAS[0];
        let mut lanes = [0.0; LANES];
        s.store(math::sigmoid(s, s.splat(logit)), &mut lanes);
        lanes[0]
    }
}
