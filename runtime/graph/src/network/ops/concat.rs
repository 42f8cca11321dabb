//! Channels of several maps as one.

use std::sync::Arc;

use ossicle_kernels::simd::LANES;
use tract_core::internal::*;

use super::{map_fact, record_map};
use crate::network::config::Shape;
use crate::network::context::Context;
use crate::ops::{f32s, f32s_mut};
use crate::plan::Kernel;
use crate::taps::Record;

/// Neighbouring channels that stay neighbours.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Which map.
    input: usize,
    /// Values of one of its positions.
    stride: usize,
    /// The first channel there.
    from: usize,
    /// How many.
    count: usize,
}

/// Where each channel comes from, in the order of the output.
#[derive(Debug)]
pub(in crate::network) struct Copies(Vec<Run>);

impl Copies {
    /// Those of `channels`, counted over all inputs; all of them if it is empty. The shapes have been checked.
    pub(in crate::network) fn new(inputs: &[Shape], channels: &[usize], output: Shape) -> Self {
        let mut runs: Vec<Run> = vec![];
        for at in 0..output.channels {
            let mut from = channels.get(at).copied().unwrap_or(at);
            let mut input = 0;
            while from >= inputs[input].channels {
                from -= inputs[input].channels;
                input += 1;
            }
            match runs.last_mut() {
                Some(run) if run.input == input && run.from + run.count == from => run.count += 1,
                _ => runs.push(Run { input, stride: inputs[input].padded(), from, count: 1 }),
            }
        }
        Self(runs)
    }
}

/// Channels of several maps, one position after the other.
#[derive(Debug)]
pub(in crate::network) struct Concat {
    pub(in crate::network) context: Arc<Context>,
    pub(in crate::network) copies: Copies,
    pub(in crate::network) output: Shape,
}

impl Kernel for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn outputs(&self) -> TVec<TypedFact> {
        map_fact(self.output)
    }

    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
        let mut maps: TVec<&[f32]> = tvec![];
        for input in inputs {
            maps.push(f32s(input)?);
        }
        let width = self.output.padded();
        self.context.pool.for_parts(f32s_mut(outputs[0])?, width, LANES, |_, first, out| {
            for (position, out) in out.chunks_exact_mut(width).enumerate() {
                let mut rest = &mut *out;
                for run in &self.copies.0 {
                    let from = &maps[run.input][(first + position) * run.stride + run.from..][..run.count];
                    let (own, behind) = rest.split_at_mut(run.count);
                    own.copy_from_slice(from);
                    rest = behind;
                }
                rest.fill(0.0);
            }
        });
        Ok(())
    }

    fn record(&self, outputs: &[Arc<Tensor>], record: &mut Record<'_>) -> TractResult<()> {
        record_map(self.output, outputs, record)
    }
}
