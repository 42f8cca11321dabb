use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::head::RULES;
use crate::onnx::proto::{self, DataType, Message};
use crate::store::{self, Element, Slot};

const CHANNELS: usize = 16;

/// A network of one layer, its weights counted up, each layer's input and weights behind simulated rounding.
struct Toy {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    last: String,
}

fn ints(name: &str, values: &[i64]) -> Message {
    const INTS: i64 = 7;
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.int(8, v)).int(20, INTS)
}

impl Toy {
    fn constant(&mut self, name: &str, dims: &[i64], first: f32) {
        let count = dims.iter().product::<i64>();
        let data: Vec<u8> = (0..count).flat_map(|i| (first + i as f32).to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Float, dims, &data));
    }

    fn rounded(&mut self, name: &str) -> String {
        let [q, dq] = [format!("{name}_q"), format!("{name}_dq")];
        self.nodes.push(proto::node("QuantizeLinear", &[name, "scale", "zero"], &q));
        self.nodes.push(proto::node("DequantizeLinear", &[&q, "scale", "zero"], &dq));
        dq
    }

    fn conv(&mut self, name: &str, dims: &[i64], group: i64, stride: i64, pads: &[i64]) {
        let [weight, bias] = [format!("{name}.w"), format!("{name}.b")];
        self.constant(&weight, dims, 1.0);
        self.constant(&bias, &dims[..1], -3.0);
        let last = self.last.clone();
        let (x, w) = (self.rounded(&last), self.rounded(&weight));
        let node = proto::node("Conv", &[&x, &w, &bias], name);
        let attributes = [ints("pads", pads), ints("strides", &[stride, stride]), proto::attribute("group", group)];
        self.nodes.push(attributes.into_iter().fold(node, |node, attribute| node.message(5, attribute)));
        self.last = format!("{name}.relu");
        self.nodes.push(proto::node("Relu", &[name], &self.last));
    }

    fn new(pads: &[i64]) -> Self {
        Self::strided(1, pads)
    }

    fn strided(stride: i64, pads: &[i64]) -> Self {
        let mut toy = Self { nodes: vec![], constants: vec![], last: "audio".into() };
        let c = CHANNELS as i64;
        toy.conv("stem", &[c, 1, 3, 3], 1, 2, &[0, 0, 1, 1]);
        toy.conv("depthwise", &[c, 1, 3, 3], c, stride, pads);
        toy.conv("pointwise", &[2 * c, c, 1, 1], 1, 1, &[0; 4]);
        toy.nodes.push(proto::node("GlobalAveragePool", &[&toy.last], "mean"));
        toy.constant("classifier.w", &[2, 2 * c], 5.0);
        toy.constant("classifier.b", &[2], 0.5);
        let gemm = proto::node("Gemm", &["mean", "classifier.w", "classifier.b"], "logits");
        toy.nodes.push(gemm.message(5, proto::attribute("transB", 1)));
        toy
    }

    fn open(self, map: &str) -> Result<Yamnet, Error> {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ossicle-yamnet-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let graph = proto::graph("toy", self.nodes, self.constants, proto::value("audio", 1), proto::value("logits", 2));
        fs::write(folder.join(GRAPH), proto::model(9, 18, "", graph).into_bytes()).unwrap();
        fs::write(folder.join(CLASS_MAP), map).unwrap();
        let opened = open(&folder);
        if let Ok(yamnet) = &opened {
            let model = folder.join("out");
            yamnet.write(&model, false, "").unwrap();
            ossicle_models::folder::verify(&model).unwrap();
            ossicle_models::folder::ModelFolder::<ossicle_models::yamnet::YamnetConfig>::open(&model).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
        opened
    }
}

const LABELS: &str = "index,mid,display_name\n0,/m/1,Speech\n1,/m/2,\"Cat, \"\"small\"\"\"\n";

#[test]
fn a_chain_is_read_without_its_rounding() {
    let yamnet = Toy::new(&[1; 4]).open(LABELS).unwrap();
    assert_eq!(yamnet.labels, ["Speech", "Cat, \"small\""]);
    // Weight 1 + 9 c + tap, by tap.
    assert_eq!(yamnet.stem.weights[..2], [1.0, 10.0]);
    assert_eq!(yamnet.stem.weights[CHANNELS..][..2], [2.0, 11.0]);
    let (depthwise, pointwise) = &yamnet.layers[0];
    assert_eq!((depthwise.stride, depthwise.bias[1], pointwise.inputs, pointwise.bias.len()), (1, -2.0, CHANNELS, 2 * CHANNELS));
    assert_eq!(yamnet.classifier.weights[2 * CHANNELS], 5.0 + 2.0 * CHANNELS as f32);
}

/// A head's folder, its tensors counted up.
fn head_folder(name: &str, description: &str, tensors: &[(&str, &[usize])]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ossicle-head-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let slots: Vec<Slot> =
        tensors.iter().map(|(name, shape)| Slot { name: (*name).to_owned(), element: Element::F32, shape: shape.to_vec() }).collect();
    let mut file = store::header(&slots, &BTreeMap::new()).unwrap();
    for slot in &slots {
        let values: Vec<f32> = (0..slot.shape.iter().product()).map(|i: usize| i as f32).collect();
        store::write_f32(&mut file, &values).unwrap();
    }
    fs::write(folder.join("head.safetensors"), file).unwrap();
    fs::write(folder.join("head.json"), description).unwrap();
    fs::write(folder.join(RULES), "[classes.b]\nthreshold = 0.5\n").unwrap();
    folder
}

#[test]
fn a_head_takes_the_place_of_the_classifier() {
    let labels: Vec<String> = ('a'..='p').map(String::from).collect();
    let head = json!({"inputs": [0], "width": 16, "dilations": [2], "labels": labels}).to_string();
    let tensors: [(&str, &[usize]); 7] = [
        ("inputs.0.weight", &[16, 8 * CHANNELS]),
        ("inputs.0.bias", &[16]),
        ("inputs.1.weight", &[16, 2 * CHANNELS]),
        ("blocks.0.weight", &[16, 48]),
        ("blocks.0.bias", &[16]),
        ("classes.weight", &[16, 16]),
        ("classes.bias", &[16]),
    ];
    let yamnet = || Toy::strided(2, &[0, 0, 1, 1]).open(LABELS).unwrap();
    let folder = head_folder("whole", &head, &tensors);
    let with = yamnet().with_head(&folder).unwrap();
    assert_eq!((with.labels.len(), with.classifier.inputs, with.classifier.weights[16]), (16, 16, 16.0));
    let model = folder.join("out");
    with.write(&model, false, "").unwrap();
    ossicle_models::folder::verify(&model).unwrap();
    let opened = ossicle_models::folder::ModelFolder::<ossicle_models::yamnet::YamnetConfig>::open(&model).unwrap();
    assert_eq!(opened.config().head.as_ref().map(|head| (head.width, head.lag())), Some((16, 2)));
    assert!(opened.read_text(RULES).unwrap().contains("classes.b"));
    // What it took the place of stays, for labels near the head's.
    assert_eq!((opened.config().near_labels, opened.read_text("near_labels.txt").unwrap().as_str()), (2, "Speech\nCat, \"small\"\n"));
    let options = ossicle_models::Options { isa: ossicle_kernels::simd::Isa::detect(), threads: 1 };
    let mut graph = ossicle_models::yamnet::YamnetGraph::new(opened, options).unwrap();
    assert_eq!(graph.run(&[0.0; PATCH_FRAMES * MEL_BINS], 1).unwrap().len(), 8 * 16);
    assert_eq!(graph.near_scores().len(), 2);
    fs::remove_dir_all(&folder).unwrap();

    // What was learned of whole patches comes behind it.
    let learned: Vec<_> = [("near.weight", &[16, 2 * CHANNELS][..]), ("near.bias", &[16])].into_iter().chain(tensors).collect();
    let named = |label: &str| {
        let mut named: Vec<String> = labels.iter().map(|label| format!("like {label}")).collect();
        named[0] = label.to_owned();
        head.replace("\"labels\"", &format!("\"near_labels\": {}, \"labels\"", json!(named)))
    };
    let folder = head_folder("learned", &named("first"), &learned);
    let (near, names) = yamnet().with_head(&folder).unwrap().near.unwrap();
    assert_eq!((names[3].as_str(), near.outputs(), near.weights[2 * 2 * CHANNELS + 1]), ("like b", 18, 1.0));
    fs::remove_dir_all(&folder).unwrap();
    let folder = head_folder("twice", &named("Speech"), &learned);
    let line = yamnet().with_head(&folder).unwrap_err().to_string();
    assert!(line.contains("near_labels: the network has \"Speech\" already"), "{line}");
    fs::remove_dir_all(&folder).unwrap();

    for (name, description, tensors, expected) in [
        ("layer", head.replace("[0]", "[1]"), &tensors[..], "inputs name layer 1: the network has 1 layers, the first is 0"),
        ("width", head.replace("16", "20"), &tensors, "width is 20, not a multiple of 16"),
        ("missing", head.clone(), &tensors[..6], "tensor classes.bias: "),
        ("misshapen", head.replace("\"a\",", ""), &tensors, "tensor classes.weight: "),
    ] {
        let folder = head_folder(name, &description, tensors);
        let line = yamnet().with_head(&folder).unwrap_err().to_string();
        assert!(line.contains(expected), "{line}");
        fs::remove_dir_all(&folder).unwrap();
    }
    // What fits the network, but no detector would open.
    let rules = |text: &str| format!("[classes.b]\n{text}\n");
    for (name, description, rules, expected) in [
        ("dilations", head.replace("[2]", "[65]"), rules(""), "out/config.json: head.dilations are [65]"),
        ("rules", head.clone(), rules("treshold = 1"), "out/events.toml: line 2: unknown field"),
        ("class", head.clone(), "[classes.z]".into(), "out/events.toml: classes.z: no label \"z\""),
    ] {
        let folder = head_folder(name, &description, &tensors);
        fs::write(folder.join(RULES), rules).unwrap();
        let line = yamnet().with_head(&folder).unwrap().write(&folder.join("out"), false, "").unwrap_err().to_string();
        assert!(line.contains(expected), "{line}");
        assert!(!folder.join("out").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
    let folder = head_folder("cells", &head, &tensors);
    let line = Toy::new(&[1; 4]).open(LABELS).unwrap().with_head(&folder).unwrap().write(&folder.join("out"), false, "").unwrap_err();
    assert!(line.to_string().contains("a head of 16 cells for each patch, not 8"), "{line}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_does_not_fit_is_named() {
    let refusal = |toy: Toy| toy.open(LABELS).unwrap_err().to_string();
    let line = refusal(Toy::new(&[0, 0, 1, 1]));
    assert!(line.contains("node \"depthwise\" (Conv): expected a 3 x 3 convolution"), "{line}");
    let mut toy = Toy::new(&[1; 4]);
    toy.nodes.pop();
    assert!(refusal(toy).contains("the graph ends: expected the classifier"));
    let mut toy = Toy::new(&[1; 4]);
    toy.nodes.push(proto::node("Softmax", &["logits"], "p"));
    assert!(refusal(toy).contains("node \"p\" (Softmax): expected the end"));
    let mut toy = Toy::new(&[1; 4]);
    toy.constants.remove(0);
    assert!(refusal(toy).contains("stem"));
    let mut toy = Toy::new(&[1; 4]);
    let other = proto::node("GlobalAveragePool", &["stem.relu"], "mean");
    let at = toy.nodes.len() - 2;
    toy.nodes[at] = other;
    assert!(refusal(toy).contains("that reads \"pointwise.relu\""));
    const FLOAT: i64 = 1;
    const STRING: i64 = 3;
    let float = |name: &str, value: f32| Message::default().bytes(1, name.as_bytes()).float(2, value).int(20, FLOAT);
    let auto_pad = Message::default().bytes(1, b"auto_pad").bytes(4, b"SAME_UPPER").int(20, STRING);
    let [depthwise, pointwise, mean, gemm] = [10, 16, 18, 19];
    for (node, attribute, expected) in [
        (gemm, float("alpha", 0.5), "node \"logits\" (Gemm): expected transA = 0"),
        (gemm, float("beta", 2.0), "node \"logits\" (Gemm): expected transA = 0"),
        (gemm, proto::attribute("transA", 1), "node \"logits\" (Gemm): expected transA = 0"),
        (depthwise, auto_pad, "node \"depthwise\" (Conv): expected a 3 x 3 convolution"),
        (pointwise, proto::attribute("whatever", 1), "without whatever"),
        (mean, proto::attribute("count", 1), "without count"),
    ] {
        let mut toy = Toy::new(&[1; 4]);
        toy.nodes[node] = toy.nodes[node].clone().message(5, attribute);
        let line = refusal(toy);
        assert!(line.contains(expected), "{line}");
    }
    let line = Toy::new(&[1; 4]).open("index,mid,display_name\n0,/m/1,Speech\n").unwrap_err().to_string();
    assert!(line.contains("1 labels, but the network has 2 outputs"), "{line}");
    let line = Toy::new(&[1; 4]).open("index,mid,display_name\n1,/m/1,Speech\n").unwrap_err().to_string();
    assert!(line.contains("line 2: expected 0,ID,NAME"), "{line}");
}
