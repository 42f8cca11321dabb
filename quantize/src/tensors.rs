//! Tensors of a model folder and the file they are written to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use ossicle_models::folder::{LAYOUT, NUMERICS_VERSION};

use crate::Error;
use crate::pack::{self, QuantizedRows};
use crate::store::{self, Element, Slot};

/// Name of the format in the file's metadata.
pub(crate) const FORMAT: &str = "ossicle-int8";

/// Rows and inputs are rounded up to whole vectors of this many values.
pub(crate) const LANES: usize = pack::BLOCK_ROWS;

/// A tensor to be written.
#[derive(Debug)]
pub(crate) enum Tensor {
    Bytes(Vec<i8>, Slot),
    Floats(Vec<f32>, Slot),
}

impl Tensor {
    pub(crate) fn floats(name: String, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self::Floats(values, Slot { name, element: Element::F32, shape })
    }

    pub(crate) fn bytes(name: String, shape: Vec<usize>, values: Vec<i8>) -> Self {
        Self::Bytes(values, Slot { name, element: Element::I8, shape })
    }

    fn slot(&self) -> &Slot {
        match self {
            Self::Bytes(_, slot) | Self::Floats(_, slot) => slot,
        }
    }
}

/// Writes `model.safetensors` from what was read from `source`.
///
/// # Errors
/// A tensor cannot be aligned, or the disk refuses.
pub(crate) fn write(path: &Path, source: &Path, tensors: &[Tensor]) -> Result<(), Error> {
    let version = NUMERICS_VERSION.to_string();
    let metadata = BTreeMap::from([("format", FORMAT), ("layout", LAYOUT), ("numerics_version", version.as_str())]);
    let slots: Vec<Slot> = tensors.iter().map(|tensor| tensor.slot().clone()).collect();
    let header = store::header(&slots, &metadata)
        .map_err(|m| Error::unsupported(source, format!("tensor {} of {} bytes cannot be aligned", m.name, m.bytes)))?;
    let io = |e| Error::io(path, e);
    let mut out = BufWriter::new(File::create_new(path).map_err(io)?);
    out.write_all(&header).map_err(io)?;
    for tensor in tensors {
        match tensor {
            Tensor::Bytes(values, _) => store::write_i8(&mut out, values).map_err(io)?,
            Tensor::Floats(values, _) => store::write_f32(&mut out, values).map_err(io)?,
        }
    }
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)
}

/// Adds quantised rows, packed, with their scales and, if there is one, their bias.
pub(crate) fn put_rows(tensors: &mut Vec<Tensor>, name: &str, q: &QuantizedRows, bias: Option<Vec<f32>>) {
    let rows = pack::padded_rows(q.rows);
    let shape = vec![rows / pack::BLOCK_ROWS, q.inputs / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
    let padded = |mut values: Vec<f32>| {
        values.resize(rows, 0.0);
        values
    };
    tensors.push(Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, q.rows, q.inputs)));
    tensors.push(Tensor::floats(format!("{name}.weight_scale"), vec![rows], padded(q.scales.clone())));
    if let Some(bias) = bias {
        tensors.push(Tensor::floats(format!("{name}.bias"), vec![rows], padded(bias)));
    }
}
