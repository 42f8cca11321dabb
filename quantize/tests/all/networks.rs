//! Networks that PyTorch trained and exported (`tests/networks/make.py`), in int8 beside the floats they came from.

use std::path::{Path, PathBuf};

use ossicle::label::{Image, Labeller, Options, Preprocessor, Target};
use ossicle_kernels::simd::Isa;
use ossicle_models::network::InputShape;
use ossicle_quantize::network::{Network, Parts};

use crate::common::TempDir;
use crate::shapes::shape;

/// Images compared; none of them was trained on.
const IMAGES: u32 = 600;

/// Images to calibrate with.
const CALIBRATION: std::ops::Range<u32> = 5000..5032;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/networks").join(name)
}

fn top(scores: &[f32]) -> usize {
    (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best })
}

/// Right answers of the float model and of int8, and how often they agree.
fn compare(name: &str) -> (usize, usize, usize) {
    let source = source(name);
    let mut network = Network::read(&source.join("model.onnx")).expect("lowered");
    let InputShape { height, width, channels } = network.input();
    let target = Target { height, width, channels };
    let preprocessor = Preprocessor::read(&source, target).expect("preprocessor");
    let Preprocessor::Pixels(pixels) = &preprocessor else { panic!("images") };
    let image = |index: u32| Image::new(32, shape(index).0).expect("an image");
    let calibration: Vec<Vec<f32>> = CALIBRATION.map(|index| pixels.apply(&image(index), target)).collect();
    network.calibrate(&calibration).expect("calibrated");
    let labels = std::fs::read_to_string(source.join("labels.txt")).expect("labels");
    let labels = labels.lines().map(str::to_owned).collect();
    let temp = TempDir::new();
    let folder = temp.join("model");
    let parts = Parts { labels, preprocessor: preprocessor.to_json(), ..Parts::default() };
    network
        .write(&folder, false, parts, |draft, _| {
            let report = network.measure(draft, &calibration)?;
            println!("{name}\n{}", report.text());
            assert!(report.scores.expect("scores") > 30.0, "{}", report.text());
            Ok(())
        })
        .expect("written");

    let inputs: Vec<Vec<f32>> = (0..IMAGES).map(|index| pixels.apply(&image(index), target)).collect();
    let floats = network.float_scores(&inputs).expect("floats");
    let mut labeller = Labeller::open(&folder, Options::default()).expect("opened");
    let mut all: Vec<Labeller> = Isa::available()
        .flat_map(|isa| [1, 3].map(|threads| Options { isa, threads }))
        .map(|options| Labeller::open(&folder, options).expect("opened"))
        .collect();
    let (mut float_right, mut right, mut same) = (0, 0, 0);
    for index in 0..IMAGES {
        let scores = labeller.image(&image(index)).expect("scores").to_vec();
        let (float, own, label) = (top(&floats[index as usize]), top(&scores), shape(index).1);
        float_right += usize::from(float == label);
        right += usize::from(own == label);
        same += usize::from(float == own);
        if index < 4 {
            for other in &mut all {
                let again = other.image(&image(index)).expect("scores");
                assert!(scores.iter().zip(again).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}, image {index}: {other:?}");
            }
        }
    }
    println!("{name}: float {float_right}, int8 {right}, the same {same} of {IMAGES}");
    (float_right, right, same)
}

/// Int8 is within a point of the floats, and does not only say the same by chance.
fn check(name: &str, at_least: usize) {
    let (float, int8, same) = compare(name);
    let point = IMAGES as usize / 100;
    assert!(float >= at_least, "the float model knows {float} of {IMAGES}");
    assert!(float.abs_diff(int8) <= point, "int8 {int8}, float {float} of {IMAGES}");
    assert!(same >= IMAGES as usize - 2 * point, "{same} of {IMAGES} the same");
}

#[test]
fn a_mobilenet_v3_is_within_a_point() {
    check("mobilenet", 560);
}

#[test]
fn a_network_of_branches_is_within_a_point() {
    check("branches", 540);
}

#[test]
fn a_vision_transformer_is_within_a_point() {
    check("vit", 460);
}

#[test]
fn a_transformer_behind_convolutions_is_within_a_point() {
    check("conv-transformer", 515);
}

#[test]
fn a_convnext_of_today_s_exporter_is_within_a_point() {
    check("convnext", 540);
}

#[test]
fn what_belongs_to_a_model_is_checked() {
    let network = Network::read(&source("mobilenet").join("model.onnx")).expect("lowered");
    let temp = TempDir::new();
    let error = network.write(&temp.join("m"), false, Parts::default(), |_, _| Ok(())).expect_err("no labels");
    assert!(error.to_string().contains("0 labels, but the network has 10 outputs"), "{error}");
}
