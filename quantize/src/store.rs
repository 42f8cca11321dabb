//! Writes a safetensors file whose tensors all start on 64-byte boundaries.
//!
//! The format allows no gap between tensors, so the header is padded with spaces and every tensor's
//! byte length must itself be a multiple of [`ALIGN`].

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// Alignment of every tensor in the file, in bytes: one cache line and one AVX-512 register.
pub const ALIGN: usize = 64;

/// Element type of a written tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Signed bytes.
    I8,
    /// IEEE single precision, little-endian.
    F32,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::F32 => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::I8 => "I8",
            Self::F32 => "F32",
        }
    }
}

/// Name, type and shape of one tensor of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Tensor name.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

impl Slot {
    /// Bytes of the tensor.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element.size()
    }
}

/// A tensor's byte length is not a multiple of [`ALIGN`], so the one after it would be misaligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misaligned {
    /// The tensor.
    pub name: String,
    /// Its length in bytes.
    pub bytes: usize,
}

/// The length field and header of a file that holds `slots` in this order; tensors follow at once.
///
/// # Errors
/// The first slot whose length is no multiple of [`ALIGN`].
pub fn header(slots: &[Slot], metadata: &BTreeMap<&str, &str>) -> Result<Vec<u8>, Misaligned> {
    let mut table = Map::new();
    table.insert("__metadata__".to_owned(), json!(metadata));
    let mut at = 0;
    for slot in slots {
        let bytes = slot.bytes();
        if bytes % ALIGN != 0 {
            return Err(Misaligned { name: slot.name.clone(), bytes });
        }
        let entry = json!({"dtype": slot.element.name(), "shape": slot.shape, "data_offsets": [at, at + bytes]});
        table.insert(slot.name.clone(), entry);
        at += bytes;
    }
    let mut text = Value::Object(table).to_string().into_bytes();
    let length_field = size_of::<u64>();
    text.resize((length_field + text.len()).next_multiple_of(ALIGN) - length_field, b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.append(&mut text);
    Ok(out)
}

/// Writes bytes of an int8 tensor.
///
/// # Errors
/// The writer's own.
pub fn write_i8(out: &mut impl Write, values: &[i8]) -> io::Result<()> {
    values.chunks(8192).try_for_each(|chunk| {
        let bytes: Vec<u8> = chunk.iter().map(|v| v.cast_unsigned()).collect();
        out.write_all(&bytes)
    })
}

/// Writes an f32 tensor.
///
/// # Errors
/// The writer's own.
pub fn write_f32(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    values.chunks(2048).try_for_each(|chunk| {
        let bytes: Vec<u8> = chunk.iter().flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes)
    })
}
