//! A small voice made here: what is read, what is written and spoken, and what is refused.

use std::fs;
use std::path::PathBuf;

use ossicle_kernels::philox::normal_row;
use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::vits::{Manner, VitsConfig, VitsGraph};
use serde_json::{Value, json};

use super::{Noise, Stage, Task, Voice};
use crate::onnx::proto::{self, DataType, Message};

const WIDTH: i64 = 32;
const SYMBOLS: [u32; 11] = [1, 0, 5, 0, 9, 0, 17, 0, 11, 0, 2];

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ossicle-piper-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

/// Nodes and constants: what Piper's files have, without what lies between.
#[derive(Default)]
struct Toy {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    state: u32,
}

/// Adds a part of the network.
type Part = fn(&mut Toy);

impl Toy {
    /// Values between -`size` and `size`.
    fn random(&mut self, count: usize, size: f32) -> Vec<f32> {
        let mut next = || {
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((self.state >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
        };
        (0..count).map(|_| next()).collect()
    }

    fn constant(&mut self, name: &str, dims: &[i64], values: &[f32]) {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(proto::tensor(name, DataType::Float, dims, &data));
    }

    fn norm(&mut self, name: &str) {
        for (part, about) in [("gamma", 1.0), ("beta", 0.0)] {
            let values: Vec<f32> = self.random(WIDTH as usize, 0.3).iter().map(|value| about + value).collect();
            self.constant(&format!("{name}.{part}"), &[WIDTH], &values);
        }
    }

    /// A convolution; `weight` is the name of its weights if that says nothing.
    fn layer(&mut self, name: &str, weight: Option<&str>, dims: [i64; 3], op: (&str, i64, &[i64], i64), bias: bool) {
        let (op, dilation, pads, group) = op;
        let transposed = op == "ConvTranspose";
        let outputs = dims[usize::from(transposed)];
        let fan = if transposed { dims[0] * 2 } else { dims[1] * dims[2] };
        let weight = weight.map_or_else(|| format!("{name}.weight"), str::to_owned);
        let values = self.random(dims.iter().product::<i64>() as usize, (3.0 / fan as f32).sqrt());
        self.constant(&weight, &dims, &values);
        let bias = bias.then(|| {
            let values = self.random(outputs as usize, 0.1);
            self.constant(&format!("{name}.bias"), &[outputs], &values);
            format!("{name}.bias")
        });
        let inputs: Vec<&str> = ["x", &weight].into_iter().chain(bias.as_deref()).collect();
        let stride = if transposed { dims[2] / 2 } else { 1 };
        let ints = [("dilations", vec![dilation]), ("strides", vec![stride]), ("pads", pads.to_vec())];
        let node = proto::node(op, &inputs, &format!("/{name}/out"));
        let node = ints.iter().fold(node, |node, (name, values)| node.message(5, proto::integers(name, values)));
        self.nodes.push(node.message(5, proto::attribute("group", group)));
    }

    fn conv(&mut self, name: &str, outputs: i64, inputs: i64, taps: i64, dilation: i64) {
        let pad = taps / 2 * dilation;
        self.layer(name, None, [outputs, inputs, taps], ("Conv", dilation, &[pad, pad], 1), true);
    }

    fn slope(&mut self, alpha: f32) {
        self.nodes.push(proto::node("LeakyRelu", &["x"], "y").message(5, proto::real("alpha", alpha)));
    }

    fn stack(&mut self, name: &str) {
        for i in 0..2 {
            let dilation = 3_i64.pow(i);
            self.layer(&format!("{name}.convs_sep.{i}"), None, [WIDTH, 1, 3], ("Conv", dilation, &[dilation, dilation], WIDTH), true);
            self.norm(&format!("{name}.norms_1.{i}"));
            self.conv(&format!("{name}.convs_1x1.{i}"), WIDTH, WIDTH, 1, 1);
            self.norm(&format!("{name}.norms_2.{i}"));
        }
    }

    fn text(&mut self) {
        let table = self.random(20 * WIDTH as usize, 0.3);
        // As an optimiser left it.
        self.constant("sid", &[20, WIDTH], &table);
        self.nodes.push(proto::node("Gather", &["sid", "input"], "/enc_p/emb/Gather_output_0"));
        for i in 0..2 {
            let name = format!("enc_p.encoder.attn_layers.{i}");
            for part in ["emb_rel_k", "emb_rel_v"] {
                let values = self.random(7 * 16, 0.3);
                self.constant(&format!("{name}.{part}"), &[1, 7, 16], &values);
            }
            for part in ["conv_q", "conv_k", "conv_v", "conv_o"] {
                self.conv(&format!("{name}.{part}"), WIDTH, WIDTH, 1, 1);
            }
            self.norm(&format!("enc_p.encoder.norm_layers_1.{i}"));
            let name = format!("enc_p.encoder.ffn_layers.{i}");
            self.layer(&format!("{name}.conv_1"), None, [48, WIDTH, 3], ("Conv", 1, &[0, 0], 1), true);
            self.layer(&format!("{name}.conv_2"), None, [WIDTH, 48, 3], ("Conv", 1, &[0, 0], 1), true);
            self.norm(&format!("enc_p.encoder.norm_layers_2.{i}"));
        }
        self.conv("enc_p.proj", 2 * WIDTH, WIDTH, 1, 1);
    }

    fn durations(&mut self) {
        self.conv("dp.pre", WIDTH, WIDTH, 1, 1);
        self.conv("dp.proj", WIDTH, WIDTH, 1, 1);
        self.stack("dp.convs");
        self.constant("dp.flows.0.m", &[2, 1], &[-0.9, 0.3]);
        self.constant("/dp/flows.0/Exp_output_0", &[2, 1], &[0.8, 1.1]);
        self.nodes.push(proto::node("Mul", &["/dp/flows.0/Sub_output_0", "/dp/flows.0/Exp_output_0"], "/dp/flows.0/Mul_output_0"));
        for i in [3, 5, 7] {
            let name = format!("dp.flows.{i}");
            self.conv(&format!("{name}.pre"), WIDTH, 1, 1, 1);
            self.stack(&format!("{name}.convs"));
            self.conv(&format!("{name}.proj"), 14, WIDTH, 1, 1);
        }
    }

    fn flow(&mut self) {
        for i in [0, 2] {
            let name = format!("flow.flows.{i}");
            self.conv(&format!("{name}.pre"), WIDTH, WIDTH / 2, 1, 1);
            for (j, dilation) in [(0, 1), (1, 2)] {
                let (enter, leave) = (format!("{name}.enc.in_layers.{j}"), format!("{name}.enc.res_skip_layers.{j}"));
                let pad = 2 * dilation;
                // Their names went with the weight normalisation.
                self.layer(&enter, Some(&format!("onnx::Conv_{i}{j}0")), [2 * WIDTH, WIDTH, 5], ("Conv", dilation, &[pad, pad], 1), true);
                let outputs = if j == 1 { WIDTH } else { 2 * WIDTH };
                self.layer(&leave, Some(&format!("onnx::Conv_{i}{j}1")), [outputs, WIDTH, 1], ("Conv", 1, &[0, 0], 1), true);
            }
            self.conv(&format!("{name}.post"), WIDTH / 2, WIDTH, 1, 1);
        }
    }

    fn decoder(&mut self, pairs: bool) {
        self.conv("dec.conv_pre", 64, WIDTH, 7, 1);
        for (stage, (channels, rate)) in [(32, 4), (16, 2)].into_iter().enumerate() {
            self.slope(0.1);
            let pads = [rate / 2, rate / 2];
            self.layer(&format!("dec.ups.{stage}"), None, [2 * channels, channels, 2 * rate], ("ConvTranspose", 1, &pads, 1), true);
            for (block, (taps, dilations)) in [(3, [1, 2]), (5, [2, 6])].into_iter().enumerate() {
                for (i, dilation) in dilations.into_iter().enumerate() {
                    let name = format!("dec.resblocks.{}", 2 * stage + block);
                    self.slope(0.1);
                    if pairs {
                        self.conv(&format!("{name}.convs1.{i}"), channels, channels, taps, dilation);
                        self.conv(&format!("{name}.convs2.{i}"), channels, channels, taps, 1);
                    } else {
                        self.conv(&format!("{name}.convs.{i}"), channels, channels, taps, dilation);
                    }
                }
            }
        }
        self.slope(0.01);
        self.layer("dec.conv_post", None, [1, 16, 7], ("Conv", 1, &[3, 3], 1), false);
    }

    fn whole(pairs: bool) -> Self {
        let mut toy = Self { state: 7, ..Self::default() };
        toy.text();
        toy.durations();
        toy.flow();
        toy.decoder(pairs);
        toy
    }

    /// Speakers with these vectors; each layer adds 0.25 and so many times the sum of a vector.
    fn speakers(&mut self, vectors: &[[f32; 4]], layers: &[(&str, i64, f32)]) {
        self.constant("emb_g.weight", &[vectors.len() as i64, 4], vectors.as_flattened());
        self.nodes.push(proto::node("Gather", &["emb_g.weight", "sid"], "/emb_g/Gather_output_0"));
        for &(name, outputs, factor) in layers {
            self.constant(&format!("{name}.weight"), &[outputs, 4, 1], &vec![factor; 4 * outputs as usize]);
            self.constant(&format!("{name}.bias"), &[outputs], &vec![0.25; outputs as usize]);
            self.nodes.push(proto::node("Conv", &["g", &format!("{name}.weight"), &format!("{name}.bias")], "out"));
        }
    }

    fn write(self, folder: &Folder, settings: &Value) -> PathBuf {
        let path = folder.0.join("voice.onnx");
        let graph = proto::graph("toy", self.nodes, self.constants, proto::value("input", 1), proto::value("output", 1));
        fs::write(&path, proto::model(8, 15, "", graph).into_bytes()).expect("a voice");
        fs::write(folder.0.join("voice.onnx.json"), settings.to_string()).expect("its settings");
        path
    }
}

fn settings() -> Value {
    json!({
        "audio": {"sample_rate": 16_000, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.5, "length_scale": 1.5, "noise_w": 0.7},
        "phoneme_type": "espeak",
        "phoneme_map": {},
        "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3], ".": [4], "a": [5], "ə": [9], "aɪ": [18]},
        "num_speakers": 1,
        "language": {"code": "en_US"},
    })
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// What the runtime is given: the seed's key, and places 1 and 2 for durations and frames.
fn noise(which: u32, place: u32, at: usize) -> f32 {
    let mut row = vec![0.0; at + 1];
    normal_row(Isa::detect(), [3, 0], [place, 6, which], &mut row);
    row[at]
}

#[test]
fn the_runtime_speaks_as_the_float_network() {
    for pairs in [false, true] {
        let folder = Folder::new(&format!("speaks-{pairs}"));
        let voice = Voice::open(&Toy::whole(pairs).write(&folder, &settings()), None, None).expect("a voice");
        let config = voice.config();
        assert_eq!((config.upsample_rates.as_slice(), config.resblock_pairs, config.hop()), (&[4, 2][..], pairs, 8));
        assert_eq!((config.num_attention_heads, config.window_size, config.duration_predictor_flow_bins), (2, 3, 5));
        assert_eq!((config.wavenet_dilation_rate, config.noise_scale, config.length_scale), (2, 0.5, 1.5));
        assert_eq!((config.espeak_voice.as_deref(), config.language.as_deref()), (Some("en-us"), Some("en-US")));
        let out = folder.0.join("made");
        voice.write(&out, &Task::default()).expect("a model folder");
        let symbols: Value = serde_json::from_str(&fs::read_to_string(out.join("vocab.json")).expect("symbols")).expect("JSON");
        assert_eq!(symbols, json!({"_": 0, "^": 1, "$": 2, " ": 3, ".": 4, "a": 5, "ə": 9}));

        let noise =
            Noise { durations: &|value, symbol| noise(1, value as u32, symbol), frames: &|frame, channel| noise(2, frame as u32, channel) };
        let mut logs = vec![];
        let mut tap = |stage: Stage| {
            if stage.name == "durations" {
                logs = stage.values;
            }
        };
        let (durations, wanted) = voice.speak(&SYMBOLS, &noise, None, &mut tap);
        assert!(durations.iter().any(|&duration| duration > 1) && logs.iter().all(|log| log.is_finite()), "{durations:?}");
        let model = ModelFolder::<VitsConfig>::open(&out).expect("a model folder");
        let mut graph = VitsGraph::new(model, Options { isa: Isa::detect(), threads: 1 }).expect("graphs");
        let manner = Manner { seed: 3, clause: 6, ..Manner::default() };
        graph.begin(&SYMBOLS, manner).expect("a clause");
        // The text is rounded to 8 bits before: at the edge of a frame one more or less is right.
        let apart = graph.durations().iter().zip(&durations).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(1), "{:?} {durations:?}", graph.durations());
        graph.begin_with(&SYMBOLS, manner, &durations).expect("a clause");
        let mut samples = vec![];
        while let Some(chunk) = graph.next_chunk().expect("a chunk") {
            samples.extend_from_slice(chunk);
        }
        let cosine = cosine(&samples, &wanted);
        assert!(cosine > 0.995, "{cosine}");
    }
}

#[test]
fn other_networks_and_settings_are_refused() {
    let folder = Folder::new("refused");
    let refused = |toy: Toy, settings: &Value, wanted: &str| {
        let error = Voice::open(&toy.write(&folder, settings), None, None).map(drop).expect_err(wanted).to_string();
        assert!(error.contains(wanted) && error.lines().count() == 1, "{wanted}: {error}");
    };
    for (field, value, wanted) in [
        ("phoneme_type", json!("text"), "phoneme_type is \"text\", \"espeak\" is possible"),
        ("phoneme_map", json!({"a": ["b"]}), "phoneme_map replaces \"a\""),
        ("phoneme_id_map", json!({"_": [0], "^": [1]}), "'$' is missing"),
        ("phoneme_id_map", json!({"_": [0], "^": [1], "$": [2, 3]}), "\"$\" is [2, 3], one number is possible"),
        ("phoneme_id_map", json!({"_": [0], "^": [1], "$": [20]}), "phoneme '$' is 20, beyond the vocabulary of 20"),
        ("espeak", json!({"voice": "--path=/"}), "not the name of a voice"),
        ("audio", json!({"sample_rate": 1}), "sampling_rate is 1"),
        ("inference", json!({"noise_scale": -2.0}), "noise_scale is -2"),
    ] {
        let mut changed = settings();
        changed[field] = value;
        refused(Toy::whole(false), &changed, wanted);
    }
    let without = |part: &str| {
        let mut toy = Toy { state: 7, ..Toy::default() };
        let add: [(&str, Part); 4] =
            [("text", Toy::text), ("durations", Toy::durations), ("flow", Toy::flow), ("decoder", |toy| toy.decoder(false))];
        add.iter().filter(|(name, _)| *name != part).for_each(|(_, add)| add(&mut toy));
        toy
    };
    refused(without("text"), &settings(), "not one of Piper's voices");
    refused(without("durations"), &settings(), "no splines of durations");
    refused(without("flow"), &settings(), "not one of Piper's voices");
    refused(without("decoder"), &settings(), "not one of Piper's voices");
    let mut plain = without("durations");
    plain.conv("dp.conv_1", WIDTH, WIDTH, 3, 1);
    refused(plain, &settings(), "durations without noise (dp.conv_1)");
    let mut other = Toy::whole(false);
    other.slope(0.2);
    refused(other, &settings(), "slopes below zero are");
    let mut strided = without("decoder");
    strided.decoder(false);
    strided.layer("dec.conv_pre", Some("again"), [64, WIDTH, 7], ("Conv", 2, &[3, 3], 1), true);
    refused(strided, &settings(), "dec.conv_pre: a window, stride, padding or groups that the runtime does not have");
}

#[test]
fn one_of_several_speakers_is_taken() {
    let folder = Folder::new("speakers");
    let mut settings = settings();
    settings["num_speakers"] = json!(3);
    settings["speaker_id_map"] = json!({"anna": 1, "bert": 2});
    let layers = [
        ("dp.cond", WIDTH, 0.01),
        ("flow.flows.0.enc.cond_layer", 4 * WIDTH, 0.02),
        ("flow.flows.2.enc.cond_layer", 4 * WIDTH, 0.03),
        ("dec.cond", 64, 0.04),
    ];
    let write = |layers: &[(&str, i64, f32)]| {
        let mut toy = Toy::whole(false);
        toy.speakers(&[[0.0; 4], [1.0, 2.0, 3.0, 4.0], [5.0; 4]], layers);
        toy.write(&folder, &settings)
    };
    let path = write(&layers);
    let open = |speaker: Option<&str>| Voice::open(&path, None, speaker);
    let biases = |voice: &Voice| {
        let [second, first] = voice.couplings.as_slice() else { panic!("{} couplings", voice.couplings.len()) };
        let gates = [first, second].into_iter().flat_map(|coupling| &coupling.layers).map(|[enter, _]| enter.bias.clone());
        [vec![voice.duration_input.bias.clone()], gates.collect(), vec![voice.decoder_input.bias.clone()]].concat()
    };
    let alone = Folder::new("one-speaker");
    let plain = Voice::open(&Toy::whole(false).write(&alone, &self::settings()), None, None).expect("a voice");
    assert_eq!(plain.speaker(), None);
    for (wanted, sum, told) in
        [(None, 0.0, "number 0 of 3"), (Some("anna"), 10.0, "number 1 (anna) of 3"), (Some("2"), 20.0, "number 2 (bert) of 3")]
    {
        let voice = open(wanted).expect("a voice");
        assert_eq!(voice.speaker(), Some(told));
        for ((own, before), factor) in biases(&voice).iter().zip(biases(&plain)).zip([0.01, 0.02, 0.02, 0.03, 0.03, 0.04]) {
            assert!(own.iter().zip(&before).all(|(own, before)| (own - before - 0.25 - factor * sum).abs() < 1e-5), "{told} {factor}");
        }
    }
    let refused = |result: Result<Voice, crate::Error>, wanted: &str| {
        let error = result.map(drop).expect_err(wanted).to_string();
        assert!(error.contains(wanted) && error.lines().count() == 1, "{wanted}: {error}");
    };
    refused(open(Some("carl")), "no speaker \"carl\": there are the numbers 0 to 2, and the names \"anna\", \"bert\"");
    refused(open(Some("3")), "no speaker \"3\"");
    refused(Voice::open(&alone.0.join("voice.onnx"), None, Some("anna")), "the voice has one speaker");
    refused(Voice::open(&write(&layers[1..]), None, None), "no convolution dp.cond");
    refused(
        Voice::open(&write(&[("dp.cond", WIDTH, 0.0), ("flow.flows.0.enc.cond_layer", WIDTH, 0.0)]), None, None),
        "no convolution flow.flows.2",
    );
    let narrow = [layers[0], ("flow.flows.0.enc.cond_layer", WIDTH, 0.0), layers[2], layers[3]];
    refused(Voice::open(&write(&narrow), None, None), "flow.flows.0.enc.cond_layer: 32 outputs of 4 x 1 values, 128 of 4 x 1 are expected");
}
