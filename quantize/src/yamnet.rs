//! YAMNet as ONNX: read, checked, and written as a model folder.
//!
//! The graph has to be a chain of convolutions with ReLU (3 x 3 with stride 2 first, then pairs of depthwise 3 x 3 and 1 x 1), a mean and a
//! linear layer. Pairs of QuantizeLinear and DequantizeLinear, which simulate another runtime's rounding, are passed over: weights are
//! taken as the floats they are made from.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ossicle::events::{Detector, EventsError, Options, Settings, SettingsError};
use ossicle_graph::folder::{FolderError, LAYOUT, NUMERICS_VERSION};
use serde_json::{Value, json};

use crate::card;
use crate::dense::Dense;
use crate::folder::{Partial, pretty, write_sums, write_text};
use crate::head::{self, Head};
use crate::onnx::read::{self, Node, OnnxGraph};
use crate::pack;
use crate::tensors::{self, Tensor};
use crate::{Error, source};

/// The graph's file in a source folder.
pub const GRAPH: &str = "model.onnx";

/// The labels' file in a source folder: index, identifier, display name.
const CLASS_MAP: &str = "yamnet_class_map.csv";

const PATCH_FRAMES: usize = 96;
const MEL_BINS: usize = 64;
const TAPS: usize = 9;

/// A 3 x 3 convolution with one input channel for each output.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// `[9][channels]`
    pub weights: Vec<f32>,
    /// `[channels]`
    pub bias: Vec<f32>,
    /// 1 or 2.
    pub stride: usize,
}

/// A float YAMNet.
#[derive(Clone, Debug, PartialEq)]
pub struct Yamnet {
    /// The graph's file.
    pub path: PathBuf,
    /// The first convolution, stride 2.
    pub stem: Filters,
    /// Depthwise and 1 x 1 convolutions.
    pub layers: Vec<(Filters, Dense)>,
    /// What scores short cells instead of patches.
    pub head: Option<Head>,
    /// From the mean of the last map, or from a head's cells, to logits.
    pub classifier: Dense,
    /// Display names, one for each output.
    pub labels: Vec<String>,
}

/// Reads `model.onnx` and `yamnet_class_map.csv` of a folder.
///
/// # Errors
/// A file is missing or malformed, or the graph is another network, in which case its first node that does not fit is named.
pub fn open(folder: &Path) -> Result<Yamnet, Error> {
    let graph = read::read(&folder.join(GRAPH))?;
    let mut chain = Chain::new(&graph);
    let stem = chain.filters(1, 2)?;
    let mut layers = vec![];
    let mut channels = stem.bias.len();
    while chain.next_is("Conv") {
        let depthwise = chain.filters(channels, 0)?;
        let pointwise = chain.pointwise(channels)?;
        channels = pointwise.bias.len();
        layers.push((depthwise, pointwise));
    }
    let classifier = chain.classifier(channels)?;
    let labels = labels(&folder.join(CLASS_MAP))?;
    if labels.len() != classifier.bias.len() {
        let what = format!("{} labels, but the network has {} outputs", labels.len(), classifier.bias.len());
        return Err(Error::unsupported(&folder.join(CLASS_MAP), what));
    }
    Ok(Yamnet { path: graph.path.clone(), stem, layers, head: None, classifier, labels })
}

/// Walks the nodes that compute something, each of which has to read what the one before wrote.
struct Chain<'a> {
    graph: &'a OnnxGraph,
    nodes: std::iter::Peekable<Box<dyn Iterator<Item = &'a Node> + 'a>>,
    /// What a name stands for once rounding is passed over.
    aliases: HashMap<&'a str, &'a str>,
    /// What the last node wrote; nothing before the first.
    last: Option<&'a str>,
}

impl<'a> Chain<'a> {
    fn new(graph: &'a OnnxGraph) -> Self {
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

    fn next_is(&mut self, op: &str) -> bool {
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
    fn filters(&mut self, groups: usize, stride: usize) -> Result<Filters, Error> {
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

    fn pointwise(&mut self, inputs: usize) -> Result<Dense, Error> {
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

    fn classifier(&mut self, inputs: usize) -> Result<Dense, Error> {
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

/// The third column of a table with a header and rows by index.
fn labels(path: &Path) -> Result<Vec<String>, Error> {
    let text = source::read_text(path)?;
    let mut labels = vec![];
    for (line, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.is_empty()) {
        let mut parts = row.splitn(3, ',');
        let (index, name) = (parts.next().and_then(|index| index.parse::<usize>().ok()), parts.nth(1));
        let name = name.map(|name| name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).replace("\"\"", "\""));
        match name.filter(|name| index == Some(labels.len()) && !name.is_empty() && !name.contains(char::is_control)) {
            Some(name) => labels.push(name),
            None => return Err(Error::json(path, format!("line {}: expected {},ID,NAME", line + 1, labels.len()))),
        }
    }
    Ok(labels)
}

impl Yamnet {
    /// The network with the head of a folder in place of its classifier and labels.
    ///
    /// # Errors
    /// A file is missing or malformed, or the head is another network's.
    pub fn with_head(self, folder: &Path) -> Result<Self, Error> {
        let channels: Vec<usize> = self.layers.iter().map(|(_, pointwise)| pointwise.outputs()).collect();
        let (head, classifier, labels) = head::read(folder, &channels)?;
        Ok(Self { head: Some(head), classifier, labels, ..self })
    }

    /// Weights and biases in all.
    pub fn parameters(&self) -> usize {
        let dense = |dense: &Dense| dense.weights.len() + dense.bias.len();
        let filters = |filters: &Filters| filters.weights.len() + filters.bias.len();
        let layers: usize = self.layers.iter().map(|(depthwise, pointwise)| filters(depthwise) + dense(pointwise)).sum();
        let head: usize = self.head.iter().flat_map(|head| head.inputs.iter().chain(&head.blocks)).map(dense).sum();
        filters(&self.stem) + layers + head + dense(&self.classifier)
    }

    /// `config.json`.
    fn config(&self) -> Value {
        let layers = self.layers.iter().map(|(depthwise, pointwise)| json!({"channels": pointwise.bias.len(), "stride": depthwise.stride}));
        let mut config = json!({
            "kind": "yamnet",
            "numerics_version": NUMERICS_VERSION,
            "patch_frames": PATCH_FRAMES,
            "num_mel_bins": MEL_BINS,
            "stem_channels": self.stem.bias.len(),
            "layers": layers.collect::<Vec<_>>(),
            "num_labels": self.labels.len(),
        });
        if let Some(head) = &self.head {
            config["head"] = head.config();
        }
        config
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = vec![];
        put_filters(&mut tensors, "stem", &self.stem);
        for (i, (depthwise, pointwise)) in self.layers.iter().enumerate() {
            put_filters(&mut tensors, &format!("layers.{i}.depthwise"), depthwise);
            pointwise.put(&mut tensors, &format!("layers.{i}.pointwise"));
        }
        if let Some(head) = &self.head {
            for (name, layers) in [("inputs", &head.inputs), ("blocks", &head.blocks)] {
                for (i, layer) in layers.iter().enumerate() {
                    layer.put(&mut tensors, &format!("head.{name}.{i}"));
                }
            }
        }
        self.classifier.put(&mut tensors, "classifier");
        tensors
    }

    /// Writes the model folder, all of it or none; `notes` go into the card as they are. An existing model folder is replaced only by `force`.
    ///
    /// # Errors
    /// The folder exists, or the disk refuses.
    pub fn write(&self, folder: &Path, force: bool, notes: &str) -> Result<(), Error> {
        let mut partial = Partial::create(folder, force)?;
        let at = partial.path.clone();
        tensors::write(&at.join("model.safetensors"), &self.path, &self.tensors())?;
        write_text(&at.join("config.json"), &pretty(&self.config()))?;
        write_text(&at.join("labels.txt"), &self.labels.iter().flat_map(|label| [label, "\n"]).collect::<String>())?;
        if let Some(head) = &self.head {
            write_text(&at.join(head::RULES), &head.rules)?;
        }
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        let bytes = fs::metadata(at.join("model.safetensors")).map_err(|e| Error::io(&at, e))?.len();
        write_text(&at.join("README.md"), &self.card(&name, bytes, notes))?;
        write_sums(&at)?;
        if self.head.is_some() {
            check_head(&at, folder)?;
        }
        partial.publish(folder)
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let rows = [
            (
                "kind",
                match self.head {
                    None => format!("YAMNet, {} sound classes of AudioSet", self.labels.len()),
                    Some(_) => format!("YAMNet with a head of {} sound classes", self.labels.len()),
                },
            ),
            ("input", format!("patches of {PATCH_FRAMES} frames (0.975 s at 16 kHz), {MEL_BINS} mel bands")),
            ("layers", format!("a convolution, {} depthwise separable ones, a mean, a classifier", self.layers.len())),
            (
                "head",
                self.head.as_ref().map_or("none".into(), |head| {
                    let (maps, blocks) = (head.layers.len(), head.blocks.len());
                    format!("{maps} maps and the mean to {} values, {blocks} temporal convolutions, the classes", head.width())
                }),
            ),
            ("parameters", self.parameters().to_string()),
            (
                "weights here",
                format!(
                    "{bytes} bytes: 1 x 1 convolutions and classifier int8 with one f32 scale per output, layout {LAYOUT}; 3 x 3 filters f32"
                ),
            ),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "YAMNet for the Ossicle runtime, made by `ossicle-quantize`.", &rows, notes)
    }
}

fn put_filters(tensors: &mut Vec<Tensor>, name: &str, filters: &Filters) {
    let channels = filters.bias.len();
    tensors.push(Tensor::floats(format!("{name}.weight"), vec![TAPS, channels], filters.weights.clone()));
    tensors.push(Tensor::floats(format!("{name}.bias"), vec![channels], filters.bias.clone()));
}

/// Opens the draft of a model with a head as the runtime will, rules included: its figures are the trainer's own. `folder` is for errors.
fn check_head(draft: &Path, folder: &Path) -> Result<(), Error> {
    let refused = |file: &str, problem: &dyn std::fmt::Display| Err(Error::unsupported(&folder.join(file), problem.to_string()));
    let opened = Settings::of_model(draft).map_err(EventsError::Settings);
    match opened.and_then(|settings| Detector::open(draft, &settings, Options::default())) {
        Ok(_) => Ok(()),
        Err(EventsError::Folder(FolderError::Malformed { problem, .. })) => refused("config.json", &problem),
        Err(EventsError::Settings(SettingsError::Toml { problem, .. })) => refused(head::RULES, &problem),
        Err(EventsError::Settings(error)) => refused(head::RULES, &error),
        Err(error) => refused("", &error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
                ossicle_graph::folder::verify(&model).unwrap();
                ossicle_graph::folder::ModelFolder::<ossicle_graph::yamnet::YamnetConfig>::open(&model).unwrap();
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
        ossicle_graph::folder::verify(&model).unwrap();
        let opened = ossicle_graph::folder::ModelFolder::<ossicle_graph::yamnet::YamnetConfig>::open(&model).unwrap();
        assert_eq!(opened.config().head.as_ref().map(|head| (head.width, head.lag())), Some((16, 2)));
        assert!(opened.read_text(RULES).unwrap().contains("classes.b"));
        let options = ossicle_graph::Options { isa: ossicle_kernels::simd::Isa::detect(), threads: 1 };
        let mut graph = ossicle_graph::yamnet::YamnetGraph::new(opened, options).unwrap();
        assert_eq!(graph.run(&[0.0; PATCH_FRAMES * MEL_BINS], 1).unwrap().len(), 8 * 16);
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
}
