//! `ossicle label` from the outside, with a network that knows red from blue.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, ossicle, refusal, stdout};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A model folder.
struct Model(Folder);

impl Model {
    /// The mean of an image of 2 x 2, and a linear layer to two labels.
    fn new(name: &str) -> Self {
        let model = Self::network(name, json!({"height": 2, "width": 2, "channels": 3}));
        model.file("labels.txt", b"red\nblue\n");
        model.file("preprocessor_config.json", br#"{"rescale_factor": 1, "image_mean": [0], "image_std": [255]}"#);
        model
    }

    /// The mean of all log-mel values, as it is and negated.
    fn for_recordings(name: &str) -> Self {
        let model = Self::network(name, json!({"height": 96, "width": 64, "channels": 1}));
        model.file("labels.txt", b"loud\nnothing\n");
        model.file("preprocessor_config.json", br#"{"frontend": "yamnet"}"#);
        model
    }

    /// Means, of which the first decides on the first label, and the third, if there is one, on the second.
    fn network(name: &str, input: Value) -> Self {
        let model = Self(Folder::new(name));
        let config = json!({
            "kind": "network",
            "numerics_version": 1,
            "input": input,
            "layers": [
                {"name": "mean", "op": "mean", "inputs": ["input"]},
                {"name": "colours", "op": "linear", "channels": 2, "inputs": ["mean"]},
            ],
            "scores": "softmax",
            "num_labels": 2,
        });
        model.file("config.json", config.to_string().as_bytes());
        let mut weight = [0i8; 16 * 16];
        // Output 0 from input 0, output 1 from input 2, in blocks of sixteen outputs by four inputs.
        (weight[0], weight[4 + 2]) = (127, 127);
        let floats = |value: f32| [value; 16].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let data = [weight.map(i8::cast_unsigned).to_vec(), floats(4.0 / 127.0), floats(0.0)].concat();
        let header = json!({
            "__metadata__": {"layout": "n16k4"},
            "colours.weight": {"dtype": "I8", "shape": [1, 4, 16, 4], "data_offsets": [0, 256]},
            "colours.weight_scale": {"dtype": "F32", "shape": [16], "data_offsets": [256, 320]},
            "colours.bias": {"dtype": "F32", "shape": [16], "data_offsets": [320, 384]},
        });
        let mut header = header.to_string().into_bytes();
        header.resize((header.len() + 8).next_multiple_of(64) - 8, b' ');
        let file = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
        model.file("model.safetensors", &file);
        model
    }

    fn path(&self) -> &Path {
        &self.0.0
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        self.0.file(name, bytes)
    }

    /// An image of one colour, larger than the network's.
    fn image(&self, name: &str, rgb: [u8; 3]) -> PathBuf {
        self.file(name, &[&b"P6 5 3 255\n"[..], &rgb.repeat(15)].concat())
    }

    fn label(&self) -> Command {
        let mut command = ossicle();
        command.arg("label").arg("--model").arg(self.path());
        command
    }
}

#[test]
fn colours_are_told_in_every_format() {
    let model = Model::new("formats");
    let (red, blue) = (model.image("red.ppm", [255, 0, 0]), model.image("blue.ppm", [0, 0, 255]));
    let run = |more: &[&str]| stdout(model.label().args(more).args([&red, &blue]).output().unwrap());
    let text = run(&[]);
    // e^4 / (e^4 + 1)
    let expected = format!("{}  red 0.982  blue 0.018\n{}  blue 0.982  red 0.018\n", red.display(), blue.display());
    assert_eq!(text, expected);
    let tsv = run(&["--format", "tsv", "--top", "1"]);
    assert_eq!(tsv, format!("{}\tred\t0.9820\n{}\tblue\t0.9820\n", red.display(), blue.display()));
    let digest = |isa: &str| {
        let lines = run(&["--format", "jsonl", "--digests", "--isa", isa]);
        let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((values.len(), &values[1]["top"][0]["label"]), (2, &json!("blue")));
        values[0]["scores_sha256"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest("scalar").len(), 64);
    let best = stdout(model.label().args(["--format", "jsonl", "--digests"]).arg(&red).output().unwrap());
    assert!(best.contains(&digest("scalar")), "{best}");
}

#[test]
fn the_folder_is_described_and_verified() {
    let model = Model::new("models");
    let ossicle = |args: &[&str]| ossicle().args(args).arg(model.path()).output().unwrap();
    let info = stdout(ossicle(&["models", "info", "--model"]));
    assert!(info.contains("network") && info.contains("2, by name in labels.txt"), "{info}");
    let sums = ["config.json", "labels.txt", "model.safetensors", "preprocessor_config.json"].map(|name| {
        let hash = Sha256::digest(fs::read(model.path().join(name)).unwrap());
        format!("{}  {name}\n", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    model.file("SHA256SUMS", sums.concat().as_bytes());
    stdout(ossicle(&["models", "verify", "--model"]));
    model.file("labels.txt", b"red\ngreen\n");
    let line = refusal(ossicle(&["models", "verify", "--model"]));
    assert!(line.contains("does not match") && line.contains("labels.txt"), "{line}");
}

#[test]
fn a_run_and_its_layers_are_measured() {
    let model = Model::new("bench");
    let bench = |options: &[&str]| {
        let mut command = ossicle();
        command.args(["bench", "network", "--threads", "1", "--rounds", "3"]).args(options).arg(model.path());
        stdout(command.output().unwrap())
    };
    let row: Value = serde_json::from_str(&bench(&["--layers", "--json"])).expect("JSON");
    assert_eq!((&row["schema"], &row["rounds"], &row["threads"]), (&json!("ossicle.bench.network/1"), &json!(3), &json!(1)));
    let names: Vec<&str> = row["layers"].as_array().expect("layers").iter().filter_map(|layer| layer["name"].as_str()).collect();
    assert_eq!(names, ["network.padded", "network.mean", "network.colours", "network.scores"]);
    assert!(bench(&["--layers"]).contains("network.colours  Dense"));
}

#[test]
fn memory_is_refused_with_its_figures() {
    let model = Model::new("memory");
    let red = model.image("red.ppm", [255, 0, 0]);
    let label = |limit: &[&str]| model.label().args(limit).arg(&red).output().unwrap();
    assert!(stdout(label(&["--memory", "1GB", "--board", "pi4"])).contains("red 0.982"));
    let line = refusal(label(&["--memory", "1MB"]));
    assert!(line.contains("more than --memory 1.0 MB") && line.contains("buffers") && line.contains("program"), "{line}");
    // What the network leaves is not enough for a large image, which its header tells.
    let large = model.file("large.ppm", b"P6 8000 8000 255\n");
    let line = refusal(model.label().args(["--memory", "100MB"]).arg(&large).output().unwrap());
    assert!(line.contains("large.ppm: 8000 x 8000 pixels take 192.0 MB to read"), "{line}");
    let line = refusal(label(&["--memory", "100"]));
    assert!(line.contains("more than --memory 0.0 MB") && line.contains("buffers alone"), "{line}");
    // A configuration of a few lines that asks for gigabytes.
    let text = fs::read_to_string(model.path().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["input"] = json!({"height": 1800, "width": 1800, "channels": 3});
    // Eight maps that are all alive when the first sum is taken.
    let layer = |name: String, inputs: [String; 2]| json!({"name": name, "op": "add", "inputs": inputs});
    let maps = (0..8).map(|i| layer(format!("map{i}"), ["input".into(), "input".into()]));
    let mut layers: Vec<Value> = maps.collect();
    layers.extend(
        (1..8).map(|i| layer(format!("sum{i}"), [if i == 1 { "map0".into() } else { format!("sum{}", i - 1) }, format!("map{i}")])),
    );
    layers.push(json!({"name": "mean", "op": "mean", "inputs": ["sum7"]}));
    layers.push(json!({"name": "colours", "op": "linear", "channels": 2, "inputs": ["mean"]}));
    config["layers"] = layers.into();
    model.file("config.json", config.to_string().as_bytes());
    let line = refusal(label(&[]));
    assert!(line.contains("at most 1073 MB are allowed") && line.contains("--memory"), "{line}");
}

/// A zlib stream of zeros: so many of them, then so many times 258, with the codes that every inflater knows.
fn zeros(literals: usize, matches: usize) -> Vec<u8> {
    let mut bits = vec![true, true, false];
    let mut code = |value: u32, length: u32| bits.extend((0..length).rev().map(|bit| value >> bit & 1 == 1));
    (0..literals).for_each(|_| code(0x30, 8));
    // The longest length, the nearest distance.
    (0..matches).for_each(|_| code(0b1100_0101 << 5, 13));
    code(0, 7);
    let mut stream = vec![0x78, 0x01];
    stream.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))));
    let sum = (literals + 258 * matches) % 65_521;
    stream.extend([sum as u16, 1].map(u16::to_be_bytes).concat());
    stream
}

/// A chunk of a PNG.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let mut crc = u32::MAX;
    for &byte in &body {
        crc ^= u32::from(byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

#[test]
#[cfg(target_os = "linux")]
fn texts_and_profiles_of_a_png_take_no_memory() {
    let model = Model::new("bomb");
    // 310 MB in 2 MB.
    let bomb = [b"a\0\0", &zeros(1, 1_200_000)[..]].concat();
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    let chunks = [chunk(b"IHDR", &header), chunk(b"iCCP", &bomb), chunk(b"zTXt", &bomb), chunk(b"IDAT", &zeros(2, 0)), chunk(b"IEND", b"")];
    let png = model.file("bomb.png", &[&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat());
    let label = model.label();
    let limited = |bytes: &str| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--data={bytes}")).arg(label.get_program()).args(label.get_args()).args(["--threads", "1"]).arg(&png);
        command.output().unwrap()
    };
    assert!(stdout(limited("67108864")).contains("bomb.png  "));
}

/// The largest of each kind that the plan allows, with nothing in it or too little: read or refused, never beyond what was planned.
#[test]
#[cfg(target_os = "linux")]
fn the_largest_images_of_a_plan_stay_within_it() {
    const MEMORY: u64 = 120_000_000;
    let model = Model::new("largest");
    let png = |side: u32| {
        let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
        let bytes = side as usize * (8 * side as usize + 1);
        let rows = zeros(bytes % 258, bytes / 258);
        let chunks = [chunk(b"IHDR", &header), chunk(b"IDAT", &rows), chunk(b"IEND", b"")];
        [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
    };
    let jpeg = |side: u32, kind: u8| {
        let [_, _, high, low] = side.to_be_bytes();
        let mut file = vec![0xff, 0xd8, 0xff, kind, 0, 20, 8, high, low, high, low, 4];
        file.extend((1..=4u8).flat_map(|colour| [colour, 0x11, 0]));
        file.extend([0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0, 0xff, 0xd9]);
        file
    };
    let webp = |side: u32| {
        let bits = (side - 1) | (side - 1) << 14;
        let body = [&[0x2f][..], &bits.to_le_bytes(), &[0; 3]].concat();
        [&b"RIFF\x14\0\0\0WEBPVP8L\x08\0\0\0"[..], &body].concat()
    };
    let gif = |side: u32| {
        let side = (side as u16).to_le_bytes();
        let head = [&b"GIF89a"[..], &side, &side, &[0x80, 0, 0], &[0; 6]].concat();
        [&head[..], b",\0\0\0\0", &side, &side, b"\0\x02\x02\x44\x01\0;"].concat()
    };
    type Make = Box<dyn Fn(u32) -> Vec<u8>>;
    let kinds: [(&str, Make); 5] = [
        ("a.png", Box::new(png)),
        ("a.jpg", Box::new(move |side| jpeg(side, 0xc0))),
        ("b.jpg", Box::new(move |side| jpeg(side, 0xc2))),
        ("a.webp", Box::new(webp)),
        ("a.gif", Box::new(gif)),
    ];
    for (name, make) in kinds {
        let try_side = |side: u32| {
            let path = model.file(name, &make(side));
            let label = model.label();
            let mut command = Command::new("prlimit");
            command.arg(format!("--data={}", MEMORY + 10_000_000)).arg(label.get_program()).args(label.get_args());
            let output = command.args(["--threads", "1", "--memory"]).arg(MEMORY.to_string()).arg(path).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(matches!(output.status.code(), Some(0 | 2)), "{name}, {side}: {:?}: {stderr}", output.status);
            assert!(stderr.lines().count() <= 1 && !stderr.contains("panicked"), "{name}, {side}: {stderr}");
            !stderr.contains("MB are left")
        };
        let (mut allowed, mut refused) = (64, 8192);
        while refused - allowed > 64 {
            let side = u32::midpoint(allowed, refused);
            *if try_side(side) { &mut allowed } else { &mut refused } = side;
        }
        assert!(allowed > 1500, "{name}: {allowed}");
    }
}

#[test]
fn look_takes_the_frames_that_are_wanted() {
    let model = Model::new("look");
    let look = || {
        let mut command = ossicle();
        command.args(["look", "--motion", "0", "--model"]).arg(model.path());
        command
    };
    // Of a folder only files that are called like images are looked at.
    let folder = Folder::new("look-folder");
    folder.file("notes.txt", "no image");
    assert!(refusal(look().arg(&folder.0).output().unwrap()).contains("no images"));
    fs::copy(model.image("red.ppm", [255, 0, 0]), folder.0.join("a.PPM")).unwrap();
    let output = look().arg(&folder.0).output().unwrap();
    let lines = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(lines.contains("1 frames computed, 0 still, 0 dropped, 0 damaged"), "{lines}");
    assert!(stdout(output).contains("start   red"));
    // Frames between those that are wanted are neither computed nor dropped.
    let stream = folder.file("stream", b"P6 5 3 255\n".iter().copied().chain([255u8; 45]).collect::<Vec<u8>>().repeat(7));
    let output = look().args(["--every", "3"]).stdin(fs::File::open(stream).unwrap()).output().unwrap();
    let lines = String::from_utf8(output.stderr.clone()).unwrap();
    let figures: Vec<u32> = lines.split(|c: char| !c.is_ascii_digit()).filter_map(|figure| figure.parse().ok()).collect();
    assert_eq!(figures[0] + figures[2], 3, "{lines}");
    // A CLIP has no labels of its own.
    let clip = Folder::new("look-clip");
    clip.file("config.json", r#"{"kind": "clip"}"#);
    for command in ["look", "classify"] {
        let line = refusal(ossicle().args([command, "x.ppm", "--model"]).arg(&clip.0).output().unwrap());
        assert!(line.contains("give some with --labels"), "{line}");
    }
}

#[test]
fn an_image_may_come_from_standard_input() {
    let model = Model::new("stdin");
    let red = model.image("red.ppm", [255, 0, 0]);
    let piped = model.label().arg("-").stdin(fs::File::open(red).unwrap()).output().unwrap();
    assert!(stdout(piped).starts_with("-  red 0.982"));
    let empty = model.label().arg("-").stdin(std::process::Stdio::null()).output().unwrap();
    assert!(refusal(empty).contains("give png, jpeg, webp, gif or binary ppm"));
}

#[test]
fn recordings_are_labelled_window_by_window() {
    let model = Model::for_recordings("audio");
    let kitchen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav");
    let score = |command: &mut Command| {
        let line = stdout(command.args(["--format", "jsonl", "--digests"]).output().unwrap());
        let value: Value = serde_json::from_str(&line).unwrap();
        let loud = value["top"].as_array().unwrap().iter().find(|top| top["label"] == "loud").unwrap();
        (loud["score"].as_f64().unwrap(), value["scores_sha256"].clone())
    };
    let silence = model.file("silence.raw", &[0; 2 * 16000 * 3]);
    let (speech, digest) = score(model.label().arg(&kitchen));
    let (nothing, _) = score(model.label().args(["--raw"]).arg(&silence));
    assert!(speech > 2.0 * nothing && speech < 1.0, "{speech}, {nothing}");
    assert_eq!(score(model.label().args(["--isa", "scalar", "--threads", "3"]).arg(&kitchen)).1, digest);
    // Shorter than a window, and what is no recording.
    let short = model.file("short.raw", &[0; 200]);
    let (once, _) = score(model.label().args(["--raw"]).arg(&short));
    assert!((once - nothing).abs() < 1e-6 * nothing, "{once}, {nothing}");
    let image = model.image("red.ppm", [255, 0, 0]);
    assert!(refusal(model.label().arg(&image).output().unwrap()).contains("red.ppm"));
}

#[test]
fn bad_input_is_one_line() {
    let model = Model::new("bad");
    let red = model.image("red.ppm", [255, 0, 0]);
    let refused = |path: &Path| refusal(model.label().arg(path).output().unwrap());
    assert!(refused(Path::new("nowhere.png")).contains("no such file: nowhere.png"));
    assert!(refused(&model.file("text.txt", b"no image")).contains("give png, jpeg, webp, gif or binary ppm"));
    assert!(refused(&model.file("short.ppm", b"P6 9 9 255\n.")).contains("ends early"));
    assert!(refused(&model.file("thin.ppm", b"P6 1 40000 255\n")).contains("1 x 40000 pixels, at most 32768 a side"));
    assert!(refusal(model.label().arg("--raw").arg(&red).output().unwrap()).contains("the model labels images"));
    assert!(refusal(model.label().arg("--digests").arg(&red).output().unwrap()).contains("add --format jsonl"));
    // One bad file of two: the other is labelled, and the status says so.
    let mixed = model.label().arg("nowhere.png").arg(&red).output().unwrap();
    assert_eq!(mixed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&mixed.stdout).contains("red 0.982"));
    let traced = model.label().args(["--trace", "two.trace"]).args([&red, &red]).output().unwrap();
    assert!(refusal(traced).contains("a trace is of one"));
    // Each file of the folder.
    for (name, bytes, wanted) in [
        ("labels.txt", &b"red\n"[..], "1 labels, but num_labels is 2"),
        ("labels.txt", b"red\n\x1b[31mblue\n", "holds control characters"),
        ("preprocessor_config.json", br#"{"rescale_factor": 3e38, "image_mean": [0], "image_std": [1]}"#, "no finite number"),
        ("preprocessor_config.json", br#"{"do_flip_channel_order": true}"#, "red, green and blue"),
        ("preprocessor_config.json", b"{}", "give image_mean, image_std and rescale_factor"),
        ("preprocessor_config.json", br#"{"frontend": "yamnet"}"#, "frames of 64 bands"),
        ("config.json", br#"{"kind": "yamnet", "numerics_version": 1}"#, "not \"network\""),
    ] {
        let kept = fs::read(model.path().join(name)).unwrap();
        model.file(name, bytes);
        let line = refused(&red);
        assert!(line.contains(wanted) && line.contains(name), "{line}");
        model.file(name, &kept);
    }
    fs::remove_file(model.path().join("preprocessor_config.json")).unwrap();
    assert!(refused(&red).contains("missing: give image_mean"));
}
