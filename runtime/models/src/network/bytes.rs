//! Layers from and to maps of bytes.

use std::sync::Arc;

use ossicle_engine::layer;
use ossicle_engine::layers::map::{
    Block, ByteAdd, ByteDense, ByteDepthwise, ByteMean, BytePool, Grid, Offset, Packed, PixelConv, Pixels, Shape,
};
use ossicle_engine::weights::FolderError;
use ossicle_kernels::activation::Activation;
use ossicle_kernels::bytes::ToBytes;
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::Window;

use super::config::{Layer, Op};
use super::tensors::Tensors;

/// The operator of a layer with bytes on either side; none if it computes in f32. The shapes and grids have been checked.
pub(super) fn operator(
    tensors: &Tensors<'_>,
    layer: &Layer,
    inputs: &[Shape],
    from: &[Option<Grid>],
    output: Shape,
) -> Result<Option<Arc<dyn layer::Layer>>, FolderError> {
    let (name, input) = (format!("{}{}", tensors.prefix, layer.name), inputs[0]);
    let packed = |depth: usize, offset: Offset, sums: bool| {
        let layer = tensors.weights.linear_span(&name, output.channels, depth, true)?;
        let sums = if sums { tensors.sums(&name, &layer)? } else { Arc::default() };
        Ok::<_, FolderError>(Packed { layer, offset, sums, depth })
    };
    let to = |activation: Activation| layer.bytes.and_then(|grid| Some((grid, grid.to_bytes(activation)?)));
    let from = |at: usize| from.get(at).copied().flatten();
    Ok(Some(match layer.op {
        Op::PixelConv { window, activation, .. } => {
            let Some(to) = to(activation) else { return Ok(None) };
            let window = Window::from(window);
            let weights = packed((window.taps() * input.channels).next_multiple_of(LANES), None, true)?;
            let figures = |ending: &str| {
                let span = tensors.weights.f32_span(&format!("{name}.{ending}"), &[input.padded()])?;
                Ok::<_, FolderError>(&tensors.weights.f32s(&span)[..input.channels])
            };
            let pixels = Pixels::new(figures("steps")?, figures("zeros")?);
            Arc::new(PixelConv { pixels, weights, window, input, output, to })
        }
        Op::Conv { window, activation, groups, .. } if from(0).is_some() => {
            let window = Window::from(window);
            let block =
                Block::new(groups, input.channels, output.channels).unwrap_or(Block { inputs: input.channels, outputs: output.channels });
            let weights = packed((window.taps() * block.inputs).next_multiple_of(LANES), None, true)?;
            dense(weights, Some((window, block)), input, from(0), output, to(activation), activation)
        }
        Op::Linear { activation, offset, .. } if from(0).is_some() || layer.bytes.is_some() => {
            let weights = packed(input.padded(), offset, offset.is_some() || from(0).is_some())?;
            dense(weights, None, input, from(0), output, to(activation), activation)
        }
        Op::Depthwise { window, activation } => {
            let (Some(from), Some(to)) = (from(0), to(activation)) else { return Ok(None) };
            let window = Window::from(window);
            let weights = packed(window.kernel[0].next_multiple_of(4) * window.kernel[1], None, true)?;
            Arc::new(ByteDepthwise { weights, window, input, from, output, to })
        }
        Op::Add { activation } => {
            let (Some(a), Some(b), Some(to)) = (from(0), from(1), to(activation)) else { return Ok(None) };
            Arc::new(ByteAdd { from: [a, b], output, to })
        }
        Op::Pool { window, .. } => {
            let Some(grid) = layer.bytes else { return Ok(None) };
            Arc::new(BytePool { window: window.into(), input, output, grid })
        }
        Op::Mean => {
            let Some(from) = from(0) else { return Ok(None) };
            Arc::new(ByteMean { positions: input.positions(), from, output })
        }
        _ => return Ok(None),
    }))
}

fn dense(
    weights: Packed,
    window: Option<(Window, Block)>,
    input: Shape,
    from: Option<Grid>,
    output: Shape,
    to: Option<(Grid, ToBytes)>,
    activation: Activation,
) -> Arc<dyn layer::Layer> {
    Arc::new(ByteDense { weights, window, input, from, output, to, activation })
}
