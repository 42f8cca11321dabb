//! A convolution over rows of a sequence, with what networks put before and after it.

use std::sync::{Arc, MutexGuard};

use crate::layer::{Fact, Io, Layer, Results};
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};

use super::conv_next::record_inside;
use super::sequence::Past;
use super::taps::{BLOCK, TapBuffers, Taps};
use super::{Norm, relu};

/// What a convolution's result is added to.
#[derive(Clone, Debug)]
pub enum Residual {
    /// Nothing.
    None,
    /// Its input.
    Own,
    /// Another input, the last, whose rows are as late as the result's.
    Other,
    /// Another input, the last, whose rows become as late as the result's.
    Late(Arc<Past>),
}

/// What is done with the sums.
#[derive(Clone, Debug)]
pub enum After {
    /// Nothing.
    Nothing,
    /// What is below zero is zero.
    Relu,
    /// Layer normalisation.
    Norm(Norm),
}

/// `after(residual + convolution(leaky(x)))`, `x` the mean of `inputs` inputs: rows `[chunk][inputs]` to `[chunk][outputs]`.
#[derive(Debug)]
pub struct RowConv {
    /// Rows of `x`.
    pub past: Arc<Past>,
    /// The convolution.
    pub taps: Taps,
    /// Inputs whose mean `x` is.
    pub inputs: usize,
    /// What `x` is multiplied by where it is below zero.
    pub slope: f32,
    /// What is added.
    pub residual: Residual,
    /// What comes then.
    pub after: After,
}

impl RowConv {
    fn outputs_of_row(&self) -> usize {
        self.taps.shape().outputs
    }
}

/// Takes the next chunk of the mean of the first `count` inputs.
pub(super) fn take_mean<'p>(past: &'p Past, count: usize, io: &mut Io<'_>) -> Result<MutexGuard<'p, Vec<f32>>, GraphError> {
    let mut inputs: [&[f32]; MOST] = [&[]; MOST];
    let inputs = inputs.get_mut(..count).ok_or(GraphError::Layer("a mean of too many inputs"))?;
    for (at, input) in inputs.iter_mut().enumerate() {
        *input = io.input::<f32>(at)?;
    }
    Ok(past.take(|i, row| mean_row(inputs, i, row)))
}

/// Row `i` of the mean of `inputs`.
fn mean_row(inputs: &[&[f32]], i: usize, row: &mut [f32]) {
    let width = row.len();
    let own = i * width..(i + 1) * width;
    let Some((first, others)) = inputs.split_first() else { return };
    row.copy_from_slice(&first[own.clone()]);
    if others.is_empty() {
        return;
    }
    for other in others {
        super::add(row, &other[own.clone()]);
    }
    let count = inputs.len() as f32;
    row.iter_mut().for_each(|value| *value /= count);
}

impl Layer for RowConv {
    fn name(&self) -> &'static str {
        "RowConv"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.past.output().chunk(), self.outputs_of_row()])]
    }

    fn scratch(&self) -> Need {
        let need = TapBuffers::need(Need::default(), BLOCK + 2 * self.taps.reach(), self.taps.shape().inputs);
        if let After::Norm(_) = self.after { need.thread::<f32>(BLOCK * self.outputs_of_row()) } else { need }
    }

    fn work(&self) -> Work {
        let rows = self.past.output().rows();
        let normalize = if let After::Norm(_) = self.after { self.outputs_of_row() as f64 } else { 0.0 };
        self.taps.work(rows).and(rows, Units { normalize, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (width, wide, reach) = (self.taps.shape().inputs, self.outputs_of_row(), self.taps.reach());
        let rows = take_mean(&self.past, self.inputs, io)?;
        let other = match &self.residual {
            Residual::Late(past) => {
                let x = io.input::<f32>(self.inputs)?;
                Some(past.take(|i, row| row.copy_from_slice(&x[i * wide..][..wide])))
            }
            _ => None,
        };
        let inside = self.past.output().inside();
        if inside.is_empty() {
            return Ok(());
        }
        let added: Option<&[f32]> = match &self.residual {
            Residual::None => None,
            Residual::Own => Some(&rows[reach * wide..]),
            Residual::Other => Some(io.input::<f32>(self.inputs)?),
            Residual::Late(_) => other.as_ref().map(|rows| &rows[..]),
        };
        let (rows, out) = (&rows[..], &mut io.output::<f32>(0)?[inside.start * wide..inside.end * wide]);
        session.for_parts(&io.thread_scratch(), out, wide, |scratch, start, out| {
            for (block, out) in out.chunks_mut(BLOCK * wide).enumerate() {
                let scratch = &mut scratch.again();
                let (first, count) = (inside.start + start + block * BLOCK, out.len() / wide);
                let mut buffers = TapBuffers::take(scratch, BLOCK + 2 * reach, width);
                buffers.fill(session, &rows[first * width..][..(count + 2 * reach) * width], width, 0, self.slope);
                let sums = |out: &mut [f32]| {
                    if let Some(added) = added {
                        out.copy_from_slice(&added[first * wide..][..out.len()]);
                    }
                    self.taps.run(session, &buffers, 0, added.is_some(), out);
                };
                match &self.after {
                    After::Nothing => sums(out),
                    After::Relu => {
                        sums(out);
                        relu(out);
                    }
                    After::Norm(norm) => {
                        let plain = &mut scratch.take::<f32>(BLOCK * wide)[..out.len()];
                        sums(plain);
                        let (gamma, beta) = norm.get(session);
                        layer_norm_rows(session.isa(), plain, gamma, beta, EPSILON, out);
                    }
                }
            }
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.past.output(), results, 0, record)
    }
}

/// Most inputs whose mean is taken.
pub(super) const MOST: usize = 8;
