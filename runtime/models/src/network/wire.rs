//! Layers of a configuration as layers of a graph.

use std::collections::HashMap;
use std::sync::Arc;

use ossicle_engine::GraphError;
use ossicle_engine::graph::{GraphBuilder, Outlet};
use ossicle_engine::layer;
use ossicle_engine::layers::attention::{FloatAttention, HeadSize, Mask, Positions, SelfAttention};
use ossicle_engine::layers::map::{
    AddConstant, Affine, Block, Concat, Copies, Dense, DenseF32, Depthwise, Grid, Join, Joined, Mean, Norm, Offset, Packed, Pad,
    PoolWindows, Prepend, Shape, Take, TakeOne, ToFloats, Unary,
};
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::weights::FolderError;
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::Window;

use super::bytes;
use super::config::{Layer, Op};
use super::tensors::Tensors;

/// Layers in a row, the first of which read one input.
pub(crate) struct Part<'a> {
    /// In front of the layers' names in traces.
    pub(crate) name: &'a str,
    /// What they read.
    pub(crate) input: Shape,
    /// In the order they are computed.
    pub(crate) layers: &'a [Layer],
    /// The shape after each, and where its inputs come from.
    pub(crate) shapes: &'a [(Shape, Vec<usize>)],
}

impl Part<'_> {
    /// Adds the layers to a graph; gives what the last one gives. `source` is the input, channels not padded, and `end` one i32, the position that
    /// [`Op::TextEnd`] takes.
    pub(crate) fn wire(
        &self,
        graph: &mut GraphBuilder,
        tensors: &Tensors<'_>,
        source: Outlet,
        end: Option<Outlet>,
    ) -> Result<Outlet, GraphError> {
        let behind = |source: usize| source.checked_sub(1).map_or(self.input, |layer| self.shapes[layer].0);
        let mut outlets = vec![source];
        // Convolutions take what they need of each position; everything else wants whole vectors.
        let narrow = self.input.channels < self.input.padded();
        let raw = |layer: &Layer, sources: &[usize]| {
            matches!(layer.op, Op::Conv { .. } | Op::ConvF32 { .. } | Op::PixelConv { .. }) && sources == [0]
        };
        let padded = match narrow && self.layers.iter().zip(self.shapes).any(|(layer, (_, from))| from.contains(&0) && !raw(layer, from)) {
            true => graph.add(format!("{}.padded", self.name), Pad { output: self.input }, &[source])?[0],
            false => source,
        };
        let mut floats: HashMap<usize, Outlet> = HashMap::new();
        let grid = |source: usize| source.checked_sub(1).and_then(|layer| self.layers[layer].bytes);
        for (layer, (output, sources)) in self.layers.iter().zip(self.shapes) {
            let direct = raw(layer, sources);
            let shapes: Vec<Shape> = sources.iter().map(|&source| behind(source)).collect();
            let stride = if direct { shapes[0].channels } else { shapes[0].padded() };
            let mut inputs: Vec<Outlet> = sources.iter().map(|&from| if from == 0 && !direct { padded } else { outlets[from] }).collect();
            if layer.op == Op::TextEnd {
                inputs.push(end.ok_or_else(|| GraphError::Plan(format!("layer {:?} is for texts", layer.name)))?);
            }
            let from: Vec<Option<Grid>> = sources.iter().map(|&source| grid(source)).collect();
            if let Some(op) = bytes::operator(tensors, layer, &shapes, &from, *output)? {
                outlets.push(graph.add_shared(format!("{}.{}", self.name, layer.name), op, &inputs)?[0]);
                continue;
            }
            for ((input, &source), (from, shape)) in inputs.iter_mut().zip(sources).zip(from.iter().zip(&shapes)) {
                let Some(from) = *from else { continue };
                *input = match floats.get(&source) {
                    Some(outlet) => *outlet,
                    None => {
                        let name = format!("{}.{}.floats", self.name, self.layers[source - 1].name);
                        graph.add(name, ToFloats { from, output: *shape }, &[*input])?[0]
                    }
                };
                floats.insert(source, *input);
            }
            let op = operator(tensors, layer, &shapes, stride, *output)?;
            outlets.push(graph.add_shared(format!("{}.{}", self.name, layer.name), op, &inputs)?[0]);
        }
        Ok(outlets.last().copied().unwrap_or(source))
    }
}

/// A layer's operator, its tensors checked.
fn operator(
    tensors: &Tensors<'_>,
    layer: &Layer,
    inputs: &[Shape],
    stride: usize,
    output: Shape,
) -> Result<Arc<dyn layer::Layer>, FolderError> {
    let (name, input) = (format!("{}{}", tensors.prefix, layer.name), inputs[0]);
    let tensor = |ending: &str, shape: &[usize]| tensors.weights.f32_span(&format!("{name}.{ending}"), shape);
    let packed = |depth: usize, offset: Offset| {
        let layer = tensors.weights.linear_span(&name, output.channels, depth, true)?;
        let sums = if offset.is_some() { tensors.sums(&name, &layer)? } else { Arc::default() };
        Ok::<_, FolderError>(Packed { layer, offset, sums, depth })
    };
    let channels = output.padded();
    Ok(match layer.op {
        Op::Conv { window, activation, groups, offset, .. } => {
            let window = Window::from(window);
            let block =
                Block::new(groups, input.channels, output.channels).unwrap_or(Block { inputs: input.channels, outputs: output.channels });
            let weights = packed((window.taps() * block.inputs).next_multiple_of(LANES), offset)?;
            Arc::new(Dense { weights, window: Some((window, block)), input, stride, output, activation })
        }
        Op::ConvF32 { window, activation, .. } | Op::PixelConv { window, activation, .. } => {
            let window = Window::from(window);
            let (weights, bias) = (tensor("weight", &[window.taps() * input.channels, channels])?, tensor("bias", &[channels])?);
            Arc::new(DenseF32 { weights, bias, window, input, stride, output, activation })
        }
        Op::Linear { activation, offset, .. } => {
            let weights = packed(input.padded(), offset)?;
            Arc::new(Dense { weights, window: None, input, stride, output, activation })
        }
        Op::Depthwise { window, activation } => {
            let window = Window::from(window);
            let (weights, bias) = (tensor("weight", &[window.taps(), channels])?, tensor("bias", &[channels])?);
            Arc::new(Depthwise { weights, bias, window, input, output, activation })
        }
        Op::Pool { window, pool } => Arc::new(PoolWindows { window: window.into(), pool, input, output }),
        Op::Mean => Arc::new(Mean { output }),
        Op::Affine { activation } => {
            let (weight, bias) = (tensor("weight", &[channels])?, tensor("bias", &[channels])?);
            Arc::new(Affine { weight, bias, output, activation })
        }
        Op::Add { activation } => Arc::new(Join { how: Joined::Sum(activation), output }),
        Op::Multiply => Arc::new(Join { how: Joined::Product, output }),
        Op::Scale => Arc::new(Join { how: Joined::Scaled, output }),
        Op::Activate { activation } => Arc::new(Unary { activation, output }),
        Op::Norm { epsilon } => {
            let (weight, bias) = (tensor("weight", &[channels])?, tensor("bias", &[channels])?);
            Arc::new(Norm { weight, bias, epsilon, output })
        }
        Op::Attention { heads, causal } => {
            let mask = if causal { Mask::Causal } else { Mask::None };
            Arc::new(SelfAttention { flow: Flow::whole(output.positions()), size: HeadSize::whole(heads), mask })
        }
        Op::WideAttention { heads, head } => {
            Arc::new(FloatAttention { flow: Flow::whole(output.positions()), heads, head, positions: Positions::None })
        }
        Op::Prepend { tokens } => {
            let tokens = tensor("tokens", &[tokens, channels])?;
            Arc::new(Prepend { tokens, output })
        }
        Op::AddConstant => {
            let constant = tensor("constant", &[output.positions(), channels])?;
            Arc::new(AddConstant { constant, output })
        }
        Op::Concat { ref channels } => {
            let copies = Copies::new(inputs, channels, output);
            Arc::new(Concat { copies, output })
        }
        Op::Take { first, .. } => Arc::new(Take { first, output }),
        Op::TextEnd => Arc::new(TakeOne { output }),
    })
}
