//! Writes what every layer of a T5 encoder gives, for `tests/accuracy/generation.py`: `t5_stages SOURCE TOKENS FOLDER`
//!
//! TOKENS is raw little-endian u32. Into FOLDER go `LAYER.f32` and `rows.f32` of the float encoder, `int8.f32` of the runtime, and the model folder
//! without a tokenizer.

use std::error::Error;
use std::fs;
use std::path::Path;

use ossicle_quantize::t5::Encoder;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, tokens, out] = &args[..] else { return Err("usage: t5_stages SOURCE TOKENS FOLDER".into()) };
    let out = Path::new(out);
    let folder = out.join("model");
    fs::create_dir_all(&folder)?;
    let tokens: Vec<u32> = fs::read(tokens)?.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let write = |name: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(out.join(format!("{name}.f32")), bytes)
    };
    let encoder = Encoder::open_without_tokenizer(Path::new(source))?;
    let mut stages = vec![];
    write("rows", &encoder.rows(&tokens, &mut |stage| stages.push(stage)))?;
    for stage in &stages {
        write(&stage.name, &stage.values)?;
    }
    let _ = fs::remove_file(folder.join("model.safetensors"));
    encoder.put(&folder)?;
    write("int8", &encoder.run(&folder, &tokens)?)?;
    Ok(())
}
