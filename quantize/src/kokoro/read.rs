//! The network's tensors, by the names of the layers that read them.

use std::collections::HashMap;

use crate::Error;
use crate::onnx::read::{Node, OnnxGraph};
use crate::pack::{QuantizedRows, quantize_rows};

/// A layer in signed bytes, one scale an output, and its bias.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) rows: QuantizedRows,
    pub(super) bias: Vec<f32>,
}

/// A layer in f32, `[depth][outputs]`.
#[derive(Clone, Debug)]
pub(super) struct FloatLinear {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// A graph, and the nodes that write its values.
pub(super) struct Network<'a> {
    pub(super) graph: &'a OnnxGraph,
    makers: HashMap<&'a str, &'a Node>,
}

/// Gates of a recurrent layer in the file's order, input, output, forget, cell, by their places in the runtime's: input, forget, cell, output.
const GATES: [usize; 4] = [0, 2, 3, 1];

impl<'a> Network<'a> {
    pub(super) fn new(graph: &'a OnnxGraph) -> Self {
        let outputs = graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node)));
        Self { graph, makers: outputs.collect() }
    }

    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Onnx { path: self.graph.path.clone(), reason: reason.into() }
    }

    /// The node that writes `output`, which has to be of the kind `op`.
    pub(super) fn node(&self, output: &str, op: &str) -> Result<&'a Node, Error> {
        let found = self.makers.get(output).copied().filter(|node| node.op == op);
        found.ok_or_else(|| self.wrong(format!("no {op} writes {output}: not a Kokoro of the int8 export")))
    }

    /// What a node reads at `index`.
    pub(super) fn input(&self, node: &'a Node, index: usize) -> Result<&'a str, Error> {
        node.inputs.get(index).map(String::as_str).ok_or_else(|| self.wrong(format!("{}: no input {index}", node.name)))
    }

    /// The dimension `axis` of a constant.
    pub(super) fn size(&self, name: &str, axis: usize) -> Result<usize, Error> {
        let found = self.graph.shape(name).and_then(|shape| shape.get(axis)).copied();
        found.ok_or_else(|| self.wrong(format!("no tensor {name}: not a Kokoro of the int8 export")))
    }

    /// The name of the scale that belongs to the constant `weights`.
    fn scale_name(&self, weights: &str) -> Result<String, Error> {
        let name = weights.strip_suffix("_quantized").map(|name| format!("{name}_scale"));
        name.ok_or_else(|| self.wrong(format!("{weights}: not a tensor in 8 bits with a scale")))
    }

    /// Rows of a table in signed bytes.
    pub(super) fn table(&self, name: &str, rows: usize, width: usize) -> Result<Vec<f32>, Error> {
        let values = self.graph.bytes(&format!("{name}_quantized"), &[rows, width])?;
        let scale = self.graph.floats(&format!("{name}_scale"), &[])?[0];
        Ok(values.iter().map(|&value| f32::from(value) * scale).collect())
    }

    /// A product in signed bytes with a scale for each output.
    fn product(&self, weights: &str, zero_point: &str, [outputs, inputs]: [usize; 2]) -> Result<QuantizedRows, Error> {
        let columns = self.graph.bytes(weights, &[inputs, outputs])?;
        if columns.contains(&i8::MIN) {
            return Err(self.wrong(format!("{weights}: a weight is -128, the runtime takes -127 to 127")));
        }
        if self.graph.bytes(zero_point, &[outputs])?.iter().any(|&zero| zero != 0) {
            return Err(self.wrong(format!("{zero_point}: not zero")));
        }
        let scales = self.graph.floats(&self.scale_name(weights)?, &[outputs])?;
        let values = (0..outputs).flat_map(|output| columns.iter().skip(output).step_by(outputs)).copied().collect();
        Ok(QuantizedRows { rows: outputs, inputs, values, scales })
    }

    /// The linear layer whose product the node of this path writes.
    pub(super) fn linear(&self, path: &str, bias: &str, shape: [usize; 2]) -> Result<Linear, Error> {
        let node = self.node(&format!("{path}/MatMul_output_0_output_quantized"), "MatMulInteger")?;
        let rows = self.product(self.input(node, 1)?, self.input(node, 3)?, shape)?;
        Ok(Linear { rows, bias: self.graph.floats(bias, &shape[..1])? })
    }

    /// The layer that makes factors and shifts of half a style; each of both padded to `padded` channels.
    pub(super) fn style(&self, name: &str, channels: usize, padded: usize, inputs: usize) -> Result<Linear, Error> {
        let (weights, outputs) = (format!("{name}.fc.weight_quantized"), 2 * channels);
        let node = self.graph.nodes.iter().find(|node| node.op == "MatMulInteger" && node.inputs.get(1) == Some(&weights));
        let node = node.ok_or_else(|| self.wrong(format!("no product with {weights}: not a Kokoro of the int8 export")))?;
        let own = self.product(&weights, self.input(node, 3)?, [outputs, inputs])?;
        let bias = self.graph.floats(&format!("{name}.fc.bias"), &[outputs])?;
        let values = padded_runs(&own.values, channels * inputs, padded * inputs);
        let rows = QuantizedRows { rows: 2 * padded, inputs, values, scales: padded_runs(&own.scales, channels, padded) };
        Ok(Linear { rows, bias: padded_runs(&bias, channels, padded) })
    }

    /// Weights of the convolution of this path in unsigned bytes around a zero point: `[outputs][inputs][taps]` and the scale.
    fn conv_bytes(&self, path: &str, [outputs, inputs, taps]: [usize; 3], dilation: usize) -> Result<(Vec<i8>, f32), Error> {
        let node = self.node(&format!("{path}/Conv_output_0_output_quantized"), "ConvInteger")?;
        let pad = ((taps / 2) * dilation) as i64;
        let keeps = node.ints("dilations") == [dilation as i64] && node.ints("strides") == [1] && node.ints("pads") == [pad, pad];
        if !keeps {
            return Err(self.wrong(format!("{path}: not a convolution of dilation {dilation} that keeps the length")));
        }
        self.around_zero(node, &[outputs, inputs, taps])
    }

    /// The second input of a convolution in unsigned bytes, less its zero point, and the scale.
    pub(super) fn around_zero(&self, node: &'a Node, shape: &[usize]) -> Result<(Vec<i8>, f32), Error> {
        let (weights, zero) = (self.input(node, 1)?, self.graph.unsigned_bytes(self.input(node, 3)?, &[])?[0]);
        let values = self.graph.unsigned_bytes(weights, shape)?.iter().map(|&value| i16::from(value) - i16::from(zero));
        let values: Option<Vec<i8>> = values.map(|value| i8::try_from(value).ok().filter(|value| *value != i8::MIN)).collect();
        let values =
            values.ok_or_else(|| self.wrong(format!("{weights}: a weight is not within -127 to 127, as it has to be to stay exact")))?;
        Ok((values, self.graph.floats(&self.scale_name(weights)?, &[])?[0]))
    }

    /// The convolution of this path as the runtime's layer: rows `(tap, output)`, inputs padded to `padded`, the bias with the first tap's. One without a
    /// bias of its own has zeros.
    pub(super) fn conv(&self, path: &str, bias: Option<&str>, shape: [usize; 3], padded: usize, dilation: usize) -> Result<Linear, Error> {
        let [outputs, inputs, taps] = shape;
        let (values, scale) = self.conv_bytes(path, shape, dilation)?;
        let at = |tap: usize, output: usize, input: usize| if input < inputs { values[(output * inputs + input) * taps + tap] } else { 0 };
        let rows = (0..taps).flat_map(|tap| (0..outputs).map(move |output| (tap, output)));
        let values =
            rows.flat_map(|(tap, output)| (0..padded).map(move |input| (tap, output, input))).map(|(t, o, i)| at(t, o, i)).collect();
        let rows = QuantizedRows { rows: taps * outputs, inputs: padded, values, scales: vec![scale; taps * outputs] };
        let mut bias = bias.map_or(Ok(vec![]), |bias| self.graph.floats(bias, &[outputs]))?;
        bias.resize(taps * outputs, 0.0);
        Ok(Linear { rows, bias })
    }

    /// Both directions of the recurrent layer of this path: of each the input's layer and the state's.
    pub(super) fn lstm(&self, path: &str, inputs: usize, hidden: usize) -> Result<[[Linear; 2]; 2], Error> {
        let node = self.node(&format!("{path}/LSTM_output_0"), "DynamicQuantizeLSTM")?;
        if node.text("direction") != Some("bidirectional") || node.ints("hidden_size") != [hidden as i64] {
            return Err(self.wrong(format!("{path}: not a recurrent layer of {hidden} values in both directions")));
        }
        let gates = 4 * hidden;
        let weights = |at: usize, inputs: usize| -> Result<(Vec<i8>, Vec<f32>), Error> {
            let name = self.input(node, at)?;
            if self.graph.bytes(self.input(node, if at == 1 { 9 } else { 11 })?, &[2])?.iter().any(|&zero| zero != 0) {
                return Err(self.wrong(format!("{name}: its zero point is not zero")));
            }
            Ok((self.graph.bytes(name, &[2, inputs, gates])?, self.graph.floats(&self.scale_name(name)?, &[2])?))
        };
        let (input, state) = (weights(1, inputs)?, weights(2, hidden)?);
        let bias = self.graph.floats(self.input(node, 3)?, &[2, 2 * gates])?;
        // Rows of the runtime's gates.
        let order: Vec<usize> = GATES.iter().flat_map(|gate| gate * hidden..(gate + 1) * hidden).collect();
        let way = |way: usize| {
            let part = |(values, scales): &(Vec<i8>, Vec<f32>), inputs: usize| {
                let own = &values[way * inputs * gates..][..inputs * gates];
                let values = order.iter().flat_map(|&gate| own.iter().skip(gate).step_by(gates)).copied().collect();
                QuantizedRows { rows: gates, inputs, values, scales: vec![scales[way]; gates] }
            };
            let own = &bias[way * 2 * gates..][..2 * gates];
            let sums = order.iter().map(|&gate| own[gate] + own[gates + gate]).collect();
            [Linear { rows: part(&input, inputs), bias: sums }, Linear { rows: part(&state, hidden), bias: vec![] }]
        };
        Ok([way(0), way(1)])
    }

    /// The transposed convolution with this bias, `[inputs][outputs][2 * stride]` in f32, as the runtime's layer: of a row its own results, then what it
    /// adds to those of the row after it and of the one before.
    pub(super) fn upsample(&self, bias: &str, [inputs, outputs, stride]: [usize; 3]) -> Result<Linear, Error> {
        let (taps, half) = (2 * stride, stride / 2);
        let node = self.with_bias(bias, "ConvTranspose")?;
        if node.ints("strides") != [stride as i64] || node.ints("pads") != [half as i64; 2] {
            return Err(self.wrong(format!("{bias}: not a transposed convolution of stride {stride}")));
        }
        let weights = self.graph.floats(self.input(node, 1)?, &[inputs, outputs, taps])?;
        let order = (half..half + stride).chain(half + stride..taps).chain(0..half);
        let rows = order.flat_map(|tap| (0..outputs).map(move |output| (tap, output)));
        let places = rows.flat_map(|(tap, output)| (0..inputs).map(move |input| (input * outputs + output) * taps + tap));
        let values: Vec<f32> = places.map(|at| weights[at]).collect();
        let mut bias = self.graph.floats(bias, &[outputs])?.repeat(stride);
        bias.resize(taps * outputs, 0.0);
        Ok(Linear { rows: quantize_rows(&values, taps * outputs, inputs), bias })
    }

    /// The node of the kind `op` whose third input is this bias.
    pub(super) fn with_bias(&self, bias: &str, op: &str) -> Result<&'a Node, Error> {
        let found = self.graph.nodes.iter().find(|node| node.op == op && node.inputs.get(2).is_some_and(|name| name == bias));
        found.ok_or_else(|| self.wrong(format!("no {op} with {bias}: not a Kokoro of the int8 export")))
    }
}

/// Runs of `from` values, each followed by zeros up to `to`.
pub(super) fn padded_runs<T: Copy + Default>(values: &[T], from: usize, to: usize) -> Vec<T> {
    values.chunks(from).flat_map(|run| run.iter().copied().chain(std::iter::repeat_n(T::default(), to - from))).collect()
}
