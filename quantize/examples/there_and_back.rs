//! Recordings through a codec of spectra, for `tests/accuracy/effects_codec.py`: `there_and_back MODEL FOLDER FILE...`
//!
//! Into FOLDER go, of each FILE, `NAME.wav` as it comes back and `NAME.u32`, its codes as raw little-endian u32, `[frames][codebooks]`.

use std::error::Error;
use std::fs;
use std::path::Path;

use ossicle::audio::AudioReader;
use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::spectral::{SpectralDecoder, SpectralEncoder};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, out, files @ ..] = &args[..] else { return Err("usage: there_and_back MODEL FOLDER FILE...".into()) };
    let (model, out, options) = (Path::new(model), Path::new(out), Options { isa: Isa::detect(), threads: 1 });
    fs::create_dir_all(out)?;
    let mut encoder = SpectralEncoder::new(ModelFolder::open(model)?, options)?;
    let mut decoder = SpectralDecoder::new(ModelFolder::open(model)?, options)?;
    let books = decoder.config().num_quantizers;
    for file in files {
        let samples = AudioReader::open_with(file, options.isa)?.read_to_end()?;
        let (mut codes, mut back) = (vec![], vec![]);
        encoder.push(&samples, &mut |frames| codes.extend_from_slice(frames))?;
        encoder.finish(&mut |frames| codes.extend_from_slice(frames))?;
        decoder.reset(0);
        for frame in codes.chunks_exact(books) {
            decoder.push(frame, &mut |samples| back.extend_from_slice(samples))?;
        }
        decoder.finish(&mut |samples| back.extend_from_slice(samples))?;
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(out.join(format!("{name}.wav")), spec)?;
        for sample in &back[..samples.len().min(back.len())] {
            writer.write_sample((sample * 32_767.0).clamp(-32_768.0, 32_767.0).round() as i16)?;
        }
        writer.finalize()?;
        let bytes: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
        fs::write(out.join(format!("{name}.u32")), bytes)?;
    }
    Ok(())
}
