//! What tract takes on trust in an ONNX graph, looked at before tract sees it.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::node::{float, ints, refusal};

/// Largest figure of a window: size, stride, dilation or padding.
const MAX_FIGURE: i64 = 1 << 15;

/// Most values of a tensor that a node makes of a shape alone.
pub(super) const MAX_VALUES: usize = 1 << 26;

/// What is wrong with a graph: names that nothing gives, windows that cannot be, attributes that are no numbers, constants that would fill
/// the memory.
pub(super) fn problem(graph: &GraphProto) -> Option<String> {
    let names = graph.input.iter().map(|input| &input.name).chain(graph.initializer.iter().map(|tensor| &tensor.name));
    let given: HashSet<&str> = names.chain(graph.node.iter().flat_map(|node| &node.output)).map(String::as_str).collect();
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    for node in &graph.node {
        if let Some(name) = node.input.iter().find(|name| !name.is_empty() && !given.contains(name.as_str())) {
            return Some(refusal(node, &format!("it reads {name:?}, which nothing gives")));
        }
        let why = numbers(node).or_else(|| window(node, &constants)).or_else(|| volume(node, graph, &constants));
        if let Some(why) = why {
            return Some(refusal(node, &why));
        }
    }
    let missing = graph.output.iter().find(|output| !given.contains(output.name.as_str()))?;
    Some(format!("output {:?}: no node gives it", missing.name))
}

/// Attributes are finite, the bounds of a Clip apart: infinity is none.
fn numbers(node: &NodeProto) -> Option<String> {
    let wrong = |x: &f32| x.is_nan() || (x.is_infinite() && node.op_type != "Clip");
    let attribute = node.attribute.iter().find(|attribute| wrong(&attribute.f) || attribute.floats.iter().any(wrong))?;
    Some(format!("{} = {}: finite numbers are possible", attribute.name, float(node, &attribute.name).unwrap_or(f32::NAN)))
}

/// A window's figures are within bounds, and as many as it has dimensions.
fn window(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<String> {
    const FIGURES: [(&str, i64, usize); 4] = [("kernel_shape", 1, 1), ("strides", 1, 1), ("dilations", 1, 1), ("pads", 0, 2)];
    if !["Conv", "MaxPool", "AveragePool"].contains(&node.op_type.as_str()) {
        return None;
    }
    let weights = node.input.get(1).and_then(|name| constants.get(name.as_str())).filter(|_| node.op_type == "Conv");
    let dims = weights.map(|tensor| tensor.dims.len().saturating_sub(2)).or_else(|| Some(ints(node, "kernel_shape")?.len()));
    for (name, least, each) in FIGURES {
        let Some(figures) = ints(node, name).filter(|figures| !figures.is_empty()) else { continue };
        if figures.iter().any(|figure| !(least..=MAX_FIGURE).contains(figure)) {
            return Some(format!("{name} = {figures:?}: {least} to {MAX_FIGURE} are possible"));
        }
        if dims.is_some_and(|dims| figures.len() != each * dims) {
            return Some(format!("{name} = {figures:?} for a window of {} dimensions", dims.unwrap_or(0)));
        }
    }
    None
}

/// What is made of a constant shape is not too large.
fn volume(node: &NodeProto, graph: &GraphProto, constants: &HashMap<&str, &TensorProto>) -> Option<String> {
    let at = match node.op_type.as_str() {
        "ConstantOfShape" => 0,
        "Expand" | "Tile" => 1,
        _ => return None,
    };
    let name = node.input.get(at)?;
    let by_node = || {
        let constant = graph.node.iter().find(|node| node.op_type == "Constant" && node.output.first() == Some(name))?;
        constant.attribute.iter().find_map(|attribute| attribute.t.as_ref())
    };
    let tensor = constants.get(name.as_str()).copied().or_else(by_node)?;
    let bytes = tensor.raw_data.as_chunks::<8>().0;
    let shape: Vec<i64> = tensor.int64_data.iter().copied().chain(bytes.iter().map(|bytes| i64::from_le_bytes(*bytes))).collect();
    let values = shape.iter().try_fold(1i64, |product, &n| product.checked_mul(n.max(1)));
    let fits = values.is_some_and(|values| values <= MAX_VALUES as i64);
    (!fits).then(|| format!("{shape:?}: more than {MAX_VALUES} values"))
}
