//! Graphs that no exporter writes: one line that names the node, and nothing written.

use super::{Folder, Message, Toy, attribute, integers, write};

/// A map of eight rows and columns, through one node, to three scores.
fn through(op: &str, constants: &[(&str, &[i64])], attributes: Vec<Message>) -> String {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let names: Vec<String> = constants.iter().map(|(name, dims)| toy.weights(name, dims)).collect();
    toy.then(op, &names.iter().map(String::as_str).collect::<Vec<_>>(), "odd", attributes);
    toy.end(3);
    toy.refused()
}

fn float(name: &str, value: f32) -> Message {
    const FLOAT: i64 = 1;
    Message::default().bytes(1, name.as_bytes()).float(2, value).int(20, FLOAT)
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let conv = |name: &str, figures: &[i64]| through("Conv", &[("w", &[3, 3, 3, 3])], vec![integers(name, figures)]);
    let pool = |name: &str, figures: &[i64]| through("MaxPool", &[], vec![integers("kernel_shape", &[3, 3]), integers(name, figures)]);
    for (line, wanted) in [
        (conv("strides", &[0, 0]), "strides = [0, 0]: 1 to 32768"),
        (conv("strides", &[-1, -1]), "strides = [-1, -1]: 1 to 32768"),
        (conv("strides", &[1]), "strides = [1] for a window of 2 dimensions"),
        (conv("dilations", &[0, 0]), "dilations = [0, 0]: 1 to 32768"),
        (conv("kernel_shape", &[9]), "kernel_shape = [9] for a window of 2"),
        (conv("pads", &[1 << 62, 0, 1 << 62, 0]), "0 to 32768 are possible"),
        (conv("pads", &[-5; 4]), "0 to 32768 are possible"),
        (conv("pads", &[1, 1]), "pads = [1, 1] for a window of 2"),
        (pool("strides", &[0, 0]), "strides = [0, 0]: 1 to 32768"),
        (pool("strides", &[1]), "strides = [1] for a window of 2"),
        (through("MaxPool", &[], vec![integers("kernel_shape", &[0, 0])]), "kernel_shape = [0, 0]: 1 to 32768"),
        (through("MaxPool", &[], vec![integers("kernel_shape", &[1 << 62, 2])]), "1 to 32768 are possible"),
    ] {
        assert!(line.contains("node \"odd\"") && line.contains(wanted), "{wanted}: {line}");
    }
    // One dimension where there are two: only tract's analysis knows that.
    let line = through("MaxPool", &[], vec![integers("kernel_shape", &[2])]);
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn names_that_nothing_gives_are_refused() {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    toy.end(3);
    toy.last = "nowhere".into();
    assert!(toy.refused().contains("output \"nowhere\": no node gives it"));
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    toy.put("Add", &["x", "nothing"], "sum", vec![]);
    toy.end(3);
    assert!(toy.refused().contains("node \"sum\" (Add): it reads \"nothing\", which nothing gives"));
}

#[test]
fn constants_that_would_fill_the_memory_are_refused() {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let shape = toy.integers("shape", &[1 << 20, 1 << 20]);
    toy.put("ConstantOfShape", &[&shape], "large", vec![]);
    toy.then("ReduceMean", &[], "mean", vec![attribute("keepdims", 0)]);
    toy.put("Add", &["x", "mean"], "sum", vec![]);
    toy.end(3);
    let line = toy.refused();
    assert!(line.contains("node \"large\" (ConstantOfShape): [1048576, 1048576]: more than 67108864 values"), "{line}");
}

#[test]
fn a_part_that_holds_nothing_is_refused() {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let (sizes, shape) = (toy.integers("sizes", &[0, 3]), toy.integers("flat", &[1, 0, 64]));
    let node = crate::onnx::proto::node("Split", &["x", &sizes], "nothing").bytes(2, b"rest").message(5, attribute("axis", 1));
    toy.nodes.push(node);
    toy.put("Reshape", &["nothing", &shape], "reshaped", vec![]);
    toy.last = "rest".into();
    toy.end(3);
    let line = toy.refused();
    assert!(line.contains("node \"nothing\" (Split): its part \"nothing\" holds nothing"), "{line}");
}

#[test]
fn what_is_no_finite_number_is_refused() {
    let gemm = |attribute| {
        let mut toy = Toy::new(&[1, 3, 8, 8]);
        let (w, b) = (toy.weights("w", &[192, 3]), toy.weights("b", &[3]));
        toy.then("Flatten", &[], "flat", vec![]);
        toy.then("Gemm", &[&w, &b], "odd", vec![attribute]);
        toy.refused()
    };
    assert!(gemm(float("alpha", f32::NAN)).contains("node \"odd\" (Gemm): alpha = NaN"));
    assert!(gemm(float("beta", f32::INFINITY)).contains("node \"odd\" (Gemm): beta = inf"));
    // Finite figures whose product is not.
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let large = toy.constant("large", &[], &[1e30]);
    toy.then("Mul", &[&large], "once", vec![]);
    toy.then("Mul", &[&large], "twice", vec![]);
    toy.end(3);
    let line = toy.refused();
    assert!(line.contains("node \"twice\" (Mul): its factors multiply to no finite number"), "{line}");
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let (w, scale) = (toy.constant("w", &[3, 3, 1, 1], &[1e30; 9]), toy.constant("scale", &[1, 3, 1, 1], &[1e30, 1.0, 2.0]));
    toy.then("Conv", &[&w], "conv", vec![]);
    toy.then("Mul", &[&scale], "scaled", vec![]);
    toy.end(3);
    let line = toy.refused();
    assert!(line.contains("its weights, with what is folded into them"), "{line}");
}

#[test]
fn what_the_runtime_would_refuse_is_not_published() {
    let refused = |toy: Toy| {
        let (folder, network) = toy.read();
        let model = folder.0.join("model");
        let line = write(&model, &network.unwrap()).unwrap_err().to_string();
        let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["toy.onnx"]);
        line
    };
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    toy.then("AveragePool", &[], "odd", vec![integers("kernel_shape", &[2, 2]), integers("pads", &[2; 4])]);
    toy.end(3);
    let line = refused(toy);
    assert!(line.contains("toy.onnx: the runtime does not take this network: layer \"odd\": a pool with"), "{line}");
    let mut toy = Toy::new(&[1, 3, 224, 224]);
    toy.then("Flatten", &[], "flat", vec![]);
    let w = toy.weights("w", &[3 * 224 * 224, 3]);
    toy.then("MatMul", &[&w], "odd", vec![]);
    let line = refused(toy);
    assert!(line.contains("layer \"odd\": products over 150528 values, at most 131072"), "{line}");
    // Largest finite weights: what they add up to is not.
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let w = toy.constant("w", &[3, 3, 1, 1], &[0.0; 9]);
    let b = toy.constant("b", &[3], &[3e38; 3]);
    toy.then("Conv", &[&w, &b], "conv", vec![]);
    toy.put("Add", &["conv", "conv"], "odd", vec![]);
    toy.end(3);
    assert!(refused(toy).contains("no finite numbers"));
}

#[test]
fn a_label_is_plain_text() {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    toy.end(3);
    let (_, network) = toy.read();
    let network = network.unwrap();
    let labels = ["a", "b\tc", "d"].map(str::to_owned).to_vec();
    let folder = Folder::new();
    let parts = super::Parts { labels, ..Default::default() };
    let line = network.write(&folder.0.join("model"), false, parts, |_, _| Ok(())).unwrap_err().to_string();
    assert!(line.contains("label \"b\\tc\" holds control characters"), "{line}");
}

#[test]
fn shapes_that_do_not_follow_name_their_node() {
    let line = through("Conv", &[("w", &[3, 5, 3, 3])], vec![]);
    assert!(line.contains("odd"), "{line}");
}
