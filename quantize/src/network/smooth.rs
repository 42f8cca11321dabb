//! Channels brought to like ranges, without a change to what the network computes.
//!
//! Rows are quantised with one scale each, so a channel that is far larger than the others takes their bits. Where a map is linear in what makes
//! it (a normalisation, or layers without an activation and their sums) and is read by products alone, each of its channels can be divided by a
//! factor that the products' weights take over (Nagel et al. 2019; Xiao et al. 2023).

use std::collections::BTreeMap;

use super::Network;
use super::ir::{Kind, Layer};
use crate::Error;
use ossicle_kernels::activation::Activation;

/// Largest factor of a channel, and the inverse of the smallest.
const MOST: f32 = 64.0;

/// A map that several layers make together: itself and what is added to it.
#[derive(Debug, Default)]
struct Stream {
    /// Layers whose outputs are divided.
    members: Vec<usize>,
    /// Products that read them.
    readers: Vec<usize>,
}

/// Whether a layer's channels can be divided by folding factors into its weights, or follow those of its inputs.
fn is_linear(kind: &Kind) -> bool {
    match kind {
        Kind::Norm { .. } => true,
        Kind::Conv { activation, .. }
        | Kind::Linear { activation, .. }
        | Kind::Depthwise { activation, .. }
        | Kind::Affine { activation, .. }
        | Kind::Add { activation } => *activation == Activation::Identity,
        _ => false,
    }
}

/// Whether a layer takes factors of its input's channels into its weights.
fn is_product(kind: &Kind) -> bool {
    matches!(kind, Kind::Linear { .. } | Kind::Conv { groups: 1, .. })
}

/// Streams of a network whose last layer stays as it is.
fn streams(layers: &[Layer]) -> Vec<Stream> {
    // Sums join what they add to one stream.
    let mut home: Vec<usize> = (0..layers.len()).collect();
    fn root(home: &[usize], mut at: usize) -> usize {
        while home[at] != at {
            at = home[at];
        }
        at
    }
    for (at, layer) in layers.iter().enumerate() {
        if let Kind::Add { .. } = layer.kind {
            for input in &layer.inputs {
                let (a, b) = (root(&home, at), root(&home, input.layer));
                home[a.max(b)] = a.min(b);
            }
        }
    }
    let mut found: BTreeMap<usize, Option<Stream>> = BTreeMap::new();
    for (at, layer) in layers.iter().enumerate() {
        let stream = found.entry(root(&home, at)).or_insert_with(|| Some(Stream::default()));
        match stream {
            Some(stream) if is_linear(&layer.kind) && at + 1 < layers.len() => stream.members.push(at),
            _ => *stream = None,
        }
    }
    for (at, layer) in layers.iter().enumerate() {
        for input in &layer.inputs {
            let from = root(&home, input.layer);
            // Within a stream a sum reads its parts.
            if from == root(&home, at) {
                continue;
            }
            let stream = found.entry(from).or_default();
            match stream {
                Some(stream) if is_product(&layer.kind) => stream.readers.push(at),
                _ => *stream = None,
            }
        }
    }
    found.into_values().flatten().filter(|stream| !stream.readers.is_empty()).collect()
}

/// The largest magnitude of a product's weights for each channel of its input.
fn largest_weights(layer: &Layer, largest: &mut [f32]) {
    if let Kind::Linear { weights, .. } | Kind::Conv { weights, .. } = &layer.kind {
        for row in weights.weight.chunks_exact(largest.len()) {
            largest.iter_mut().zip(row).for_each(|(most, w)| *most = most.max(w.abs()));
        }
    }
}

/// Divides a layer's channels.
fn divide(layer: &mut Layer, factors: &[f32]) {
    let by = |values: &mut [f32]| values.iter_mut().zip(factors).for_each(|(x, factor)| *x /= factor);
    match &mut layer.kind {
        Kind::Norm { gamma, beta, .. } => {
            by(gamma);
            by(beta);
        }
        Kind::Affine { scale, shift, .. } => {
            by(scale);
            by(shift);
        }
        Kind::Depthwise { weight, bias, .. } => {
            weight.chunks_exact_mut(factors.len()).for_each(by);
            by(bias);
        }
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => {
            let inputs = weights.inputs();
            for (row, factor) in weights.weight.chunks_exact_mut(inputs).zip(factors) {
                row.iter_mut().for_each(|w| *w /= factor);
            }
            by(&mut weights.bias);
        }
        _ => {}
    }
}

/// Multiplies a product's weights by the factors of its input's channels.
fn take_over(layer: &mut Layer, factors: &[f32]) {
    if let Kind::Linear { weights, .. } | Kind::Conv { weights, .. } = &mut layer.kind {
        for row in weights.weight.chunks_exact_mut(factors.len()) {
            row.iter_mut().zip(factors).for_each(|(w, factor)| *w *= factor);
        }
    }
}

/// What each channel is divided by: the root of its range over the root of its weights', so that both come half of the way.
fn factors(largest: &[f32], weights: &[f32]) -> Vec<f32> {
    let ratio = |(x, w): (&f32, &f32)| if *x > 0.0 && *w > 0.0 { Some((x / w).sqrt()) } else { None };
    let ratios: Vec<Option<f32>> = largest.iter().zip(weights).map(ratio).collect();
    let known: Vec<f64> = ratios.iter().flatten().map(|ratio| f64::from(*ratio).ln()).collect();
    let middle = (known.iter().sum::<f64>() / known.len().max(1) as f64).exp() as f32;
    ratios.into_iter().map(|ratio| ratio.map_or(1.0, |ratio| (ratio / middle).clamp(1.0 / MOST, MOST))).collect()
}

/// What a stream's products read.
fn sources(layers: &[Layer], stream: &Stream) -> Vec<usize> {
    stream.readers.iter().map(|&at| layers[at].inputs[0].layer).collect()
}

impl Network {
    /// Brings channels to like ranges by what these inputs (`[height][width][channels]`, as the runtime reads them) make of them.
    ///
    /// # Errors
    /// tract refuses the model, or an input has another length than the network's.
    pub fn smooth(&mut self, inputs: &[Vec<f32>]) -> Result<(), Error> {
        let mut streams = streams(&self.fused.layers);
        // What a product reads has to be a tensor that the float model gives.
        streams.retain(|stream| sources(&self.fused.layers, stream).iter().all(|&source| self.tensors[source].is_some()));
        let mut wanted: Vec<usize> = streams.iter().flat_map(|stream| sources(&self.fused.layers, stream)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let tensors: Vec<_> = wanted.iter().filter_map(|&at| self.tensors[at].clone()).collect();
        let float = self.float(tensors.iter().map(|(name, _)| name.clone()))?;
        let mut ranges: BTreeMap<usize, Vec<f32>> = wanted.iter().map(|&at| (at, vec![0.0f32; self.fused.layers[at].channels])).collect();
        for input in inputs {
            let outputs = self.run_float(&float, input)?;
            for ((values, (_, view)), range) in outputs[1..].iter().zip(&tensors).zip(ranges.values_mut()) {
                let channels = range.len();
                for (value, place) in values.iter().zip(view.places()) {
                    let most = &mut range[place % channels];
                    *most = most.max(value.abs());
                }
            }
        }
        for stream in &streams {
            let sources = sources(&self.fused.layers, stream);
            let channels = self.fused.layers[stream.members[0]].channels;
            let (mut largest, mut weights) = (vec![0.0f32; channels], vec![0.0f32; channels]);
            for (&reader, source) in stream.readers.iter().zip(&sources) {
                largest_weights(&self.fused.layers[reader], &mut weights);
                largest.iter_mut().zip(&ranges[source]).for_each(|(most, x)| *most = most.max(*x));
            }
            let factors = factors(&largest, &weights);
            for &member in &stream.members {
                divide(&mut self.fused.layers[member], &factors);
                // It is no tensor of the float model any more.
                self.tensors[member] = None;
            }
            for &reader in &stream.readers {
                take_over(&mut self.fused.layers[reader], &factors);
            }
        }
        Ok(())
    }
}
