//! Writes what every layer of a codec gives, for `tests/accuracy/generation.py`: `codec_stages SOURCE CODES SAMPLES FOLDER`
//!
//! CODES is raw little-endian u32, `[codebooks][frames]`, SAMPLES raw f32. Into FOLDER go `LAYER.f32` of the float codec (`[channels][rows]`; its
//! decoder on CODES, its encoder on SAMPLES), `codes.u32` of the float encoder, `int8.f32` and `int8.u32` of the runtime, and the model folder.

use std::error::Error;
use std::fs;
use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::encodec::{CHUNK_FRAMES, EncodecDecoder, EncodecEncoder};
use ossicle_models::folder::ModelFolder;
use ossicle_quantize::encodec::{Codec, Task};

fn bytes<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, codes, samples, out] = &args[..] else { return Err("usage: codec_stages SOURCE CODES SAMPLES FOLDER".into()) };
    let out = Path::new(out);
    fs::create_dir_all(out)?;
    let codes: Vec<u32> = fs::read(codes)?.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    let samples: Vec<f32> = fs::read(samples)?.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let codec = Codec::open(Path::new(source))?;
    let frames = codes.len() / codec.config().num_quantizers;
    let mut stages = vec![];
    codec.decode(&codes, frames, &mut |stage| stages.push(stage));
    let latents = codec.latents(&samples, &mut |stage| stages.push(stage));
    for stage in &stages {
        fs::write(out.join(format!("{}.f32", stage.name)), bytes(&stage.values, f32::to_le_bytes))?;
    }
    fs::write(out.join("codes.u32"), bytes(&codec.codes(&latents), u32::to_le_bytes))?;
    let model = out.join("model");
    let report = codec.write(&model, &Task { force: true, ..Task::default() })?;
    print!("{}", report.markdown());

    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut decoder = EncodecDecoder::new(ModelFolder::open(&model)?, options, CHUNK_FRAMES)?;
    let mut decoded = vec![];
    for frame in 0..frames {
        let codes: Vec<u32> = codes.chunks_exact(frames).map(|codes| codes[frame]).collect();
        decoder.push(&codes, &mut |chunk| decoded.extend_from_slice(chunk))?;
    }
    decoder.finish(&mut |chunk| decoded.extend_from_slice(chunk))?;
    fs::write(out.join("int8.f32"), bytes(&decoded, f32::to_le_bytes))?;
    let mut encoder = EncodecEncoder::new(ModelFolder::open(&model)?, options, CHUNK_FRAMES)?;
    let mut encoded = vec![];
    encoder.push(&samples, &mut |codes| encoded.extend_from_slice(codes))?;
    encoder.finish(&mut |codes| encoded.extend_from_slice(codes))?;
    fs::write(out.join("int8.u32"), bytes(&encoded, u32::to_le_bytes))?;
    Ok(())
}
