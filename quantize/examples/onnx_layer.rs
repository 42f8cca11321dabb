//! Exports linear layers of a model as ONNX, with inputs and what our kernels make of them: `onnx_layer MODEL FOLDER LAYER...`
//!
//! Each layer becomes FOLDER/LAYER.onnx, FOLDER/LAYER.x.f32 and FOLDER/LAYER.y.f32 (raw little-endian, row after row); `layer.py` compares.

use std::error::Error;
use std::fs;
use std::path::Path;

use ossicle_kernels::dot::Blocks;
use ossicle_kernels::linear::{Finish, Linear, linear};
use ossicle_kernels::rows::{QuantRows, quantize_rows};
use ossicle_kernels::simd::Isa;
use ossicle_quantize::onnx;
use ossicle_quantize::pack::{QuantizedRows, unpack};
use safetensors::SafeTensors;

const ROWS: usize = 67;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, layers @ ..] = args.as_slice() else { return Err("usage: onnx_layer MODEL FOLDER LAYER...".into()) };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let file = fs::read(Path::new(model).join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&file)?;
    for layer in layers {
        let floats = |part: &str| -> Result<Vec<f32>, Box<dyn Error>> {
            let bytes = tensors.tensor(&format!("{layer}.{part}"))?.data();
            Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        };
        let (scales, bias) = (floats("weight_scale")?, floats("bias")?);
        let packed: Vec<i8> = tensors.tensor(&format!("{layer}.weight"))?.data().iter().map(|&byte| byte as i8).collect();
        let (rows, inputs) = (scales.len(), packed.len() / scales.len());
        let weight = QuantizedRows { rows, inputs, values: unpack(&packed, rows, inputs), scales };
        fs::write(folder.join(format!("{layer}.onnx")), onnx::linear(layer, &weight, &bias))?;

        let x = inputs_of(inputs);
        let (mut q, mut row_scales, mut sums) = (vec![0; x.len()], vec![0.0; ROWS], vec![0; ROWS]);
        let mut quantized = QuantRows::new(&mut q, &mut row_scales, &mut sums, ROWS, inputs);
        let isa = Isa::detect();
        quantize_rows(isa, &x, inputs, inputs, &mut quantized);
        let ours = Linear { weights: Blocks::new(&packed, inputs), scales: &weight.scales, bias: &bias };
        let mut y = vec![0.0; ROWS * rows];
        linear(isa, quantized.as_rows(), quantized.scales, &ours, Finish::Store, &mut y);
        for (part, values) in [("x", x), ("y", y)] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::write(folder.join(format!("{layer}.{part}.f32")), bytes)?;
        }
    }
    Ok(())
}

/// Rows of every magnitude, among them zeros, next to nothing, and values that lie halfway between two steps.
fn inputs_of(width: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let row = |row: usize| match row {
        0 => 0.0,
        1 => 1e-31,
        2 => -1e-29,
        row => 10f32.powi(row as i32 % 13 - 6),
    };
    let mut x: Vec<f32> = (0..ROWS * width).map(|i| noise() * row(i / width)).collect();
    let halves = &mut x[3 * width..4 * width];
    for (i, value) in halves.iter_mut().enumerate() {
        *value = (i % 255) as f32 / 2.0 - 63.5;
    }
    halves[0] = 127.0;
    x
}
