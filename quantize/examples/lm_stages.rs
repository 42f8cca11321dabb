//! Writes what every layer of a language model over codes gives, for `tests/accuracy/generation.py`: `lm_stages SOURCE TOKENS TEXT FOLDER`
//!
//! TOKENS is raw little-endian u32, `[steps][codebooks]`, TEXT a description's rows as raw f32. Into FOLDER go `LAYER.f32` of the float model with
//! the description, `with.f32` and `without.f32`, its logits, `int8.f32`, the runtime's (`[steps][2][codebooks][codes]`), and the model folder.

use std::error::Error;
use std::fs;
use std::path::Path;

use ossicle_quantize::audiogen::LanguageModel;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, tokens, text, out] = &args[..] else { return Err("usage: lm_stages SOURCE TOKENS TEXT FOLDER".into()) };
    let out = Path::new(out);
    fs::create_dir_all(out.join("model"))?;
    let tokens: Vec<u32> = fs::read(tokens)?.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let text: Vec<f32> = fs::read(text)?.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let write = |name: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(out.join(format!("{name}.f32")), bytes)
    };
    let model = LanguageModel::open(Path::new(source))?;
    let mut stages = vec![];
    let with = model.logits(&tokens, &text, &mut |stage| stages.push(stage));
    for stage in &stages {
        write(&stage.name, &stage.values)?;
    }
    write("with", &with)?;
    write("without", &model.logits(&tokens, &[], &mut |_| {}))?;
    let folder = out.join("model");
    let _ = fs::remove_file(folder.join("model.safetensors"));
    model.put(&folder)?;
    write("int8", &model.run(&folder, &tokens, &text)?)?;
    Ok(())
}
