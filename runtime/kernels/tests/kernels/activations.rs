//! Activations, softmax, and sums and products of maps: against plain loops, and with `==` between instruction sets.

use crate::common::{Random, bits, isas};
use ossicle_kernels::activation::{Activation, activate, softmax};
use ossicle_kernels::elementwise::{add, affine_channels, multiply, scale_channels};

const ALL: [Activation; 12] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::Sigmoid,
    Activation::Silu,
    Activation::QuickGelu,
    Activation::Gelu,
    Activation::TanhGelu,
    Activation::Tanh,
    Activation::Elu,
];

fn erf(x: f64) -> f64 {
    // A series, exact to 1e-8 as far as it is used; 1 - 2e-10 where it ends.
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    if x.abs() > 4.5 { x.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() }
}

fn exact(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Gelu => x / 2.0 * (1.0 + erf(x / 2f64.sqrt())),
        Activation::TanhGelu => x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()),
        Activation::Tanh => x.tanh(),
        Activation::Elu => x.max(x.min(0.0).exp() - 1.0),
    }
}

#[test]
fn activations_are_close_to_f64_and_equal_everywhere() {
    for activation in ALL {
        for len in [0, 1, 15, 16, 17, 4001] {
            let x: Vec<f32> = (0..len).map(|i| i as f32 / 200.0 - 10.0).collect();
            let mut first: Option<Vec<u32>> = None;
            for isa in isas() {
                let mut y = x.clone();
                activate(isa, activation, &mut y);
                for (x, y) in x.iter().zip(&y) {
                    let want = exact(activation, f64::from(*x));
                    let error = (f64::from(*y) - want).abs();
                    assert!(error <= 2e-6 * f64::from(x.abs()).max(1.0), "{activation:?}({x}) = {y}, not {want}, on {isa}");
                    assert!(activation.depth_below_zero().is_none_or(|depth| *y >= -depth), "{activation:?}({x}) = {y} on {isa}");
                }
                assert_eq!(*first.get_or_insert_with(|| bits(&y)), bits(&y), "{activation:?} of {len} values, {isa}");
            }
        }
        for isa in isas() {
            let mut zero = [0.0; 16];
            activate(isa, activation, &mut zero);
            assert_eq!(zero.iter().all(|&y| y == 0.0), activation.keeps_zero(), "{activation:?}(0) on {isa}");
        }
    }
}

#[test]
fn softmax_sums_to_one_and_is_equal_everywhere() {
    let mut random = Random::new(21);
    for len in [1, 2, 15, 16, 17, 1000] {
        let x: Vec<f32> = random.floats(len).iter().map(|x| x * 20.0).collect();
        let largest = x.iter().copied().fold(f32::MIN, f32::max);
        let total: f64 = x.iter().map(|x| f64::from(x - largest).exp()).sum();
        let mut first: Option<Vec<u32>> = None;
        for isa in isas() {
            let mut y = x.clone();
            softmax(isa, &mut y);
            for (x, y) in x.iter().zip(&y) {
                let want = f64::from(x - largest).exp() / total;
                assert!((f64::from(*y) - want).abs() < 1e-6, "{y}, not {want}, on {isa}");
            }
            assert_eq!(*first.get_or_insert_with(|| bits(&y)), bits(&y), "{len} values, {isa}");
        }
    }
    for isa in isas() {
        softmax(isa, &mut []);
    }
}

#[test]
fn maps_are_added_and_scaled_by_the_definition() {
    let mut random = Random::new(22);
    for (positions, channels) in [(1, 16), (3, 48), (7, 160)] {
        let count = positions * channels;
        let (a, b, scales, shifts) = (random.floats(count), random.floats(count), random.floats(channels), random.floats(channels));
        let by = |f: &dyn Fn(usize) -> f32| (0..count).map(|i| f(i).to_bits()).collect::<Vec<_>>();
        for isa in isas() {
            let mut y = vec![f32::NAN; count];
            add(isa, &a, &b, &mut y);
            assert_eq!(bits(&y), by(&|i| a[i] + b[i]), "add, {isa}");
            multiply(isa, &a, &b, &mut y);
            assert_eq!(bits(&y), by(&|i| a[i] * b[i]), "multiply, {isa}");
            scale_channels(isa, &a, &scales, &mut y);
            assert_eq!(bits(&y), by(&|i| a[i] * scales[i % channels]), "scale, {isa}");
            affine_channels(isa, &a, &scales, &shifts, &mut y);
            assert_eq!(bits(&y), by(&|i| a[i].mul_add(scales[i % channels], shifts[i % channels])), "affine, {isa}");
        }
    }
}
