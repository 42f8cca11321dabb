//! Activation functions over whole buffers, and softmax over one row: what networks put behind their layers.
//!
//! Each function is a fixed order of operations (docs/numerics.md), so every instruction set gives the same bits.

use crate::simd::{Isa, LANES, Simd, SimdOp};
use crate::{fault, math};

/// A function applied to each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x`
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `min(max(fma(x, 1/6, 1/2), 0), 1)`
    HardSigmoid,
    /// `x * HardSigmoid(x)` (Howard et al. 2019, "Searching for MobileNetV3")
    HardSwish,
    /// [`math::sigmoid`]
    Sigmoid,
    /// `x * sigmoid(x)`, also called swish
    Silu,
    /// `x * sigmoid(1.702 x)`, CLIP's approximation of GELU
    QuickGelu,
    /// [`math::gelu`], the exact form
    Gelu,
    /// `x * sigmoid(x * fma(x * x, 0.071354814, 1.5957692))`, GELU with a hyperbolic tangent in place of the error function
    TanhGelu,
    /// [`math::tanh`]
    Tanh,
    /// `x` above zero, otherwise `e^x - 1` (Clevert, Unterthiner and Hochreiter 2015)
    Elu,
}

impl Activation {
    /// A bound that no result lies below, as a magnitude: `f(x) >= -bound`. None for what is not bounded.
    pub fn depth_below_zero(self) -> Option<f32> {
        match self {
            Self::Identity => None,
            Self::Relu | Self::Relu6 | Self::HardSigmoid | Self::Sigmoid => Some(0.0),
            Self::HardSwish => Some(0.375),
            Self::Silu => Some(0.2785),
            Self::QuickGelu => Some(0.164),
            Self::Gelu | Self::TanhGelu => Some(0.1705),
            Self::Tanh | Self::Elu => Some(1.0),
        }
    }

    /// Whether zero becomes zero, so that padding stays what it is.
    pub fn keeps_zero(self) -> bool {
        !matches!(self, Self::HardSigmoid | Self::Sigmoid)
    }
}

/// Applies a function to each value, in place.
pub fn activate(isa: Isa, activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => return,
        Activation::Relu => isa.dispatch(Apply(Relu, &mut *values)),
        Activation::Relu6 => isa.dispatch(Apply(Relu6, &mut *values)),
        Activation::HardSigmoid => isa.dispatch(Apply(HardSigmoid, &mut *values)),
        Activation::HardSwish => isa.dispatch(Apply(HardSwish, &mut *values)),
        Activation::Sigmoid => isa.dispatch(Apply(Sigmoid, &mut *values)),
        Activation::Silu => isa.dispatch(Apply(Silu, &mut *values)),
        Activation::QuickGelu => isa.dispatch(Apply(QuickGelu, &mut *values)),
        Activation::Gelu => isa.dispatch(Apply(Gelu, &mut *values)),
        Activation::TanhGelu => isa.dispatch(Apply(TanhGelu, &mut *values)),
        Activation::Tanh => isa.dispatch(Apply(Tanh, &mut *values)),
        Activation::Elu => isa.dispatch(Apply(Elu, &mut *values)),
    }
    fault::f32s("activate", isa.name(), values);
}

/// One of the functions; a trait and not a closure, which would not be inlined and lack the vector instructions.
trait Function {
    fn of<S: Simd>(s: S, x: S::F32) -> S::F32;
}

struct Apply<'a, F>(F, &'a mut [f32]);

impl<F: Function> SimdOp for Apply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (full, rest) = self.1.as_chunks_mut::<LANES>();
        for values in full {
            s.store(F::of(s, s.load(values)), values);
        }
        if !rest.is_empty() {
            s.store_partial(F::of(s, s.load_partial(rest, 0.0)), rest);
        }
    }
}

macro_rules! function {
    ($name:ident, |$s:ident, $x:ident| $body:expr) => {
        struct $name;

        impl Function for $name {
            #[inline(always)]
            fn of<S: Simd>($s: S, $x: S::F32) -> S::F32 {
                $body
            }
        }
    };
}

function!(Relu, |s, x| s.max(x, s.splat(0.0)));
function!(Relu6, |s, x| s.min(s.max(x, s.splat(0.0)), s.splat(6.0)));
function!(HardSigmoid, |s, x| s.min(s.max(s.fma(x, s.splat(1.0 / 6.0), s.splat(0.5)), s.splat(0.0)), s.splat(1.0)));
function!(HardSwish, |s, x| s.mul(x, HardSigmoid::of(s, x)));
function!(Sigmoid, |s, x| math::sigmoid(s, x));
function!(Silu, |s, x| s.mul(x, math::sigmoid(s, x)));
function!(QuickGelu, |s, x| s.mul(x, math::sigmoid(s, s.mul(x, s.splat(1.702)))));
function!(Gelu, |s, x| math::gelu(s, x));
// x / 2 * (1 + tanh(y)) is x * sigmoid(2 y), with y = sqrt(2 / pi) * (x + 0.044715 x^3).
function!(TanhGelu, |s, x| {
    let factor = s.fma(s.mul(x, x), s.splat(0.071_354_814), s.splat(1.595_769_2));
    s.mul(x, math::sigmoid(s, s.mul(x, factor)))
});
function!(Tanh, |s, x| math::tanh(s, x));
function!(Elu, |s, x| s.select(s.lt(s.splat(0.0), x), x, s.sub(math::exp(s, x), s.splat(1.0))));

/// Softmax of one row, in place: `exp(x - largest)`, divided by their sum over lanes. An empty row stays empty.
pub fn softmax(isa: Isa, row: &mut [f32]) {
    isa.dispatch(Softmax(&mut *row));
    fault::f32s("softmax_f32", isa.name(), row);
}

struct Softmax<'a>(&'a mut [f32]);

impl SimdOp for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let mut largest = s.splat(f32::MIN);
        for x in self.0.chunks(LANES) {
            largest = s.max(largest, s.load_partial(x, f32::MIN));
        }
        let largest = s.splat(s.reduce_max(largest));
        let mut sum = s.splat(0.0);
        for x in self.0.chunks_mut(LANES) {
            s.store_partial(math::exp(s, s.sub(s.load_partial(x, 0.0), largest)), x);
            sum = s.add(sum, s.load_partial(x, 0.0));
        }
        let sum = s.splat(s.reduce_add(sum));
        for x in self.0.chunks_mut(LANES) {
            s.store_partial(s.div(s.load_partial(x, 0.0), sum), x);
        }
    }
}
