//! Writes the encoder's output of recordings, for `encoder_cosine.py`: `encoder_output MODEL FOLDER FILE...`
//!
//! Each file's first 30 s become FOLDER/STEM.f32: raw little-endian f32, `[1500][d_model]`.

use std::error::Error;
use std::path::Path;

use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle_frontend::mel::{LogMel, MelScratch, WINDOW_FRAMES};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{Options, WhisperGraph};

const WINDOW_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(out)) = (args.next(), args.next()) else { return Err("usage: encoder_output MODEL FOLDER FILE...".into()) };
    std::fs::create_dir_all(&out)?;
    let isa = Isa::detect();
    let mut graph = WhisperGraph::new(ModelFolder::open(&ossicle::models::find(&model)?)?, Options { isa, threads: 1 })?;
    let bins = graph.config().num_mel_bins;
    let log_mel = LogMel::new(isa, bins).map_err(|error| format!("{error:?}"))?;
    let mut scratch = Box::<MelScratch>::default();
    let mut mel = vec![0.0; WINDOW_FRAMES * bins];
    for file in args {
        let mut samples = AudioReader::open_with(&file, isa)?.read_to_end()?;
        samples.truncate(WINDOW_SAMPLES);
        log_mel.window(&samples, 0, &mut mel, &mut scratch).map_err(|error| format!("{error:?}"))?;
        graph.encode(&mel, WINDOW_FRAMES)?;
        let bytes: Vec<u8> = graph.encoder_output().iter().flat_map(|value| value.to_le_bytes()).collect();
        let stem = Path::new(&file).file_stem().ok_or("a file without a name")?;
        std::fs::write(Path::new(&out).join(stem).with_extension("f32"), bytes)?;
    }
    Ok(())
}
