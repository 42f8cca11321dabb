//! The network's tensors, by name.

use std::collections::HashMap;

use ossicle_models::hibari::{BlocksConfig, TextConfig};

use super::{Block, Encoder, FloatLinear, Linear, Norm};
use crate::Error;
use crate::onnx::read::{Node, OnnxGraph};
use crate::pack::QuantizedRows;

/// A product in signed bytes, as the graph has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Product {
    weights: String,
    zero_point: String,
    scale: String,
}

/// Products in signed bytes by the name of their layer, and how often each is computed.
#[derive(Debug, Default)]
pub(super) struct Products(HashMap<String, (Product, usize)>);

impl Products {
    /// Finds, for each bias that is added to a product, `MatMulInteger`, `Cast`, and the `Mul` with both scales.
    pub(super) fn of(graph: &OnnxGraph) -> Result<Self, Error> {
        let makers: HashMap<&str, &Node> =
            graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node))).collect();
        let made = |input: Option<&String>, op: &str| makers.get(input?.as_str()).copied().filter(|node| node.op == op);
        let mut products = Self::default();
        for add in graph.nodes.iter().filter(|node| node.op == "Add") {
            let layer = add.inputs.iter().find_map(|input| input.strip_suffix(".bias").or_else(|| input.strip_suffix("_bias")));
            let Some((layer, scaled)) = layer.zip(add.inputs.iter().find_map(|input| made(Some(input), "Mul"))) else { continue };
            let Some(cast) = scaled.inputs.iter().find_map(|input| made(Some(input), "Cast")) else { continue };
            let Some(product) = made(cast.inputs.first(), "MatMulInteger") else { continue };
            let scales = scaled.inputs.iter().find_map(|input| made(Some(input), "Mul"));
            let scale = scales.and_then(|scales| scales.inputs.iter().find(|input| graph.shape(input).is_some()));
            let (Some(weights), Some(zero_point), Some(scale)) = (product.inputs.get(1), product.inputs.get(3), scale) else {
                return Err(Error::Onnx {
                    path: graph.path.clone(),
                    reason: format!("{}: not a product with a zero point and scales", product.name),
                });
            };
            let product = Product { weights: weights.clone(), zero_point: zero_point.clone(), scale: scale.clone() };
            let known = products.0.entry(layer.to_owned()).or_insert_with(|| (product.clone(), 0));
            if known.0 != product {
                return Err(Error::Onnx { path: graph.path.clone(), reason: format!("{layer}: two products with one bias") });
            }
            known.1 += 1;
        }
        Ok(products)
    }

    /// How often a layer is computed.
    pub(super) fn uses(&self, layer: &str) -> usize {
        self.0.get(layer).map_or(0, |(_, uses)| *uses)
    }
}

/// Blocks `NAME.0`, `NAME.1` and so on that there are.
pub(super) fn count(graph: &OnnxGraph, name: &str) -> usize {
    (0..).take_while(|i| graph.shape(&format!("{name}.{i}.gamma")).is_some()).count()
}

/// The convolution with these weights.
fn conv<'a>(graph: &'a OnnxGraph, weights: &str) -> Option<&'a Node> {
    graph.nodes.iter().find(|node| node.op == "Conv" && node.inputs.get(1).is_some_and(|name| name == weights))
}

/// Dilations of blocks, whose convolutions have to keep the length.
pub(super) fn dilations(graph: &OnnxGraph, name: &str) -> Result<Vec<usize>, Error> {
    let dilation = |i: usize| {
        let weights = format!("{name}.{i}.dw.weight");
        let node = conv(graph, &weights)?;
        let (dilation, taps) = (*node.ints("dilations").first()?, graph.shape(&weights)?.get(2)?);
        let pad = dilation * i64::try_from(taps / 2).ok()?;
        (node.ints("pads") == [pad, pad] && node.ints("strides") == [1]).then_some(usize::try_from(dilation).ok()?)
    };
    let reason = |i| format!("{name}.{i}: not a convolution that keeps the length");
    (0..count(graph, name)).map(|i| dilation(i).ok_or_else(|| Error::Onnx { path: graph.path.clone(), reason: reason(i) })).collect()
}

/// Heads of attention: what the width of queries is divided by, which only the nodes around their reshaping tell.
pub(super) fn heads(graph: &OnnxGraph) -> Result<usize, Error> {
    let makers: HashMap<&str, &Node> =
        graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node))).collect();
    let maker =
        |node: &Node, op: &str| node.inputs.first().and_then(|input| makers.get(input.as_str())).copied().filter(|node| node.op == op);
    let mut found: Vec<i64> = graph
        .nodes
        .iter()
        .filter(|node| node.op == "Div")
        .filter_map(|node| {
            maker(maker(node, "Gather")?, "Shape")?;
            graph.integer(node.inputs.get(1)?)
        })
        .collect();
    found.dedup();
    match found.as_slice() {
        &[heads] if (1..=64).contains(&heads) => Ok(heads as usize),
        _ => Err(Error::Onnx { path: graph.path.clone(), reason: format!("heads of attention are {found:?}, one number is expected") }),
    }
}

/// Where tensors are read from.
pub(super) struct Network<'a> {
    pub(super) graph: &'a OnnxGraph,
    pub(super) products: &'a Products,
}

impl Network<'_> {
    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm, Error> {
        let part = |part: &str| self.graph.floats(&format!("{name}.{part}"), &[width]);
        Ok(Norm { weight: part("weight")?, bias: part("bias")? })
    }

    /// A layer in bytes.
    pub(super) fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        self.biased(name, &format!("{name}.bias"), outputs, inputs)
    }

    fn biased(&self, name: &str, bias: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        let wrong = |reason: String| Error::Onnx { path: self.graph.path.clone(), reason };
        let (product, _) =
            self.products.0.get(name).ok_or_else(|| wrong(format!("{name}: no product in signed bytes has this layer's bias")))?;
        let columns = self.graph.bytes(&product.weights, &[inputs, outputs])?;
        if columns.contains(&i8::MIN) {
            return Err(wrong(format!("{}: a weight is -128, the runtime takes -127 to 127", product.weights)));
        }
        let each = |name: &str| self.graph.shape(name).is_some_and(|shape| !shape.is_empty() && shape != [1]);
        let count = |name: &str| if each(name) { outputs } else { 1 };
        if self.graph.bytes(&product.zero_point, &[count(&product.zero_point)])?.iter().any(|&zero| zero != 0) {
            return Err(wrong(format!("{}: not zero", product.zero_point)));
        }
        let mut scales = self.graph.floats(&product.scale, &[count(&product.scale)])?;
        scales.resize(outputs, scales[0]);
        let values = (0..outputs).flat_map(|output| columns.iter().skip(output).step_by(outputs)).copied().collect();
        Ok(Linear { rows: QuantizedRows { rows: outputs, inputs, values, scales }, bias: self.graph.floats(bias, &[outputs])? })
    }

    /// A convolution in f32, `[out, in, tap]`, as a layer over windows: `[taps][in][out]`.
    pub(super) fn convolution(&self, name: &str, outputs: usize, inputs: usize, taps: usize) -> Result<FloatLinear, Error> {
        let weights = format!("{name}.weight");
        let own = self.graph.floats(&weights, &[outputs, inputs, taps])?;
        let pad = (taps / 2) as i64;
        if conv(self.graph, &weights).is_none_or(|node| node.ints("pads") != [pad, pad] || node.ints("dilations") != [1]) {
            return Err(Error::Onnx { path: self.graph.path.clone(), reason: format!("{name}: not a convolution that keeps the length") });
        }
        let at = |tap: usize, input: usize, output: usize| own[(output * inputs + input) * taps + tap];
        let weight = (0..taps).flat_map(|tap| (0..inputs).map(move |input| (tap, input)));
        let weight = weight.flat_map(|(tap, input)| (0..outputs).map(move |output| at(tap, input, output))).collect();
        Ok(FloatLinear { weight, bias: self.graph.floats(&format!("{name}.bias"), &[outputs])? })
    }

    pub(super) fn blocks(&self, name: &str, config: &BlocksConfig) -> Result<Vec<Block>, Error> {
        let sizes = (config.hidden_size, config.intermediate_size, config.kernel_size);
        (0..config.dilations.len()).map(|i| self.block(&format!("{name}.{i}"), sizes)).collect()
    }

    fn block(&self, name: &str, (width, inner, taps): (usize, usize, usize)) -> Result<Block, Error> {
        let filters = self.graph.floats(&format!("{name}.dw.weight"), &[width, 1, taps])?;
        let gamma = self.graph.floats(&format!("{name}.gamma"), &[width])?;
        let mut down = self.linear(&format!("{name}.pw2"), width, inner)?;
        for ((scale, bias), gamma) in down.rows.scales.iter_mut().zip(&mut down.bias).zip(&gamma) {
            (*scale, *bias) = (*scale * gamma, *bias * gamma);
        }
        Ok(Block {
            filters: (0..taps).flat_map(|tap| filters.iter().skip(tap).step_by(taps)).copied().collect(),
            bias: self.graph.floats(&format!("{name}.dw.bias"), &[width])?,
            norm: self.norm(&format!("{name}.norm"), width)?,
            up: self.linear(&format!("{name}.pw1"), inner, width)?,
            down,
        })
    }

    pub(super) fn encoder(&self, name: &str, config: &TextConfig, vocabulary: usize) -> Result<Encoder, Error> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let attention = format!("{name}.attn");
        let projection = format!("{attention}.self_attn.in_proj");
        let mut qkv = self.biased(&projection, &format!("{projection}_bias"), 3 * width, width)?;
        let factor = 1.0 / (config.head_size() as f32).sqrt();
        for (scale, bias) in qkv.rows.scales[..width].iter_mut().zip(&mut qkv.bias[..width]) {
            (*scale, *bias) = (*scale * factor, *bias * factor);
        }
        let sizes = (width, inner, config.kernel_size);
        let convs = (0..config.conv_blocks).map(|i| self.block(&format!("{name}.convs.{i}"), sizes));
        Ok(Encoder {
            embedding: self.graph.floats(&format!("{name}.emb.weight"), &[vocabulary, width])?,
            convs: convs.collect::<Result<_, _>>()?,
            norm: self.norm(&format!("{attention}.norm1"), width)?,
            qkv,
            output: self.linear(&format!("{attention}.self_attn.out_proj"), width, width)?,
            feed_forward_norm: self.norm(&format!("{attention}.norm2"), width)?,
            up: self.linear(&format!("{attention}.linear1"), inner, width)?,
            down: self.linear(&format!("{attention}.linear2"), width, inner)?,
            last_norm: self.norm(&format!("{name}.norm"), width)?,
        })
    }
}
