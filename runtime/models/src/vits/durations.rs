//! The stochastic duration predictor, in f32: noise bent by splines that the text decides on. All maps are of a clause's rows.

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::sequence::Flow;
use ossicle_engine::layers::{FloatLinear, Norm, add, record_inside};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::weights::{FolderError, Span, Weights};
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::conv::Size;
use ossicle_kernels::math::{exp_all, log_all};
use ossicle_kernels::rows::{EPSILON, layer_norm_rows};
use ossicle_kernels::simd::LANES;
use ossicle_kernels::window::{Map, Window, depthwise_map};
use ossicle_trace::Values;

/// Rows of a layer in f32 at a time: its weights are large.
const AT_ONCE: usize = 48;

/// Values of noise of a symbol, of which one becomes its duration.
pub(super) const NOISES: usize = 2;

/// Narrowest bin, and smallest slope, of a spline.
const LEAST: f32 = 1e-3;

fn inside<'a>(flow: &Flow, out: &'a mut [f32], width: usize) -> &'a mut [f32] {
    &mut out[..flow.inside().end * width]
}

/// `x + gelu(norm(point(gelu(norm(depthwise(x))))))`: one layer of a dilated, depth-separable stack.
#[derive(Debug)]
pub(super) struct Separable {
    flow: Flow,
    filters: Span,
    filter_bias: Span,
    norms: [Norm; 2],
    point: FloatLinear,
    window: Window,
    width: usize,
}

impl Separable {
    /// Layer `i` of the stack `name`: taps lie `taps` to the power of `i` apart.
    pub(super) fn new(weights: &Weights, name: &str, i: usize, (width, taps): (usize, usize), flow: &Flow) -> Result<Self, FolderError> {
        let name = format!("{name}.{i}");
        let span = |part: &str, shape: &[usize]| weights.f32_span(&format!("{name}.{part}"), shape);
        let norm = |part: &str| -> Result<Norm, FolderError> {
            Ok(Norm { gamma: span(&format!("{part}.weight"), &[width])?, beta: span(&format!("{part}.bias"), &[width])? })
        };
        let dilation = taps.saturating_pow(i as u32);
        let pad = taps / 2 * dilation;
        Ok(Self {
            flow: flow.clone(),
            filters: span("depthwise.weight", &[taps, width])?,
            filter_bias: span("depthwise.bias", &[width])?,
            norms: [norm("norm_1")?, norm("norm_2")?],
            point: FloatLinear::new(weights, &format!("{name}.point"), width, width)?,
            window: Window { kernel: [1, taps], stride: [1, 1], dilation: [1, dilation], before: [0, pad], after: [0, pad] },
            width,
        })
    }
}

impl Layer for Separable {
    fn name(&self) -> &'static str {
        "Separable"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn scratch(&self) -> Need {
        Need::default().thread::<f32>(AT_ONCE * self.width).thread::<f32>(AT_ONCE * self.width)
    }

    fn work(&self) -> Work {
        let row = Units {
            filter_mac: (self.window.taps() * self.width) as f64,
            float_mac: (self.width * self.width) as f64,
            normalize: 2.0 * self.width as f64,
            gelu: 2.0 * self.width as f64,
            ..Units::default()
        };
        Work::default().and(self.flow.rows(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, width, isa, weights) = (io.input::<f32>(0)?, self.width, session.isa(), session.weights());
        let rows = self.flow.inside().end;
        if rows == 0 {
            return Ok(());
        }
        let map = Map { values: &x[..rows * width], size: Size { height: 1, width: rows }, channels: width };
        let (filters, bias) = (weights.f32s(&self.filters), weights.f32s(&self.filter_bias));
        let [first_norm, last_norm] = self.norms.each_ref().map(|norm| norm.get(session));
        let out = inside(&self.flow, io.output::<f32>(0)?, width);
        session.for_rows(&io.thread_scratch(), out, width, |scratch, first, out| {
            let [a, b] = [(); 2].map(|()| &mut scratch.take::<f32>(AT_ONCE * width)[..out.len()]);
            depthwise_map(isa, map, &self.window, filters, bias, first, a);
            layer_norm_rows(isa, a, first_norm.0, first_norm.1, EPSILON, b);
            activate(isa, Activation::Gelu, b);
            self.point.rows(session, b, a);
            layer_norm_rows(isa, a, last_norm.0, last_norm.1, EPSILON, out);
            activate(isa, Activation::Gelu, out);
            add(out, &x[first * width..][..out.len()]);
        });
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// One of a symbol's two values and what the text says of it to rows: `weight * z + bias + condition`. Inputs: `z` `[2][max_tokens]`, the condition.
#[derive(Debug)]
pub(super) struct SplineInput {
    flow: Flow,
    weight: Span,
    bias: Span,
    width: usize,
    /// Which value.
    from: usize,
}

impl SplineInput {
    pub(super) fn new(weights: &Weights, name: &str, width: usize, from: usize, flow: &Flow) -> Result<Self, FolderError> {
        let span = |part: &str| weights.f32_span(&format!("{name}.{part}"), &[width]);
        Ok(Self { flow: flow.clone(), weight: span("weight")?, bias: span("bias")?, width, from })
    }
}

impl Layer for SplineInput {
    fn name(&self) -> &'static str {
        "SplineInput"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk(), self.width])]
    }

    fn work(&self) -> Work {
        Work::default().and(self.flow.rows(), Units { filter_mac: self.width as f64, ..Units::default() })
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let z = &io.input::<f32>(0)?[self.from * self.flow.chunk()..];
        let condition = io.input::<f32>(1)?.chunks_exact(self.width);
        let (weight, bias) = (session.weights().f32s(&self.weight), session.weights().f32s(&self.bias));
        let out = inside(&self.flow, io.output::<f32>(0)?, self.width);
        for ((out, &z), condition) in out.chunks_exact_mut(self.width).zip(z).zip(condition) {
            for (((out, weight), bias), condition) in out.iter_mut().zip(weight).zip(bias).zip(condition) {
                *out = weight * z + bias + condition;
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

/// Bends one of a symbol's two values by a spline that rows decide on, the other way round than in training (Durkan et al. 2019, "Neural spline
/// flows"). Inputs: `z` `[2][max_tokens]`, rows; gives `z`.
#[derive(Debug)]
pub(super) struct Spline {
    flow: Flow,
    layer: FloatLinear,
    width: usize,
    bins: usize,
    bound: f32,
    /// Which value is bent.
    to: usize,
}

impl Spline {
    pub(super) fn new(
        weights: &Weights,
        name: &str,
        (width, bins): (usize, usize),
        bound: f32,
        to: usize,
        flow: &Flow,
    ) -> Result<Self, FolderError> {
        let layer = FloatLinear::new(weights, name, width, padded(bins))?;
        Ok(Self { flow: flow.clone(), layer, width, bins, bound, to })
    }
}

/// Outputs of the layer that decides on a spline: logarithms of widths and of heights of bins, and slopes between them, in whole vectors.
fn padded(bins: usize) -> usize {
    (3 * bins - 1).next_multiple_of(LANES)
}

impl Layer for Spline {
    fn name(&self) -> &'static str {
        "Spline"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([NOISES, self.flow.chunk()])]
    }

    fn scratch(&self) -> Need {
        let edges = self.bins + 1;
        Need::default().shared::<f32>(AT_ONCE * padded(self.bins)).shared::<f32>(edges).shared::<f32>(edges).shared::<f32>(edges)
    }

    fn work(&self) -> Work {
        let (depth, outputs) = (self.width, padded(self.bins));
        let row = Units { float_mac: (depth * outputs) as f64, gelu: (4 * self.bins) as f64, ..Units::default() };
        Work::default().and(self.flow.rows(), row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (z, x, rows) = (io.input::<f32>(0)?, io.input::<f32>(1)?, self.flow.inside().end);
        let (values, edges) = (padded(self.bins), self.bins + 1);
        let all = io.scratch::<f32>(AT_ONCE * values);
        let [across, up, slopes] = [(); 3].map(|()| io.scratch::<f32>(edges));
        let out = io.output::<f32>(0)?;
        out.copy_from_slice(z);
        let out = &mut out[self.to * self.flow.chunk()..][..rows];
        for (out, x) in out.chunks_mut(AT_ONCE).zip(x.chunks(AT_ONCE * self.width)) {
            let all = &mut all[..out.len() * values];
            self.layer.rows(session, &x[..out.len() * self.width], all);
            for (z, values) in out.iter_mut().zip(all.chunks_exact_mut(values)) {
                // Beyond the bound nothing is bent.
                if z.abs() <= self.bound {
                    let (widths, rest) = values.split_at_mut(self.bins);
                    let (heights, rest) = rest.split_at_mut(self.bins);
                    self.edges(session, widths, across);
                    self.edges(session, heights, up);
                    self.slopes(session, &rest[..self.bins - 1], slopes);
                    *z = unbend(*z, across, up, slopes);
                }
            }
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let (rows, chunk) = (self.flow.inside().end, self.flow.chunk());
        record.tensor("", &[rows], Values::F32(&results.output::<f32>(0)?[self.to * chunk..][..rows]));
        Ok(())
    }
}

impl Spline {
    /// Where bins begin and end.
    fn edges(&self, session: &Session, values: &mut [f32], edges: &mut [f32]) {
        softmax(session.isa(), values);
        let mut sum = 0.0;
        for (edge, value) in edges[1..].iter_mut().zip(values) {
            sum += LEAST + (1.0 - LEAST * self.bins as f32) * *value;
            *edge = 2.0 * self.bound * sum - self.bound;
        }
        (edges[0], edges[self.bins]) = (-self.bound, self.bound);
    }

    /// Slopes at those places; 1 at both ends.
    fn slopes(&self, session: &Session, values: &[f32], slopes: &mut [f32]) {
        (slopes[0], slopes[self.bins]) = (1.0, 1.0);
        let inner = &mut slopes[1..self.bins];
        // ln(1 + e^x); a large x is its own.
        inner.copy_from_slice(values);
        exp_all(session.isa(), inner);
        inner.iter_mut().for_each(|value| *value += 1.0);
        log_all(session.isa(), inner);
        for (slope, value) in inner.iter_mut().zip(values) {
            *slope = LEAST + if *value > 20.0 { *value } else { *slope };
        }
    }
}

/// The value whose image under the spline is `y`.
fn unbend(y: f32, across: &[f32], up: &[f32], slopes: &[f32]) -> f32 {
    let bin = up[1..up.len() - 1].iter().take_while(|edge| y >= **edge).count();
    let (width, height) = (across[bin + 1] - across[bin], up[bin + 1] - up[bin]);
    let (delta, y) = (height / width, y - up[bin]);
    let bend = slopes[bin] + slopes[bin + 1] - 2.0 * delta;
    let a = y * bend + height * (delta - slopes[bin]);
    let b = height * slopes[bin] - y * bend;
    let c = -delta * y;
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    2.0 * c / (-b - root) * width + across[bin]
}

/// The logarithm of how many frames each symbol lasts: `(z - mean) * scale`.
#[derive(Debug)]
pub(super) struct LogDurations {
    flow: Flow,
    /// Mean and scale, and zeros to a whole vector.
    affine: Span,
    from: usize,
}

impl LogDurations {
    pub(super) fn new(weights: &Weights, name: &str, from: usize, flow: &Flow) -> Result<Self, FolderError> {
        Ok(Self { flow: flow.clone(), affine: weights.f32_span(name, &[LANES])?, from })
    }
}

impl Layer for LogDurations {
    fn name(&self) -> &'static str {
        "LogDurations"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.flow.chunk()])]
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let z = &io.input::<f32>(0)?[self.from * self.flow.chunk()..];
        let affine = session.weights().f32s(&self.affine);
        for (out, z) in inside(&self.flow, io.output::<f32>(0)?, 1).iter_mut().zip(z) {
            *out = (z - affine[0]) * affine[1];
        }
        Ok(())
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let rows = self.flow.inside().end;
        record.tensor("", &[rows], Values::F32(&results.output::<f32>(0)?[..rows]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spline as it is in training.
    fn bend(x: f64, across: &[f32], up: &[f32], slopes: &[f32]) -> f64 {
        let bin = (0..across.len() - 2).take_while(|bin| x >= f64::from(across[bin + 1])).count();
        let at = |values: &[f32], i: usize| f64::from(values[bin + i]);
        let (width, height) = (at(across, 1) - at(across, 0), at(up, 1) - at(up, 0));
        let (delta, t) = (height / width, (x - at(across, 0)) / width);
        let top = height * (delta * t * t + at(slopes, 0) * t * (1.0 - t));
        let bottom = delta + (at(slopes, 0) + at(slopes, 1) - 2.0 * delta) * t * (1.0 - t);
        at(up, 0) + top / bottom
    }

    #[test]
    fn splines_are_undone() {
        let (across, up, slopes) = ([-5.0, -3.5, 0.25, 1.0, 5.0], [-5.0, -1.0, -0.5, 2.5, 5.0], [1.0, 0.2, 3.0, 0.7, 1.0]);
        for step in 0..=100 {
            let x = -5.0 + 0.1 * f64::from(step);
            let back = unbend(bend(x, &across, &up, &slopes) as f32, &across, &up, &slopes);
            assert!((f64::from(back) - x).abs() < 2e-5, "{x} became {back}");
        }
    }
}
