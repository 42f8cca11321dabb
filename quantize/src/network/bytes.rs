//! Maps that become bytes: which ones, with which scale and zero, and what that makes of the layers' weights.

use ossicle_kernels::activation::Activation;
use ossicle_kernels::dot::MAX_DEPTH_U8;
use ossicle_kernels::window::Pool;
use ossicle_models::network::Grid;

use super::Network;
use super::ir::{Kind, Layer};
use super::padding::{LANES, padded};
use crate::Error;
use crate::pack::{self, quantize_rows};
use crate::tensors::Tensor;

/// The lowest and the highest value of each channel.
pub(super) type Ranges = Vec<[f32; 2]>;

/// What becomes of the maps.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    /// For each layer what the bytes of its map stand for, if they are bytes.
    pub(super) grids: Vec<Option<Grid>>,
    /// Of the network's input; none if no layer reads it as bytes.
    pub(super) input: Ranges,
}

impl Network {
    /// The range of each channel of each map that the float model gives, over these inputs.
    pub(super) fn ranges(&self, inputs: &[Vec<f32>]) -> Result<Vec<Option<Ranges>>, Error> {
        let layers = &self.fused.layers;
        let known: Vec<usize> = (1..layers.len()).filter(|&at| self.tensors[at].is_some()).collect();
        let tensors: Vec<_> = known.iter().filter_map(|&at| self.tensors[at].clone()).collect();
        let float = self.float(tensors.iter().map(|(name, _)| name.clone()))?;
        let mut ranges: Vec<Option<Ranges>> = layers.iter().map(|_| None).collect();
        for &at in [0].iter().chain(&known) {
            ranges[at] = Some(vec![[0.0; 2]; layers[at].channels]);
        }
        let wider = |range: &mut [f32; 2], x: f32| *range = [range[0].min(x), range[1].max(x)];
        for input in inputs {
            if let Some(own) = &mut ranges[0] {
                let channels = own.len();
                input.iter().enumerate().for_each(|(i, &x)| wider(&mut own[i % channels], x));
            }
            let outputs = self.run_float(&float, input)?;
            for ((values, (_, view)), &at) in outputs[1..].iter().zip(&tensors).zip(&known) {
                if let Some(own) = &mut ranges[at] {
                    let channels = own.len();
                    values.iter().zip(view.places()).for_each(|(&x, place)| wider(&mut own[place % channels], x));
                }
            }
        }
        Ok(ranges)
    }

    /// Makes maps bytes where the runtime can, with the ranges that these inputs give them. The rest stays f32.
    ///
    /// # Errors
    /// tract refuses the model, or an input has another length than the network's.
    pub fn maps_to_bytes(&mut self, inputs: &[Vec<f32>]) -> Result<(), Error> {
        let ranges = self.ranges(inputs)?;
        let layers = &self.fused.layers;
        let mut grids: Vec<Option<Grid>> = vec![None; layers.len()];
        for (at, layer) in layers.iter().enumerate() {
            if let (Some(ranges), true) = (&ranges[at], can_be_bytes(layer) && at + 1 < layers.len()) {
                grids[at] = grid(layer, ranges);
            }
        }
        // What a pool gives is what it reads.
        settle(layers, &mut grids);
        let input = ranges.into_iter().next().flatten().unwrap_or_default();
        if input.iter().any(|[low, high]| high - low < 1e-6) {
            let first = |layer: &Layer| layer.inputs.iter().any(|input| input.layer == 0);
            layers.iter().zip(&mut grids).filter(|(layer, _)| first(layer)).for_each(|(_, grid)| *grid = None);
            settle(layers, &mut grids);
        }
        // Rows of bytes are what they are.
        for (at, layer) in layers.iter().enumerate() {
            if layer.inputs.first().is_some_and(|input| grids[input.layer].is_some()) {
                self.offsets[at] = None;
            }
        }
        self.bytes = Bytes { grids, input };
        Ok(())
    }

    /// Whether a map is bytes.
    pub fn has_bytes(&self) -> bool {
        self.bytes.grids.iter().any(Option::is_some)
    }

    /// What the bytes that a layer gives stand for.
    pub(super) fn grid(&self, at: usize) -> Option<Grid> {
        self.bytes.grids.get(at).copied().flatten()
    }
}

/// Whether a kernel writes the layer's map as bytes.
fn can_be_bytes(layer: &Layer) -> bool {
    let activation = match &layer.kind {
        Kind::Conv { activation, .. } | Kind::Linear { activation, .. } | Kind::Depthwise { activation, .. } | Kind::Add { activation } => {
            *activation
        }
        Kind::Pool { pool: Pool::Max, .. } => Activation::Identity,
        _ => return false,
    };
    let deep = match &layer.kind {
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => weights.inputs() > MAX_DEPTH_U8,
        _ => false,
    };
    // A gate of one position costs nothing.
    layer.positions() > 1 && !deep && Grid { scale: 1.0, zero: 0 }.to_bytes(activation).is_some()
}

/// Whether a layer reads bytes as they are.
fn reads_bytes(layer: &Layer) -> bool {
    match &layer.kind {
        Kind::Conv { .. } | Kind::Linear { .. } | Kind::Depthwise { .. } | Kind::Add { .. } | Kind::Mean => true,
        Kind::Pool { pool, .. } => *pool == Pool::Max,
        _ => false,
    }
}

/// Takes bytes away until every layer that has them reads and is read as it can be.
fn settle(layers: &[Layer], grids: &mut [Option<Grid>]) {
    loop {
        let mut wrong = vec![];
        for (at, layer) in layers.iter().enumerate() {
            let from = |input: usize| layer.inputs.get(input).and_then(|input| grids[input.layer]);
            let all = (0..layer.inputs.len()).all(|input| from(input).is_some());
            let first = layer.inputs.first().is_some_and(|input| input.layer == 0);
            if grids[at].is_some() {
                let fits = match layer.kind {
                    Kind::Conv { groups, .. } => all || (first && groups == 1),
                    Kind::Depthwise { .. } | Kind::Add { .. } | Kind::Pool { .. } => all,
                    _ => true,
                };
                if !fits {
                    wrong.push(at);
                }
                if let (Kind::Pool { .. }, true) = (&layer.kind, all) {
                    grids[at] = from(0);
                }
            } else if !matches!(layer.kind, Kind::Linear { .. } | Kind::Conv { .. } | Kind::Mean) || !reads_bytes(layer) {
                wrong.extend(layer.inputs.iter().map(|input| input.layer).filter(|&input| grids[input].is_some()));
            }
        }
        if wrong.is_empty() {
            return;
        }
        wrong.into_iter().for_each(|at| grids[at] = None);
    }
}

/// Scale and zero for a map of these ranges.
fn grid(layer: &Layer, ranges: &Ranges) -> Option<Grid> {
    let low = ranges.iter().fold(0.0f32, |low, range| low.min(range[0]));
    let high = ranges.iter().fold(0.0f32, |high, range| high.max(range[1]));
    let low = if matches!(layer.kind, Kind::Pool { .. }) { 0.0 } else { low };
    let scale = (high - low) / 255.0;
    let zero = (-low / scale).round_ties_even();
    let grid = Grid { scale, zero: zero.clamp(0.0, 255.0) as u8 };
    (zero.is_finite() && grid.problem().is_none()).then_some(grid)
}

/// Weights of a product with bytes on either side.
pub(super) struct Product<'a> {
    /// `[outputs][inputs]`
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    /// What is added to the values of each input before they are multiplied, in its steps.
    pub(super) zeros: &'a dyn Fn(usize) -> f64,
    /// One step of the input.
    pub(super) step: f32,
    /// What the result's bytes stand for, if it comes in steps.
    pub(super) to: Option<Grid>,
}

impl Product<'_> {
    /// Adds the tensors.
    pub(super) fn put(&self, tensors: &mut Vec<Tensor>, name: &str) {
        let outputs = self.bias.len();
        let inputs = self.weight.len() / outputs;
        let (rows, depth) = (pack::padded_rows(outputs), inputs.next_multiple_of(LANES));
        let q = quantize_rows(&padded(self.weight, inputs), outputs, depth);
        let step = self.to.map_or(1.0, |grid| f64::from(grid.scale));
        let zero = self.to.map_or(0.0, |grid| f64::from(grid.zero));
        let (mut scales, mut bias) = (vec![], vec![]);
        for ((row, &scale), &own) in q.values.chunks_exact(depth).zip(&q.scales).zip(self.bias) {
            let sum: f64 = row.iter().enumerate().map(|(k, &w)| f64::from(w) * (self.zeros)(k)).sum();
            let scale = f64::from(scale) * f64::from(self.step);
            scales.push((scale / step) as f32);
            bias.push(((f64::from(own) - scale * sum) / step + zero) as f32);
        }
        let shape = vec![rows / pack::BLOCK_ROWS, depth / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
        tensors.push(Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, outputs, depth)));
        tensors.push(Tensor::floats(format!("{name}.weight_scale"), vec![rows], padded(&scales, outputs)));
        tensors.push(Tensor::floats(format!("{name}.bias"), vec![rows], padded(&bias, outputs)));
    }
}

/// The tensors of a layer with bytes on either side; false if it has none there.
pub(super) fn put(network: &Network, tensors: &mut Vec<Tensor>, at: usize, name: &str) -> bool {
    let layer = &network.fused.layers[at];
    let from = layer.inputs.first().and_then(|input| network.grid(input.layer));
    let to = network.grid(at);
    let line = |activation: Activation| to.filter(|_| !matches!(activation, Activation::HardSwish | Activation::Silu));
    let raw = layer.inputs.first().is_some_and(|input| input.layer == 0);
    match &layer.kind {
        Kind::Conv { weights, activation, .. } if raw && to.is_some() => {
            let input = &network.bytes.input;
            let channels = input.len();
            let steps: Vec<f32> = input.iter().map(|[low, high]| 255.0 / (high - low)).collect();
            let zeros: Vec<f32> = input.iter().zip(&steps).map(|([low, _], step)| -low * step).collect();
            let weight: Vec<f32> = weights.weight.iter().enumerate().map(|(k, w)| w / steps[k % channels]).collect();
            for (ending, values) in [("steps", &steps), ("zeros", &zeros)] {
                let values = padded(values, channels);
                tensors.push(Tensor::floats(format!("{name}.{ending}"), vec![values.len()], values));
            }
            let zero = |k: usize| if k < weights.inputs() { f64::from(zeros[k % channels]) } else { 0.0 };
            Product { weight: &weight, bias: &weights.bias, zeros: &zero, step: 1.0, to: line(*activation) }.put(tensors, name);
        }
        Kind::Conv { weights, activation, .. } | Kind::Linear { weights, activation } if from.is_some() || to.is_some() => {
            let (zero, step) = match (from, network.offsets[at]) {
                (Some(grid), _) => (f64::from(grid.zero), grid.scale),
                (None, offset) => (f64::from(offset.unwrap_or(0.0)), 1.0),
            };
            Product { weight: &weights.weight, bias: &weights.bias, zeros: &|_| zero, step, to: line(*activation) }.put(tensors, name);
        }
        Kind::Depthwise { window, weight, bias, activation } if to.is_some() => {
            let Some(from) = from else { return false };
            let ([height, width], channels) = (window.kernel, layer.channels);
            let column = height.next_multiple_of(4);
            let mut by_channel = vec![0.0; channels * width * column];
            for (tap, row) in weight.chunks_exact(channels).enumerate() {
                for (c, w) in row.iter().enumerate() {
                    by_channel[(c * width + tap % width) * column + tap / width] = *w;
                }
            }
            let zero = f64::from(from.zero);
            let product = Product { weight: &by_channel, bias, zeros: &|_| zero, step: from.scale, to: line(*activation) };
            product.put_filters(tensors, name, width * column);
        }
        _ => return false,
    }
    true
}

impl Product<'_> {
    /// As [`put`](Self::put), of filters whose depth is not a whole number of vectors.
    fn put_filters(&self, tensors: &mut Vec<Tensor>, name: &str, depth: usize) {
        let mut own = vec![];
        self.put(&mut own, name);
        let outputs = self.bias.len();
        let q = quantize_rows(self.weight, outputs, depth);
        let shape = vec![pack::padded_rows(outputs) / pack::BLOCK_ROWS, depth / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
        own[0] = Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, outputs, depth));
        tensors.append(&mut own);
    }
}
