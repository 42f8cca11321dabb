//! What a run hands out while it computes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Takes every tensor of a run, in the order they are computed.
pub trait Tap: fmt::Debug + Send + Sync {
    /// A step begins; the tensors up to the next one belong to it.
    fn step(&self, step: Step<'_>);

    /// A tensor was computed.
    fn tensor(&self, tensor: &Tensor<'_>);
}

/// One run of a part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Which part: `window`, `encoder`, `decoder`, ...
    pub stage: &'a str,
    /// Where in its sequence: a window's first frame, a token's position.
    pub at: u64,
    /// How much of it: frames, positions, tokens.
    pub count: u32,
}

/// A tensor and where it comes from. Padding is left out: two correct runs agree on every value.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// The operator's name in its graph, such as `encoder.layers.2.ffn`.
    pub op: &'a str,
    /// What kind of operator that is, such as `FeedForward`.
    pub kernel: &'a str,
    /// Which of its results, such as `keys`; empty if it has but one.
    pub part: &'a str,
    /// Sizes, slowest first; their product is the number of values.
    pub shape: &'a [usize],
    /// The values, row after row.
    pub values: Values<'a>,
}

/// The type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// Signed bytes.
    I8,
    /// Signed 32-bit integers.
    I32,
    /// Unsigned 32-bit integers.
    U32,
}

impl Dtype {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I8 => 1,
        }
    }

    /// Its name in a trace's listing.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I8 => "i8",
            Self::I32 => "i32",
            Self::U32 => "u32",
        }
    }
}

/// A tensor's values.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// See [`Dtype::F32`].
    F32(&'a [f32]),
    /// See [`Dtype::I8`].
    I8(&'a [i8]),
    /// See [`Dtype::I32`].
    I32(&'a [i32]),
    /// See [`Dtype::U32`].
    U32(&'a [u32]),
}

impl Values<'_> {
    /// Their type.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::I8(_) => Dtype::I8,
            Self::I32(_) => Dtype::I32,
            Self::U32(_) => Dtype::U32,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy to keep.
    pub fn to_owned(&self) -> Owned {
        match self {
            Self::F32(values) => Owned::F32(values.to_vec()),
            Self::I8(values) => Owned::I8(values.to_vec()),
            Self::I32(values) => Owned::I32(values.to_vec()),
            Self::U32(values) => Owned::U32(values.to_vec()),
        }
    }
}

/// A tensor's values, kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Owned {
    /// See [`Dtype::F32`].
    F32(Vec<f32>),
    /// See [`Dtype::I8`].
    I8(Vec<i8>),
    /// See [`Dtype::I32`].
    I32(Vec<i32>),
    /// See [`Dtype::U32`].
    U32(Vec<u32>),
}

impl Owned {
    /// Values from their little-endian bytes; bytes beyond the last whole value are ignored.
    pub fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Self {
        let words = || bytes.as_chunks::<4>().0.iter().copied();
        match dtype {
            Dtype::F32 => Self::F32(words().map(f32::from_le_bytes).collect()),
            Dtype::I8 => Self::I8(bytes.iter().map(|&byte| byte.cast_signed()).collect()),
            Dtype::I32 => Self::I32(words().map(i32::from_le_bytes).collect()),
            Dtype::U32 => Self::U32(words().map(u32::from_le_bytes).collect()),
        }
    }

    /// The values, borrowed.
    pub fn values(&self) -> Values<'_> {
        match self {
            Self::F32(values) => Values::F32(values),
            Self::I8(values) => Values::I8(values),
            Self::I32(values) => Values::I32(values),
            Self::U32(values) => Values::U32(values),
        }
    }
}

/// What stays the same each time an operator computes a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// See [`Tensor::op`].
    pub op: String,
    /// See [`Tensor::kernel`].
    pub kernel: String,
    /// See [`Tensor::part`].
    pub part: String,
    /// The values' type.
    pub dtype: Dtype,
    /// See [`Tensor::shape`].
    pub shape: Vec<usize>,
}

impl Descriptor {
    /// Whether `tensor` is such a result.
    pub fn describes(&self, tensor: &Tensor<'_>) -> bool {
        self.op == tensor.op
            && self.part == tensor.part
            && self.kernel == tensor.kernel
            && self.dtype == tensor.values.dtype()
            && self.shape == tensor.shape
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operator's name, with the part's behind it if it has one: what [`Pattern`](crate::Pattern) is matched with.
    pub fn name(&self) -> String {
        if self.part.is_empty() { self.op.clone() } else { format!("{}/{}", self.op, self.part) }
    }
}

impl From<&Tensor<'_>> for Descriptor {
    fn from(tensor: &Tensor<'_>) -> Self {
        Self {
            op: tensor.op.to_owned(),
            kernel: tensor.kernel.to_owned(),
            part: tensor.part.to_owned(),
            dtype: tensor.values.dtype(),
            shape: tensor.shape.to_vec(),
        }
    }
}

impl fmt::Display for Descriptor {
    /// `encoder.layers.2.ffn (FeedForward), f32 [1500, 384]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), {} {:?}", self.name(), self.kernel, self.dtype.name(), self.shape)
    }
}
