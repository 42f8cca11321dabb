//! Linear layers, normalisation, and sums and products of values and constants.

use ossicle_kernels::activation::Activation;
use ossicle_kernels::conv::Size;
use ossicle_models::network::WindowConfig;
use tract_onnx::pb::NodeProto;

use super::shapes::axis_of;
use super::{Lowerer, Refused, given};
use crate::network::graph::Constant;
use crate::network::ir::{Kind, Layer, Part, Value, Weights};
use crate::network::node::{float, int};
use crate::network::view::View;

/// What a constant is for a map.
enum Spread {
    /// The same for all.
    Scalar(f32),
    /// One for each channel.
    Channels(Vec<f32>),
    /// One for each value.
    Values(Vec<f32>),
}

impl Lowerer<'_> {
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if int(node, "transA") == Some(1) {
            return Err("transA = 1".into());
        }
        let Constant { values: weight, dims } = self.constant(node, 1)?.ok_or("it has no weights")?;
        let [rows, columns] = dims[..] else { return Err(format!("weights of {dims:?}")) };
        let transposed = int(node, "transB") == Some(1);
        let (outputs, inputs) = if transposed { (rows, columns) } else { (columns, rows) };
        let alpha = float(node, "alpha").unwrap_or(1.0);
        let weight = (0..outputs * inputs).map(|at| {
            let (n, k) = (at / inputs, at % inputs);
            alpha * if transposed { weight[at] } else { weight[k * outputs + n] }
        });
        let weight = weight.collect();
        let bias = match self.constant(node, 2)? {
            None => vec![0.0; outputs],
            Some(Constant { values: bias, dims }) if bias.len() == 1 || (bias.len() == outputs && dims.last() == Some(&outputs)) => {
                let beta = float(node, "beta").unwrap_or(1.0);
                (0..outputs).map(|n| beta * bias[n % bias.len()]).collect()
            }
            Some(Constant { dims, .. }) => return Err(format!("a bias of {dims:?} for {outputs} outputs: one for each is possible")),
        };
        self.linear(node, Weights { weight, bias })
    }

    pub(super) fn matmul(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let constants = [0, 1].map(|input| node.input.get(input).is_some_and(|name| self.graph.is_constant(name)));
        match constants {
            [false, true] => {
                let Constant { values: weight, dims } = self.constant(node, 1)?.ok_or("it has no weights")?;
                let [ref batch @ .., inputs, outputs] = dims[..] else { return Err(format!("weights of {dims:?}")) };
                if batch.iter().any(|&n| n != 1) {
                    return Err(format!("weights of {dims:?}"));
                }
                let weight = (0..outputs * inputs).map(|at| weight[at % inputs * outputs + at / inputs]).collect();
                self.linear(node, Weights { weight, bias: vec![0.0; outputs] })
            }
            [false, false] => self.product(node),
            _ => Err("a constant on the left".into()),
        }
    }

    /// A linear layer on the last axis.
    fn linear(&mut self, node: &NodeProto, weights: Weights) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let (inputs, outputs, shape) = (weights.inputs(), weights.bias.len(), self.output_shape(node)?);
        if value.view.shape().last() != Some(&inputs) {
            return Err(format!("weights for {inputs} inputs, and values of {:?}", value.view.shape()));
        }
        let (layer, rows) = self.linear_on(node, &value, weights)?;
        let view = View::dense(&[rows, outputs]).reshaped(&shape).ok_or("its output has another shape")?;
        Ok(Value { layer, view, factor: 1.0 })
    }

    /// A linear layer on the last axis of a value, which may be some channels of a map in any order, or all of a map in any order.
    fn linear_on(&mut self, node: &NodeProto, value: &Value, mut weights: Weights) -> Result<(usize, usize), Refused> {
        let activation = Activation::Identity;
        let (outputs, inputs) = (weights.bias.len(), weights.inputs());
        weights.weight.iter_mut().for_each(|w| *w *= value.factor);
        let value = Value { factor: 1.0, ..value.clone() };
        let Layer { channels, size, .. } = self.layers[value.layer];
        let last = value.view.axes.len() - 1;
        let steps = value.view.steps(last);
        let all = |positions: usize| View::dense(&[positions, channels]).rows();
        // Channels of each position.
        let first = value.view.offset % channels;
        if steps.iter().all(|step| first + step < channels) {
            let positions = value.view.rows().iter().map(|&(n, _)| n).product::<usize>();
            if value.view.rows() != all(positions) {
                return Err("rows that are no positions in order".into());
            }
            let start = value.view.offset / channels;
            let rows =
                View { offset: start * channels, axes: vec![all(positions), if channels > 1 { vec![(channels, 1)] } else { vec![] }] };
            let rows = self.whole(&Value { view: rows, ..value.clone() })?;
            let mut weight = vec![0.0; outputs * channels];
            for (n, row) in weights.weight.chunks_exact(inputs).enumerate() {
                for (w, step) in row.iter().zip(&steps) {
                    weight[n * channels + first + step] += w;
                }
            }
            let kind = Kind::Linear { weights: Weights { weight, bias: weights.bias }, activation };
            let size = self.layers[rows.layer].size;
            return Ok((self.push(node, kind, vec![rows], size, outputs), positions));
        }
        // A map flattened to one row: a convolution as large as the map.
        let flat = self.whole(&value)?;
        if !flat.view.rows().is_empty() {
            return Err("rows of several positions each".into());
        }
        let places = flat.view.places();
        let mut weight = vec![0.0; outputs * inputs];
        for (n, row) in weights.weight.chunks_exact(inputs).enumerate() {
            for (w, &place) in row.iter().zip(&places) {
                weight[n * inputs + place] = *w;
            }
        }
        let size = if flat.layer == value.layer { size } else { self.layers[flat.layer].size };
        let window = WindowConfig { kernel: [size.height, size.width], stride: [1, 1], dilation: [1, 1], padding: [0; 4] };
        let kind = Kind::Conv { window, groups: 1, weights: Weights { weight, bias: weights.bias }, activation };
        Ok((self.push(node, kind, vec![flat], Size { height: 1, width: 1 }, outputs), 1))
    }

    pub(super) fn batch_norm(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if int(node, "training_mode") == Some(1) {
            return Err("training_mode = 1: export the model for inference".into());
        }
        let value = self.value(node, 0)?;
        let value = self.whole(&value)?;
        let channels = self.layers[value.layer].channels;
        let by_channel = value.view.axes.get(1).is_some() && value.view.steps(1).into_iter().eq(0..channels);
        if !by_channel {
            return Err("over something else than a map's channels".into());
        }
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|input| self.vector(node, input, channels));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let epsilon = f64::from(float(node, "epsilon").unwrap_or(1e-5));
        let (mut scale, mut shift) = (vec![], vec![]);
        for c in 0..channels {
            let by = f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt();
            scale.push(by as f32);
            shift.push((f64::from(beta[c]) - f64::from(mean[c]) * by) as f32);
        }
        if scale.iter().chain(&shift).any(|x| !x.is_finite()) {
            return Err("its variance is negative".into());
        }
        Ok(self.like(node, Kind::Affine { scale, shift, activation: Activation::Identity }, value))
    }

    pub(super) fn layer_norm(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let rank = value.view.axes.len();
        if axis_of(int(node, "axis").unwrap_or(-1), rank)? + 1 != rank {
            return Err("over more than the last axis".into());
        }
        let channels = self.layers[value.layer].channels;
        let gamma = self.vector(node, 1, channels)?;
        let beta = if given(node, 2) { self.vector(node, 2, channels)? } else { vec![0.0; channels] };
        self.norm(node, &value, gamma, beta, float(node, "epsilon").unwrap_or(1e-5))
    }

    fn norm(&mut self, node: &NodeProto, value: &Value, gamma: Vec<f32>, beta: Vec<f32>, epsilon: f32) -> Result<Value, Refused> {
        let value = self.whole(value)?;
        let channels = self.layers[value.layer].channels;
        let last = value.view.axes.len().checked_sub(1);
        if !last.is_some_and(|last| value.view.steps(last).into_iter().eq(0..channels)) {
            return Err("over something else than the channels of each position".into());
        }
        if !channels.is_multiple_of(16) {
            return Err(format!("over {channels} channels: multiples of 16 are possible"));
        }
        Ok(self.like(node, Kind::Norm { gamma, beta, epsilon }, value))
    }

    /// What a constant is for a value's map.
    fn spread(&self, value: &Value, constant: &Constant) -> Result<Spread, Refused> {
        let Constant { values, dims } = constant;
        if let [scalar] = values[..] {
            return Ok(Spread::Scalar(scalar));
        }
        let shape = value.view.shape();
        let missing = shape.len().checked_sub(dims.len()).ok_or("a constant of more dimensions than what it meets")?;
        let mut strides = vec![0; shape.len()];
        let mut step = 1;
        for axis in (0..dims.len()).rev() {
            if dims[axis] != 1 {
                if dims[axis] != shape[missing + axis] {
                    return Err(format!("a constant of {dims:?} and values of {shape:?}"));
                }
                strides[missing + axis] = step;
            }
            step *= dims[axis];
        }
        let Layer { channels, .. } = self.layers[value.layer];
        let mut out = vec![0.0; self.layers[value.layer].len()];
        for (index, place) in value.view.places().into_iter().enumerate() {
            let (mut rest, mut at) = (index, 0);
            for axis in (0..shape.len()).rev() {
                at += rest % shape[axis] * strides[axis];
                rest /= shape[axis];
            }
            out[place] = values[at];
        }
        let alike = out.chunks_exact(channels).all(|position| position == &out[..channels]);
        Ok(if alike { Spread::Channels(out[..channels].to_vec()) } else { Spread::Values(out) })
    }

    /// A node's one value and one constant, which of them comes first, or none if both are values.
    fn operands(&self, node: &NodeProto) -> Result<Option<(Value, Constant, bool)>, Refused> {
        let constants = [0, 1].map(|input| node.input.get(input).is_some_and(|name| self.graph.is_constant(name)));
        let constant = match constants {
            [true, false] => 0,
            [false, true] => 1,
            _ => return Ok(None),
        };
        let values = self.constant(node, constant)?.ok_or("it lacks an input")?;
        Ok(Some((self.value(node, 1 - constant)?, values, constant == 0)))
    }

    pub(super) fn add(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if let Some((value, constant, _)) = self.operands(node)? {
            return self.plus(node, &value, &constant, 1.0);
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        let (a, b) = (self.whole(&a)?, self.whole(&b)?);
        self.same_map(&a, &b)?;
        let view = a.view.clone();
        let Layer { size, channels, .. } = self.layers[a.layer];
        let layer = self.push(node, Kind::Add { activation: Activation::Identity }, vec![a, b], size, channels);
        Ok(Value { layer, view, factor: 1.0 })
    }

    /// A value plus a constant times `sign`.
    fn plus(&mut self, node: &NodeProto, value: &Value, constant: &Constant, sign: f32) -> Result<Value, Refused> {
        if let (Kind::Part(Part::Variance), [epsilon], 1.0) = (&self.layers[value.layer].kind, &constant.values[..], value.factor) {
            let Layer { size, channels, .. } = self.layers[value.layer];
            let layer = self.push(node, Kind::Part(Part::VariancePlus(sign * epsilon)), vec![value.clone()], size, channels);
            return Ok(Value { layer, view: value.view.clone(), factor: 1.0 });
        }
        if self.output_shape(node)? != value.view.shape() {
            return Err("a constant larger than what it is added to".into());
        }
        if self.layers[value.layer].kind.is_part(&Part::Product) {
            return self.mask(node, value, constant, sign);
        }
        let value = self.whole(value)?;
        let channels = self.layers[value.layer].channels;
        let signed = |values: Vec<f32>| values.into_iter().map(|x| sign * x).collect::<Vec<f32>>();
        let shift = match self.spread(&value, constant)? {
            Spread::Scalar(shift) => vec![sign * shift; channels],
            Spread::Channels(shift) => signed(shift),
            Spread::Values(values) => return Ok(self.like(node, Kind::AddConstant { constant: signed(values) }, value)),
        };
        Ok(self.like(node, Kind::Affine { scale: vec![1.0; channels], shift, activation: Activation::Identity }, value))
    }

    pub(super) fn sub(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if let Some((value, constant, first)) = self.operands(node)? {
            let negated = Value { factor: -value.factor, ..value.clone() };
            return if first { self.plus(node, &negated, &constant, 1.0) } else { self.plus(node, &value, &constant, -1.0) };
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        if self.layers[b.layer].kind.is_part(&Part::RowMean) && self.is_mean_of(&b, &a) {
            let Layer { size, channels, .. } = self.layers[a.layer];
            let view = a.view.clone();
            return Ok(Value { layer: self.push(node, Kind::Part(Part::Centred), vec![a], size, channels), view, factor: 1.0 });
        }
        let (a, b) = (self.whole(&a)?, self.whole(&b)?);
        self.same_map(&a, &b)?;
        let b = self.whole(&Value { factor: -1.0, ..b })?;
        let view = a.view.clone();
        let Layer { size, channels, .. } = self.layers[a.layer];
        let layer = self.push(node, Kind::Add { activation: Activation::Identity }, vec![a, b], size, channels);
        Ok(Value { layer, view, factor: 1.0 })
    }

    pub(super) fn mul(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if let Some((value, constant, _)) = self.operands(node)? {
            return self.times(node, value, constant);
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        if a.layer == b.layer && a.view == b.view && b.factor == 1.0 && self.layers[a.layer].kind.is_part(&Part::Centred) {
            return self.square(node, a);
        }
        for (x, gate) in [(&a, &b), (&b, &a)] {
            if let Some((source, activation, factor)) = self.gated(x, gate) {
                let Layer { size, channels, .. } = self.layers[source.layer];
                let view = x.view.clone();
                let source = self.whole(&source)?;
                let layer = self.push(node, Kind::Activate(activation), vec![source], size, channels);
                return Ok(Value { layer, view, factor });
            }
        }
        let (a, b) = (self.whole(&a)?, self.whole(&b)?);
        for (map, gate) in [(&a, &b), (&b, &a)] {
            let channels = self.layers[map.layer].channels;
            let Layer { channels: gates, .. } = self.layers[gate.layer];
            let single = self.layers[gate.layer].positions() == 1 && gates == channels && self.layers[map.layer].positions() > 1;
            if single && self.gates(map, gate) {
                return Ok(self.like_two(node, Kind::Scale, map.clone(), gate.clone()));
            }
        }
        self.same_map(&a, &b)?;
        Ok(self.like_two(node, Kind::Multiply, a, b))
    }

    /// As [`like`](Self::like), with a second input.
    fn like_two(&mut self, node: &NodeProto, kind: Kind, a: Value, b: Value) -> Value {
        let Layer { size, channels, .. } = self.layers[a.layer];
        let view = a.view.clone();
        Value { layer: self.push(node, kind, vec![a, b], size, channels), view, factor: 1.0 }
    }

    /// Whether each axis of a gate is either the map's channels or a single step.
    fn gates(&self, map: &Value, gate: &Value) -> bool {
        let missing = map.view.axes.len().checked_sub(gate.view.axes.len());
        missing.is_some_and(|missing| {
            gate.view.axes.iter().enumerate().all(|(axis, steps)| steps.is_empty() || *steps == map.view.axes[missing + axis])
        })
    }

    /// Two values that lie alike in maps of the same shape.
    fn same_map(&self, a: &Value, b: &Value) -> Result<(), Refused> {
        let (x, y) = (&self.layers[a.layer], &self.layers[b.layer]);
        let same = x.channels == y.channels && x.positions() == y.positions();
        let trimmed = |view: &View| view.axes.iter().skip_while(|axis| axis.is_empty()).cloned().collect::<Vec<_>>();
        if same && trimmed(&a.view) == trimmed(&b.view) {
            return Ok(());
        }
        let (have, other) = (a.view.shape(), b.view.shape());
        Err(format!("{have:?} and {other:?} that lie differently, or of which one repeats"))
    }

    /// Whether what is known of each row, a mean over its last axis or what came of that, lies as the rows of `values` do.
    fn is_of_rows(row: &View, values: &View) -> bool {
        values.axes.len().checked_sub(1).and_then(|last| values.sliced(last, 0..1)).is_some_and(|first| first == *row)
    }

    /// Whether a mean over channels, one for each row, is the one of these values.
    fn is_mean_of(&self, mean: &Value, values: &Value) -> bool {
        let source = &self.layers[mean.layer].inputs[0];
        let same = source.layer == values.layer && source.view == values.view && values.factor == 1.0 && mean.factor == 1.0;
        same && Self::is_of_rows(&mean.view, &values.view)
    }

    /// `x` times a function of it: the source, what the product is, and the factor of that.
    fn gated(&self, x: &Value, gate: &Value) -> Option<(Value, Activation, f32)> {
        let (mut layer, mut factor) = (gate.layer, gate.factor * x.factor);
        while let Some(scale) = self.layers[layer].kind.uniform_scale() {
            factor *= scale;
            layer = self.layers[layer].inputs[0].layer;
        }
        let inner = self.layers[layer].inputs.first()?;
        let same = |value: &Value| value.layer == x.layer && value.view == x.view && gate.view == x.view;
        // The function's argument, without the factor or shift it may have got.
        let behind = |at: usize| self.layers[at].inputs.first();
        let near = |a: f32, b: f32| (a - b).abs() < 1e-3 * b.abs();
        let source = Value { factor: 1.0, ..x.clone() };
        match &self.layers[layer].kind {
            // x.factor is in both; an activation's argument has been made whole, factor and all.
            Kind::Activate(Activation::Sigmoid) if x.factor == 1.0 => {
                if same(inner) {
                    return Some((source, Activation::Silu, factor));
                }
                let scale = self.layers[inner.layer].kind.uniform_scale()?;
                (near(scale, 1.702) && same(behind(inner.layer)?)).then_some((source, Activation::QuickGelu, factor))
            }
            Kind::Activate(Activation::HardSigmoid) if x.factor == 1.0 && same(inner) => Some((source, Activation::HardSwish, factor)),
            Kind::Activate(Activation::Relu6) if x.factor == 1.0 => {
                // x * relu6(x + 3) is six times hard-swish.
                let Kind::Affine { scale, shift, activation: Activation::Identity } = &self.layers[inner.layer].kind else { return None };
                let plus_three = scale.iter().all(|s| *s == 1.0) && shift.iter().all(|t| *t == 3.0);
                (plus_three && same(behind(inner.layer)?)).then_some((source, Activation::HardSwish, factor * 6.0))
            }
            Kind::Affine { scale, shift, activation: Activation::Identity } => {
                // x * (1 + erf(x / sqrt 2)) is twice GELU.
                let alike = scale.iter().chain(shift).all(|s| *s == scale[0]);
                let argument = self.layers[inner.layer].kind.is_part(&Part::Erf).then(|| behind(inner.layer)).flatten()?;
                let fits = alike && inner.factor == 1.0 && near(argument.factor, std::f32::consts::FRAC_1_SQRT_2);
                (fits && same(argument)).then_some((source, Activation::Gelu, factor * scale[0] * 2.0))
            }
            _ => None,
        }
    }

    fn times(&mut self, node: &NodeProto, value: Value, constant: Constant) -> Result<Value, Refused> {
        if self.output_shape(node)? != value.view.shape() {
            return Err("a constant larger than what it is multiplied with".into());
        }
        if let [factor] = constant.values[..] {
            return Ok(Value { factor: value.factor * factor, ..value });
        }
        let value = self.whole(&value)?;
        match self.spread(&value, &constant)? {
            Spread::Scalar(factor) => Ok(Value { factor, ..value }),
            Spread::Channels(scale) => {
                let shift = vec![0.0; scale.len()];
                Ok(self.like(node, Kind::Affine { scale, shift, activation: Activation::Identity }, value))
            }
            Spread::Values(_) => Err("a factor for each position".into()),
        }
    }

    pub(super) fn div(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        if let Some((value, Constant { values, dims }, first)) = self.operands(node)? {
            if first || values.contains(&0.0) {
                return Err("by something that depends on the input, or by zero".into());
            }
            let inverse = values.iter().map(|x| (1.0 / f64::from(*x)) as f32).collect();
            return self.times(node, value, Constant { values: inverse, dims });
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        let Kind::Part(Part::Deviation(epsilon)) = self.layers[b.layer].kind else {
            return Err("by something that depends on the input".into());
        };
        // Centred, its square, that one's mean, plus epsilon, the root.
        let mut at = b.layer;
        for _ in 0..4 {
            at = self.layers[at].inputs[0].layer;
        }
        if !self.layers[a.layer].kind.is_part(&Part::Centred) || at != a.layer || a.factor != 1.0 || b.factor != 1.0 {
            return Err("by the deviation of something else".into());
        }
        let source = self.layers[a.layer].inputs[0].clone();
        if a.view != source.view || !Self::is_of_rows(&b.view, &a.view) {
            return Err("by a deviation that lies in another order".into());
        }
        let channels = self.layers[source.layer].channels;
        self.norm(node, &source, vec![1.0; channels], vec![0.0; channels], epsilon)
    }

    pub(super) fn pow(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (value, exponent) = (self.value(node, 0)?, self.vector(node, 1, 1)?);
        match exponent[0] {
            2.0 if self.layers[value.layer].kind.is_part(&Part::Centred) => self.square(node, value),
            other => Err(format!("to the power of {other}")),
        }
    }

    fn square(&mut self, node: &NodeProto, value: Value) -> Result<Value, Refused> {
        if value.factor != 1.0 {
            return Err("of values with a factor".into());
        }
        let Layer { size, channels, .. } = self.layers[value.layer];
        let view = value.view.clone();
        Ok(Value { layer: self.push(node, Kind::Part(Part::Square), vec![value], size, channels), view, factor: 1.0 })
    }

    pub(super) fn sqrt(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let (Kind::Part(Part::VariancePlus(epsilon)), 1.0) = (&self.layers[value.layer].kind, value.factor) else {
            return Err("of something else than a variance".into());
        };
        let epsilon = *epsilon;
        let Layer { size, channels, .. } = self.layers[value.layer];
        let view = value.view.clone();
        Ok(Value { layer: self.push(node, Kind::Part(Part::Deviation(epsilon)), vec![value], size, channels), view, factor: 1.0 })
    }
}
