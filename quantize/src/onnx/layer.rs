//! One int8 linear layer as an ONNX model of standard operators, so that any runtime can check our numerics.
//!
//! The model computes what `docs/numerics.md` lays down, bit for bit where the runtime does not fuse or reorder: rows are quantised by their
//! largest magnitude, multiplied in integers (`MatMulInteger`), and come back through `fma(sum, row scale * column scale, bias)`. ONNX has no
//! fused multiply-add; it is spelled out in f64, where product and rounding error of the sum are exact (Knuth's TwoSum), and halfway cases
//! are decided by that error.

use super::proto::{self, DataType, Message};

use crate::pack::QuantizedRows;

/// Of the operators used, `ReduceMax` changed last, in version 18.
const OPSET: i64 = 18;
const IR_VERSION: i64 = 9;

/// The layer's input: f32 `[rows][inputs]`, any number of rows.
pub const INPUT: &str = "x";
/// The layer's output: f32 `[rows][outputs]`.
pub const OUTPUT: &str = "y";

/// The layer as a serialised ONNX model.
///
/// # Panics
/// When `bias` is not one value for each of `weight`'s rows.
pub fn linear(name: &str, weight: &QuantizedRows, bias: &[f32]) -> Vec<u8> {
    assert_eq!(bias.len(), weight.rows);
    let mut graph = Graph::default();
    quantize(&mut graph);
    let (inputs, outputs) = (weight.inputs as i64, weight.rows as i64);
    let transposed: Vec<u8> =
        (0..weight.inputs).flat_map(|k| (0..weight.rows).map(move |n| weight.values[n * weight.inputs + k] as u8)).collect();
    graph.constant("weight", DataType::Int8, &[inputs, outputs], transposed);
    graph.floats("column_scales", &[1, outputs], &weight.scales);
    graph.node("MatMulInteger", &["q", "weight"], "sums");
    graph.cast("sums", DataType::Float, "sums_f32");
    graph.node("Mul", &["scale", "column_scales"], "scales");
    graph.floats("bias", &[1, outputs], bias);
    fma(&mut graph, "sums_f32", "scales", "bias");
    let graph = proto::graph(name, graph.nodes, graph.constants, proto::value(INPUT, inputs), proto::value(OUTPUT, outputs));
    let version = ossicle_models::folder::NUMERICS_VERSION;
    let doc = format!("{name}: an int8 linear layer with dynamic row quantisation, numerics version {version}");
    proto::model(IR_VERSION, OPSET, &doc, graph).into_bytes()
}

/// `x` to `q` (s8) and `scale`, `[rows][1]`: `m / 127` with `m` the row's largest magnitude; rows next to zero have scale 0.
fn quantize(graph: &mut Graph) {
    graph.constant("last_axis", DataType::Int64, &[1], (-1i64).to_le_bytes().to_vec());
    graph.floats("smallest", &[], &[ossicle_kernels::rows::SMALLEST_MAGNITUDE]);
    graph.floats("zero", &[], &[0.0]);
    graph.floats("most", &[], &[crate::pack::QMAX]);
    graph.node("Abs", &[INPUT], "magnitudes");
    graph.node("ReduceMax", &["magnitudes", "last_axis"], "largest");
    graph.node("Less", &["largest", "smallest"], "is_zero");
    graph.node("Div", &["largest", "most"], "scale_or_tiny");
    graph.node("Where", &["is_zero", "zero", "scale_or_tiny"], "scale");
    graph.node("Div", &["most", "largest"], "inverse_or_infinite");
    graph.node("Where", &["is_zero", "zero", "inverse_or_infinite"], "inverse");
    graph.node("Mul", &[INPUT, "inverse"], "scaled");
    // Halves to even, as ONNX defines it.
    graph.node("Round", &["scaled"], "rounded");
    graph.cast("rounded", DataType::Int8, "q");
}

/// `y = a * b + c`, rounded once to f32.
fn fma(graph: &mut Graph, a: &str, b: &str, c: &str) {
    graph.constant("zero_f64", DataType::Double, &[], 0f64.to_le_bytes().to_vec());
    for (from, to) in [(a, "a"), (b, "b"), (c, "c")] {
        graph.cast(from, DataType::Double, to);
    }
    // 24 by 24 bits: exact.
    graph.node("Mul", &["a", "b"], "product");
    graph.node("Add", &["product", "c"], "sum");
    // The exact error of the sum.
    graph.node("Sub", &["sum", "product"], "c_part");
    graph.node("Sub", &["sum", "c_part"], "product_part");
    graph.node("Sub", &["product", "product_part"], "product_error");
    graph.node("Sub", &["c", "c_part"], "c_error");
    graph.node("Add", &["product_error", "c_error"], "error");
    // The nearest f32 and, as far on the other side of the sum, perhaps another.
    graph.cast("sum", DataType::Float, "near_f32");
    graph.cast("near_f32", DataType::Double, "near");
    graph.node("Sub", &["sum", "near"], "distance");
    graph.node("Add", &["sum", "distance"], "far");
    graph.cast("far", DataType::Float, "far_f32");
    graph.cast("far_f32", DataType::Double, "far_again");
    // The sum lies halfway if the other one is an f32 too; then its error says which is nearer, and without an error even wins, as it did.
    graph.node("Equal", &["far", "far_again"], "is_halfway");
    graph.node("Greater", &["error", "zero_f64"], "is_above");
    graph.node("Less", &["error", "zero_f64"], "is_below");
    graph.node("Max", &["near_f32", "far_f32"], "upper");
    graph.node("Min", &["near_f32", "far_f32"], "lower");
    graph.node("Where", &["is_above", "upper", "near_f32"], "above_or_near");
    graph.node("Where", &["is_below", "lower", "above_or_near"], "decided");
    graph.node("Where", &["is_halfway", "decided", "near_f32"], OUTPUT);
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Graph {
    fn node(&mut self, op: &str, inputs: &[&str], output: &str) {
        self.nodes.push(proto::node(op, inputs, output));
    }

    fn cast(&mut self, input: &str, to: DataType, output: &str) {
        self.nodes.push(proto::node("Cast", &[input], output).message(5, proto::attribute("to", to as i64)));
    }

    fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        self.constant(name, DataType::Float, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }

    fn constant(&mut self, name: &str, data_type: DataType, dims: &[i64], data: Vec<u8>) {
        self.constants.push(proto::tensor(name, data_type, dims, &data));
    }
}
