//! Small ONNX graphs: what they become, that it computes what tract computes, and what is refused.

mod hostile;
mod order;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ossicle_kernels::activation::Activation;

use super::ir::Kind;
use super::{Network, Parts, Report};
use crate::Error;
use crate::onnx::proto::{self, DataType, Message, attribute, integers};

/// A graph being written.
struct Toy {
    opset: i64,
    input: Vec<i64>,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    last: String,
}

/// A folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ossicle-network-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Values that repeat in no pattern of the network's, within [-1, 1].
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

impl Toy {
    fn new(input: &[i64]) -> Self {
        Self { opset: 17, input: input.to_vec(), nodes: vec![], constants: vec![], last: "x".into() }
    }

    fn constant(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Float, dims, &bytes));
        name.to_owned()
    }

    fn weights(&mut self, name: &str, dims: &[i64]) -> String {
        let count = dims.iter().product::<i64>() as usize;
        self.constant(name, dims, &values(count, name.len() as u64 * 7919 + count as u64))
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Int64, &[values.len() as i64], &bytes));
        name.to_owned()
    }

    /// Adds a node, which is named as its output.
    fn put(&mut self, op: &str, inputs: &[&str], name: &str, attributes: Vec<Message>) -> String {
        let node = attributes.into_iter().fold(proto::node(op, inputs, name), |node, attribute| node.message(5, attribute));
        self.nodes.push(node);
        self.last = name.to_owned();
        name.to_owned()
    }

    /// Adds a node behind the last one.
    fn then(&mut self, op: &str, constants: &[&str], name: &str, attributes: Vec<Message>) -> String {
        let last = self.last.clone();
        let inputs: Vec<&str> = [last.as_str()].into_iter().chain(constants.iter().copied()).collect();
        self.put(op, &inputs, name, attributes)
    }

    /// The mean over positions and a classifier of three, behind a map of this many channels.
    fn end(&mut self, channels: i64) {
        self.then("GlobalAveragePool", &[], "pool", vec![]);
        self.then("Flatten", &[], "flat", vec![]);
        let (w, b) = (self.weights("head.w", &[3, channels]), self.weights("head.b", &[3]));
        self.then("Gemm", &[&w, &b], "head", vec![attribute("transB", 1)]);
    }

    fn read(self) -> (Folder, Result<Network, Error>) {
        let folder = Folder::new();
        let (last, opset) = (self.last.clone(), self.opset);
        let graph = proto::graph("toy", self.nodes, self.constants, proto::shaped("x", &self.input), proto::shaped(&last, &[1, 3]));
        let path = folder.0.join("toy.onnx");
        std::fs::write(&path, proto::model(8, opset, "", graph).into_bytes()).unwrap();
        let network = Network::read(&path);
        (folder, network)
    }

    fn refused(self) -> String {
        self.read().1.err().expect("a refusal").to_string()
    }
}

/// Writes the folder, with three labels.
fn write(model: &Path, network: &Network) -> Result<(), Error> {
    let parts = Parts { labels: ["a", "b", "c"].map(str::to_owned).to_vec(), ..Parts::default() };
    network.write(model, false, parts, |_, _| Ok(()))
}

/// Writes the folder and compares every layer with tract's.
fn measured(folder: &Path, network: &Network) -> Report {
    let input = network.input();
    let count = input.height * input.width * input.channels;
    let inputs: Vec<Vec<f32>> = (0..4).map(|seed| values(count, 100 + seed)).collect();
    let model = folder.join("model");
    write(&model, network).unwrap();
    ossicle_models::folder::verify(&model).unwrap();
    let report = network.measure(&model, &inputs).unwrap();
    assert_eq!(report.agreement.inputs, inputs.len());
    report
}

/// The decibels of the worst layer, which are enough.
fn check(folder: &Path, network: &Network) -> f64 {
    let report = measured(folder, network);
    let all = report.layers.iter().filter_map(|layer| layer.decibels).chain(report.scores);
    let worst = all.fold(f64::INFINITY, f64::min);
    assert!(worst.is_finite() && worst > 25.0, "{}", report.text());
    worst
}

fn kinds(network: &Network) -> Vec<&Kind> {
    network.fused.layers.iter().map(|layer| &layer.kind).collect()
}

#[test]
fn batch_norm_and_activation_end_in_the_convolution() {
    let mut toy = Toy::new(&[1, 3, 9, 7]);
    let w = toy.weights("w", &[20, 3, 3, 3]);
    toy.then("Conv", &[&w], "conv", vec![integers("strides", &[2, 1]), integers("pads", &[1, 0, 0, 2])]);
    let [g, b, m] = ["g", "be", "mea"].map(|name| toy.weights(name, &[20]));
    let v = toy.constant("v", &[20], &[0.5; 20]);
    toy.then("BatchNormalization", &[&g, &b, &m, &v], "norm", vec![]);
    toy.then("HardSwish", &[], "act", vec![]);
    toy.end(20);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    let all = kinds(&network);
    assert!(matches!(all[1], Kind::Conv { activation: Activation::HardSwish, .. }) && matches!(all[2], Kind::Mean), "{all:?}");
    assert!(matches!(all[3], Kind::Linear { .. }) && all.len() == 4, "{all:?}");
    // Hard-swish goes 0.375 below zero; the mean too.
    assert_eq!(network.offsets, [None, None, Some(0.375), Some(0.375)]);
    check(&folder.0, &network);
}

#[test]
fn squeeze_and_excitation_depthwise_and_pools_are_lowered() {
    let mut toy = Toy::new(&[1, 24, 8, 10]);
    let w = toy.weights("depth.w", &[24, 1, 5, 5]);
    let b = toy.weights("depth.b", &[24]);
    let attributes = vec![attribute("group", 24), integers("strides", &[2, 2]), integers("pads", &[2; 4])];
    let map = toy.then("Conv", &[&w, &b], "depth", attributes);
    toy.then("GlobalAveragePool", &[], "squeeze", vec![]);
    let w = toy.weights("excite.w", &[24, 24, 1, 1]);
    toy.then("Conv", &[&w], "excite", vec![]);
    // As PyTorch spells hard-sigmoid out for old opsets.
    let (three, six) = (toy.constant("three", &[], &[3.0]), toy.constant("six", &[], &[6.0]));
    let zero = toy.constant("zero", &[], &[0.0]);
    let gate = toy.then("Sigmoid", &[], "gate", vec![]);
    let scaled = toy.put("Mul", &[&map, &gate], "scaled", vec![]);
    toy.put("Add", &[&scaled, &three], "shifted", vec![]);
    toy.then("Clip", &[&zero, &six], "clipped", vec![]);
    let swish = toy.put("Mul", &[&scaled, "clipped"], "swish", vec![]);
    toy.put("Div", &[&swish, &six], "divided", vec![]);
    toy.then("MaxPool", &[], "max", vec![integers("kernel_shape", &[3, 3]), integers("pads", &[1; 4])]);
    toy.then("AveragePool", &[], "mean", vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])]);
    toy.end(24);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    let all = kinds(&network);
    assert!(all.iter().any(|kind| matches!(kind, Kind::Scale)), "{all:?}");
    assert!(all.iter().any(|kind| matches!(kind, Kind::Activate(Activation::HardSwish))), "{all:?}");
    assert!(!all.iter().any(|kind| matches!(kind, Kind::Affine { .. } | Kind::Multiply)), "{all:?}");
    check(&folder.0, &network);
}

/// A node with two outputs, which are equal parts along the channels.
fn halves(toy: &mut Toy, left: &str, right: &str) {
    let node = proto::node("Split", &[&toy.last], left).bytes(2, right.as_bytes()).message(5, attribute("axis", 1));
    toy.nodes.push(node);
}

/// Two groups of channels, shuffled as ShuffleNet does it.
fn shuffled(toy: &mut Toy, channels: i64, height: i64, width: i64, name: &str) {
    let apart = toy.integers(&format!("{name}.apart"), &[1, 2, channels / 2, height, width]);
    let again = toy.integers(&format!("{name}.again"), &[1, channels, height, width]);
    toy.then("Reshape", &[&apart], &format!("{name}.groups"), vec![]);
    toy.then("Transpose", &[], &format!("{name}.turned"), vec![integers("perm", &[0, 2, 1, 3, 4])]);
    toy.then("Reshape", &[&again], name, vec![]);
}

#[test]
fn channels_are_joined_split_and_shuffled() {
    let mut toy = Toy::new(&[1, 20, 6, 5]);
    let w = toy.weights("w", &[24, 20, 1, 1]);
    toy.then("Conv", &[&w], "conv", vec![]);
    toy.then("Relu", &[], "relu", vec![]);
    shuffled(&mut toy, 24, 6, 5, "shuffle");
    halves(&mut toy, "left", "right");
    let w = toy.weights("own.w", &[18, 12, 3, 3]);
    toy.put("Conv", &["right", &w], "own", vec![integers("pads", &[1; 4])]);
    toy.then("Relu", &[], "own.relu", vec![]);
    toy.put("Concat", &["left", "own.relu", "right"], "joined", vec![attribute("axis", 1)]);
    shuffled(&mut toy, 42, 6, 5, "again");
    // A filter for each channel in the order of the shuffle.
    let w = toy.weights("depth.w", &[42, 1, 3, 3]);
    toy.then("Conv", &[&w], "depth", vec![attribute("group", 42), integers("strides", &[2, 2]), integers("pads", &[1; 4])]);
    toy.end(42);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    let all = kinds(&network);
    let tables: Vec<usize> =
        all.iter().filter_map(|kind| if let Kind::Concat { channels } = kind { Some(channels.len()) } else { None }).collect();
    assert_eq!(tables, [42, 42], "{all:?}");
    // Every second channel is read where it is: of relu's rows nothing lies below zero, nor of what joins them.
    let own = network.fused.layers.iter().position(|layer| layer.name == "own").unwrap();
    assert_eq!((network.fused.layers[own].inputs[0].layer, network.offsets[own]), (1, Some(0.0)));
    check(&folder.0, &network);
}

#[test]
fn more_maps_than_a_layer_takes_are_joined_step_by_step() {
    let mut toy = Toy::new(&[1, 16, 5, 4]);
    let mut maps = vec!["x".to_owned()];
    for i in 0..6 {
        // Each reads all before it, as DenseNet's layers do.
        let inputs: Vec<&str> = maps.iter().map(String::as_str).collect();
        toy.put("Concat", &inputs, &format!("all{i}"), vec![attribute("axis", 1)]);
        let w = toy.weights(&format!("w{i}"), &[8, 16 + 8 * i, 1, 1]);
        toy.then("Conv", &[&w], &format!("conv{i}"), vec![]);
        maps.push(format!("conv{i}"));
    }
    let inputs: Vec<&str> = maps.iter().map(String::as_str).collect();
    toy.put("Concat", &inputs, "all", vec![attribute("axis", 1)]);
    // The same in another order has nothing to build on.
    let turned: Vec<&str> = inputs.iter().rev().copied().collect();
    toy.put("Concat", &turned, "turned", vec![attribute("axis", 1)]);
    toy.put("Add", &["all", "turned"], "sum", vec![]);
    toy.end(64);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    let counts: Vec<usize> =
        network.fused.layers.iter().filter(|layer| matches!(layer.kind, Kind::Concat { .. })).map(|layer| layer.inputs.len()).collect();
    // The first joins one map alone, which is no layer's work but stays one.
    assert_eq!(counts[1..], [2, 2, 2, 2, 2, 2, 4, 4], "{counts:?}");
    check(&folder.0, &network);
}

#[test]
fn groups_are_multiplied_in_blocks() {
    // Groups and channels on both sides: whole vectors, joined to such, the last block not full, one block, no power of two.
    for (group, inputs, outputs) in [(2, 32, 64), (8, 32, 32), (3, 24, 24), (4, 16, 16), (5, 60, 20), (3, 9, 48), (16, 16, 32)] {
        let mut toy = Toy::new(&[1, inputs, 6, 7]);
        toy.then("Relu", &[], "relu", vec![]);
        let w = toy.weights("w", &[outputs, inputs / group, 3, 3]);
        let b = toy.weights("b", &[outputs]);
        toy.then("Conv", &[&w, &b], "conv", vec![attribute("group", group), integers("strides", &[2, 1]), integers("pads", &[1, 0, 1, 2])]);
        let v = toy.constant("v", &[outputs], &vec![0.5; outputs as usize]);
        let [g, e, m] = ["g", "be", "mea"].map(|name| toy.weights(name, &[outputs]));
        toy.then("BatchNormalization", &[&g, &e, &m, &v], "norm", vec![]);
        let w = toy.weights("second.w", &[outputs, outputs / group, 1, 1]);
        toy.then("Conv", &[&w], "second", vec![attribute("group", group)]);
        toy.end(outputs);
        let (folder, network) = toy.read();
        let network = network.unwrap();
        let all = kinds(&network);
        assert!(matches!(all[2..4], [Kind::Conv { .. }, Kind::Conv { .. }]) && all.len() == 6, "{all:?}");
        let report = measured(&folder.0, &network);
        let own = report.layers.iter().filter(|layer| layer.op == "Conv").filter_map(|layer| layer.decibels);
        assert!(own.fold(f64::INFINITY, f64::min) > 35.0, "{}", report.text());
    }
}

#[test]
fn windows_may_reach_beyond_the_map() {
    for (op, side, stride) in [("MaxPool", 3, 2), ("AveragePool", 2, 2), ("MaxPool", 2, 2)] {
        let mut toy = Toy::new(&[1, 16, 8, 9]);
        let attributes = vec![integers("kernel_shape", &[side, side]), integers("strides", &[stride, stride]), attribute("ceil_mode", 1)];
        toy.then(op, &[], "pooled", attributes);
        toy.end(16);
        let (folder, network) = toy.read();
        let network = network.unwrap();
        let size = network.fused.layers[1].size;
        assert_eq!((size.height, size.width), (4, if side == 2 { 5 } else { 4 }), "{op}");
        check(&folder.0, &network);
    }
}

#[test]
fn a_flattened_map_is_a_convolution_as_large_as_it() {
    let mut toy = Toy::new(&[1, 1, 6, 5]);
    let w = toy.weights("w", &[10, 1, 3, 3]);
    toy.then("Conv", &[&w], "conv", vec![integers("strides", &[1, 1])]);
    toy.then("Relu", &[], "relu", vec![]);
    toy.then("Flatten", &[], "flat", vec![]);
    let w = toy.weights("head.w", &[120, 3]);
    toy.then("MatMul", &[&w], "head", vec![]);
    toy.then("Softmax", &[], "p", vec![attribute("axis", -1)]);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    assert_eq!(network.scores(), ossicle_models::network::Scores::Softmax);
    check(&folder.0, &network);
}

#[test]
fn rows_whose_sums_could_overflow_stay_signed() {
    let mut toy = Toy::new(&[1, 3, 160, 160]);
    toy.then("Relu", &[], "relu", vec![]);
    toy.then("Flatten", &[], "flat", vec![]);
    // All of one sign, and inputs of one value: the largest sums there are.
    let w = toy.constant("w", &[76_800, 3], &[0.001, 0.0005, -0.001].repeat(76_800));
    toy.then("MatMul", &[&w], "head", vec![]);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    assert_eq!(network.offsets, [None; 3]);
    write(&folder.0.join("model"), &network).unwrap();
    let report = network.measure(&folder.0.join("model"), &[vec![1.0; 76_800]]).unwrap();
    assert!(report.agreement.same_top == 1 && report.scores > Some(40.0), "{}", report.text());
}

#[test]
fn spelled_out_layer_norm_and_gelu_are_put_together() {
    let mut toy = Toy::new(&[1, 1, 4, 12]);
    let w = toy.weights("w", &[32, 1, 2, 3]);
    toy.then("Conv", &[&w], "patches", vec![integers("strides", &[2, 3])]);
    let shape = toy.integers("shape", &[1, 32, 8]);
    toy.then("Reshape", &[&shape], "flat", vec![]);
    let tokens = toy.then("Transpose", &[], "tokens", vec![integers("perm", &[0, 2, 1])]);
    let mean = toy.then("ReduceMean", &[], "mean", vec![integers("axes", &[-1])]);
    let centred = toy.put("Sub", &[&tokens, &mean], "centred", vec![]);
    let two = toy.constant("two", &[], &[2.0]);
    toy.then("Pow", &[&two], "square", vec![]);
    toy.then("ReduceMean", &[], "variance", vec![integers("axes", &[-1])]);
    let epsilon = toy.constant("epsilon", &[], &[1e-6]);
    toy.then("Add", &[&epsilon], "plus", vec![]);
    let deviation = toy.then("Sqrt", &[], "deviation", vec![]);
    toy.put("Div", &[&centred, &deviation], "normed", vec![]);
    let (gamma, beta) = (toy.weights("gamma", &[32]), toy.weights("beta_", &[32]));
    toy.then("Mul", &[&gamma], "scaled", vec![]);
    toy.then("Add", &[&beta], "shifted", vec![]);
    let w = toy.weights("mlp.w", &[32, 48]);
    let x = toy.then("MatMul", &[&w], "mlp", vec![]);
    let root = toy.constant("root", &[], &[std::f32::consts::SQRT_2]);
    let (one, half) = (toy.constant("one", &[], &[1.0]), toy.constant("half", &[], &[0.5]));
    toy.then("Div", &[&root], "rooted", vec![]);
    toy.then("Erf", &[], "erf", vec![]);
    let plus = toy.then("Add", &[&one], "plus_one", vec![]);
    toy.put("Mul", &[&x, &plus], "product", vec![]);
    toy.then("Mul", &[&half], "gelu", vec![]);
    toy.then("ReduceMean", &[], "pooled", vec![integers("axes", &[1]), attribute("keepdims", 0)]);
    let w = toy.weights("head.w", &[48, 3]);
    toy.then("MatMul", &[&w], "head", vec![]);
    let (folder, network) = toy.read();
    let network = network.unwrap();
    let all = kinds(&network);
    let norm = all.iter().find_map(|kind| if let Kind::Norm { gamma, epsilon, .. } = kind { Some((gamma.len(), *epsilon)) } else { None });
    assert_eq!(norm, Some((32, 1e-6)));
    assert!(matches!(all[3], Kind::Linear { activation: Activation::Gelu, .. }) && all.len() == 6, "{all:?}");
    check(&folder.0, &network);
}

#[test]
fn what_cannot_be_lowered_is_refused_by_its_node() {
    let map = || Toy::new(&[1, 16, 4, 4]);
    let conv = |dims: &[i64], attributes| {
        let mut toy = map();
        let w = toy.weights("w", dims);
        toy.then("Conv", &[&w], "conv", attributes);
        toy.end(dims[0]);
        toy.refused()
    };
    let line = conv(&[18, 4, 1, 1], vec![attribute("group", 4)]);
    assert!(line.contains("node \"conv\" (Conv): 4 groups of 16 channels to 18"), "{line}");
    for (op, name) in [("Elu", "bent"), ("LeakyRelu", "leaky"), ("InstanceNormalization", "inorm")] {
        let mut toy = map();
        let (scale, shift) = (toy.constant("s", &[16], &[1.0; 16]), toy.constant("t", &[16], &[0.0; 16]));
        let constants: &[&str] = if op == "InstanceNormalization" { &[&scale, &shift] } else { &[] };
        toy.then(op, constants, name, vec![]);
        toy.end(16);
        let line = toy.refused();
        assert!(line.contains(&format!("node {name:?} ({op})")), "{line}");
    }
    let mut toy = map();
    toy.then("Wormhole", &[], "hole", vec![]);
    toy.end(16);
    assert!(toy.refused().contains("node \"hole\" (Wormhole): this operator is not known"));
    // A mean over one axis, a sum that repeats.
    let mut toy = map();
    toy.then("ReduceMean", &[], "columns", vec![integers("axes", &[3])]);
    toy.end(16);
    assert!(toy.refused().contains("node \"columns\" (ReduceMean)"));
    let mut toy = map();
    toy.then("GlobalAveragePool", &[], "mean", vec![]);
    toy.put("Add", &["x", "mean"], "sum", vec![]);
    toy.end(16);
    assert!(toy.refused().contains("node \"sum\" (Add)"));
    // Bounds that depend on the input, a product of values, an error function without its GELU.
    let mut toy = map();
    toy.put("Clip", &["x", "x"], "bounded", vec![]);
    toy.end(16);
    assert!(toy.refused().contains("node \"bounded\" (Clip)"));
    let mut toy = map();
    toy.put("MatMul", &["x", "x"], "squared", vec![]);
    toy.end(16);
    assert!(toy.refused().contains("node \"squared\" (MatMul)"));
    // Maps behind one another along their rows, a map and what is made of it at once.
    let mut toy = map();
    toy.put("Concat", &["x", "x"], "stacked", vec![attribute("axis", 2)]);
    toy.end(16);
    assert!(toy.refused().contains("node \"stacked\" (Concat): along axis 2"));
    let mut toy = map();
    toy.then("Transpose", &[], "turned", vec![integers("perm", &[0, 1, 3, 2])]);
    toy.put("Concat", &["x", "turned"], "joined", vec![attribute("axis", 1)]);
    toy.end(32);
    assert!(toy.refused().contains("node \"joined\" (Concat): along axis 1: of maps that lie differently"));
    let mut toy = map();
    let zeros = toy.constant("zeros", &[1, 8, 4, 4], &[0.0; 128]);
    toy.then("Concat", &[&zeros], "padded", vec![attribute("axis", 1)]);
    toy.end(24);
    assert!(toy.refused().contains("node \"padded\" (Concat): with constants"));
    let mut toy = map();
    toy.then("Erf", &[], "erf", vec![]);
    toy.end(16);
    assert!(toy.refused().contains("node \"erf\" (Erf)"));
}

#[test]
fn what_is_no_classifier_is_told() {
    let line = |input: &[i64]| {
        let mut toy = Toy::new(input);
        toy.end(16);
        toy.refused()
    };
    assert!(line(&[2, 16, 4, 4]).contains("a batch of 2"));
    assert!(line(&[1, 16]).contains("2 dimensions"));
    assert!(line(&[1, 16, 0, 4]).contains("dimension 2 of input \"x\" is open"));
    let mut toy = Toy::new(&[1, 3, 4, 4]);
    toy.then("Relu", &[], "relu", vec![]);
    assert!(toy.refused().contains("one row of scores was expected"));
    let folder = Folder::new();
    let path = folder.0.join("noise.onnx");
    std::fs::write(&path, [0xff; 40]).unwrap();
    assert!(Network::read(&path).err().expect("a refusal").to_string().contains("not an ONNX file"));
    std::fs::write(&path, []).unwrap();
    assert!(Network::read(&path).err().expect("a refusal").to_string().contains("not an ONNX file"));
}
