//! `cargo xtask onnx`: exported layers in ONNX Runtime.

use std::process::Command;

use anyhow::Context;

use crate::process::execute;

/// Wide, deep, and stacked from three: one layer of each shape.
const LAYERS: [&str; 4] =
    ["model.encoder.conv1", "model.encoder.layers.0.fc1", "model.encoder.layers.1.fc2", "model.decoder.layers.2.self_attn.qkv"];

/// The other runtime, in the version that was compared.
const RUNTIME: (&str, &str) = ("onnxruntime", "1.31.1");

/// Exports layers of the bundled model and compares ONNX Runtime's results with our kernels', bit for bit.
///
/// # Errors
/// Python, pip or the runtime cannot be had, or a value differs.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    let (packages, layers) = (root.join("target/python"), root.join("target/onnx"));
    let complete = packages.join(format!("{}-{}.dist-info/RECORD", RUNTIME.0, RUNTIME.1));
    if !complete.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--only-binary", ":all:", "--target"]).arg(&packages);
        let requirement = format!("{}=={}", RUNTIME.0, RUNTIME.1);
        execute(pip.args([&requirement, "numpy"])).with_context(|| format!("pip install {requirement} numpy"))?;
    }
    let mut export = Command::new(crate::built::example("ossicle-quantize", "onnx_layer")?);
    execute(export.current_dir(&root).arg("models-int8/whisper-tiny.en").arg(&layers).args(LAYERS))?;
    execute(Command::new("python3").env("PYTHONPATH", &packages).arg(root.join("tests/onnx/layer.py")).arg(&layers))
}
