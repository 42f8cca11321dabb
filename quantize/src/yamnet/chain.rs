//! A graph that is a chain, read node by node.

use std::collections::HashMap;

use super::{Filters, TAPS};
use crate::Error;
use crate::dense::Dense;
use crate::onnx::read::{Node, OnnxGraph};
use crate::pack;

/// Walks the nodes that compute something, each of which has to read what the one before wrote.
pub(super) struct Chain<'a> {
    graph: &'a OnnxGraph,
    nodes: std::iter::Peekable<Box<dyn Iterator<Item = &'a Node> + 'a>>,
    /// What a name stands for once rounding is passed over.
    aliases: HashMap<&'a str, &'a str>,
    /// What the last node wrote; nothing before the first.
    last: Option<&'a str>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(graph: &'a OnnxGraph) -> Self {
        let rounds = |node: &&Node| matches!(node.op.as_str(), "QuantizeLinear" | "DequantizeLinear");
        let pairs =
            graph.nodes.iter().filter(rounds).filter_map(|node| Some((node.outputs.first()?.as_str(), node.inputs.first()?.as_str())));
        let nodes: Box<dyn Iterator<Item = &'a Node> + 'a> = Box::new(graph.nodes.iter().filter(move |node| !rounds(node)));
        Self { graph, nodes: nodes.peekable(), aliases: pairs.collect(), last: None }
    }

    /// The name behind any rounding.
    fn resolve(&self, name: &'a str) -> &'a str {
        // A chain of aliases in a file that is no chain could lead in a circle.
        let mut name = name;
        for _ in 0..=self.aliases.len() {
            match self.aliases.get(name) {
                Some(source) => name = source,
                None => break,
            }
        }
        name
    }

    fn refuse(&self, node: Option<&Node>, wanted: &str) -> Error {
        let reason = match node {
            Some(node) => format!("node {:?} ({}): expected {wanted}", node.name, node.op),
            None => format!("the graph ends: expected {wanted}"),
        };
        Error::Onnx { path: self.graph.path.clone(), reason }
    }

    pub(super) fn next_is(&mut self, op: &str) -> bool {
        self.nodes.peek().is_some_and(|node| node.op == op)
    }

    /// The next node, which has to be `op` and go on from the last one.
    fn take(&mut self, op: &str, wanted: &str) -> Result<&'a Node, Error> {
        let node = self.nodes.next();
        let fits = |node: &&Node| node.op == op && node.outputs.len() == 1;
        let Some(node) = node.filter(fits) else { return Err(self.refuse(node, wanted)) };
        let input = node.inputs.first().map(|name| self.resolve(name));
        if input.is_none() || self.last.is_some_and(|last| input != Some(last)) {
            return Err(self.refuse(Some(node), &format!("{wanted} that reads {:?}", self.last.unwrap_or_default())));
        }
        if let Some(name) = node.unknown_attribute(known_attributes(op)) {
            return Err(self.refuse(Some(node), &format!("{wanted} without {name}")));
        }
        if !matches!(node.text("auto_pad"), None | Some("NOTSET")) {
            return Err(self.refuse(Some(node), &format!("{wanted}: auto_pad NOTSET, which means pads")));
        }
        self.last = Some(node.outputs[0].as_str());
        Ok(node)
    }

    /// A constant input of f32.
    fn constant(&self, node: &'a Node, input: usize, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let name = node.inputs.get(input).ok_or_else(|| self.refuse(Some(node), "weights and a bias"))?;
        self.graph.floats(self.resolve(name), shape)
    }

    /// The first dimension of a constant input.
    fn outputs(&self, node: &'a Node) -> Result<usize, Error> {
        let shape = node.inputs.get(1).and_then(|name| self.graph.shape(self.resolve(name)));
        shape.and_then(|shape| shape.first().copied()).ok_or_else(|| self.refuse(Some(node), "constant weights"))
    }

    /// The same, for maps.
    fn channels(&self, node: &'a Node) -> Result<usize, Error> {
        let channels = self.outputs(node)?;
        let whole = channels > 0 && channels.is_multiple_of(pack::BLOCK_ROWS);
        if whole { Ok(channels) } else { Err(self.refuse(Some(node), "a multiple of 16 channels")) }
    }

    /// A 3 x 3 convolution of one input channel each with ReLU; `stride` 0 for either.
    pub(super) fn filters(&mut self, groups: usize, stride: usize) -> Result<Filters, Error> {
        let wanted = "a 3 x 3 convolution of one channel, with the pads of stride 1 or 2";
        let node = self.take("Conv", wanted)?;
        let found = match (node.ints("strides"), node.ints("pads")) {
            ([1, 1], [1, 1, 1, 1]) => 1,
            ([2, 2], [0, 0, 1, 1]) => 2,
            _ => return Err(self.refuse(Some(node), wanted)),
        };
        let dilated = node.ints("dilations").iter().any(|&d| d != 1);
        if dilated || node.ints("group") != [groups as i64] || (stride != 0 && stride != found) {
            return Err(self.refuse(Some(node), wanted));
        }
        let channels = self.channels(node)?;
        let weights = self.constant(node, 1, &[channels, 1, 3, 3])?;
        let bias = self.constant(node, 2, &[channels])?;
        self.take("Relu", "a ReLU")?;
        let by_tap = (0..TAPS).flat_map(|tap| weights.iter().skip(tap).step_by(TAPS).copied());
        Ok(Filters { weights: by_tap.collect(), bias, stride: found })
    }

    pub(super) fn pointwise(&mut self, inputs: usize) -> Result<Dense, Error> {
        let node = self.take("Conv", "a 1 x 1 convolution")?;
        let one_by_one =
            node.ints("strides").iter().chain(node.ints("group")).all(|&n| n == 1) && node.ints("pads").iter().all(|&n| n == 0);
        if !one_by_one {
            return Err(self.refuse(Some(node), "a 1 x 1 convolution"));
        }
        let outputs = self.channels(node)?;
        let (weights, bias) = (self.constant(node, 1, &[outputs, inputs, 1, 1])?, self.constant(node, 2, &[outputs])?);
        self.take("Relu", "a ReLU")?;
        Ok(Dense { weights, bias, inputs })
    }

    pub(super) fn classifier(&mut self, inputs: usize) -> Result<Dense, Error> {
        self.take("GlobalAveragePool", "the mean of the last map")?;
        if self.next_is("Reshape") {
            self.take("Reshape", "a reshape")?;
        }
        let node = self.take("Gemm", "the classifier")?;
        let plain = node.ints("transB") == [1] && matches!(node.ints("transA"), [] | [0]);
        if !plain || ["alpha", "beta"].iter().any(|name| node.float(name).is_some_and(|factor| factor != 1.0)) {
            return Err(self.refuse(Some(node), "transA = 0, transB = 1, alpha = 1 and beta = 1"));
        }
        let outputs = self.outputs(node)?;
        let dense = Dense { weights: self.constant(node, 1, &[outputs, inputs])?, bias: self.constant(node, 2, &[outputs])?, inputs };
        match self.nodes.next() {
            Some(node) => Err(self.refuse(Some(node), "the end")),
            None => Ok(dense),
        }
    }
}

/// What is read of an operator's attributes, or changes nothing; any other would be a result that is silently wrong.
fn known_attributes(op: &str) -> &'static [&'static str] {
    match op {
        "Conv" => &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
        "Gemm" => &["alpha", "beta", "transA", "transB"],
        "Reshape" => &["allowzero"],
        _ => &[],
    }
}
