//! Channels of several maps as one.

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::{GraphError, Session};
use ossicle_kernels::simd::LANES;

use super::{MAX_INPUTS, Shape, map_fact, record_map};

/// Neighbouring channels that stay neighbours.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first channel in the map, and in the output.
    from: usize,
    to: usize,
    /// How many.
    count: usize,
}

/// Runs shorter than this are copied value by value: shuffled channels are runs of one.
const SHORT: usize = 4;

/// What comes from one map.
#[derive(Debug, Default)]
struct Copied {
    /// Values of one of its positions.
    stride: usize,
    runs: Vec<Run>,
    /// Where single values are in the map, and in the output.
    singles: Vec<(usize, usize)>,
}

/// Where each channel comes from, for each input.
#[derive(Debug)]
pub struct Copies(Vec<Copied>);

impl Copies {
    /// Those of `channels`, counted over all inputs; all of them if it is empty. The shapes have been checked.
    pub fn new(inputs: &[Shape], channels: &[usize], output: Shape) -> Self {
        let mut all: Vec<Copied> = inputs.iter().map(|input| Copied { stride: input.padded(), ..Copied::default() }).collect();
        for to in 0..output.channels {
            let mut from = channels.get(to).copied().unwrap_or(to);
            let mut input = 0;
            while from >= inputs[input].channels {
                from -= inputs[input].channels;
                input += 1;
            }
            match all[input].runs.last_mut() {
                Some(run) if (run.from + run.count, run.to + run.count) == (from, to) => run.count += 1,
                _ => all[input].runs.push(Run { from, to, count: 1 }),
            }
        }
        for Copied { runs, singles, .. } in &mut all {
            let short = runs.extract_if(.., |run| run.count < SHORT);
            singles.extend(short.flat_map(|run| (0..run.count).map(move |i| (run.from + i, run.to + i))));
        }
        Self(all)
    }
}

/// Channels of several maps, one position after the other.
#[derive(Debug)]
pub struct Concat {
    /// Where each channel comes from.
    pub copies: Copies,
    /// Shape of the output.
    pub output: Shape,
}

impl Layer for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn outputs(&self) -> Vec<Fact> {
        map_fact(self.output)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let mut maps = [<&[f32]>::default(); MAX_INPUTS];
        for (input, map) in maps.iter_mut().enumerate().take(io.inputs()) {
            *map = io.input(input)?;
        }
        let width = self.output.padded();
        session.pool().for_parts(io.output::<f32>(0)?, width, LANES, |_, first, out| {
            for (position, out) in out.chunks_exact_mut(width).enumerate() {
                for (map, Copied { stride, runs, singles }) in maps.iter().zip(&self.copies.0) {
                    let map = &map[(first + position) * stride..][..*stride];
                    for &Run { from, to, count } in runs {
                        out[to..][..count].copy_from_slice(&map[from..][..count]);
                    }
                    for &(from, to) in singles {
                        out[to] = map[from];
                    }
                }
                out[self.output.channels..].fill(0.0);
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_map(self.output, results, record)
    }
}
