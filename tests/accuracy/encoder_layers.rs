//! Writes what every layer of the encoder leaves of recordings, for `whisper_events.py`: `encoder_layers MODEL MARGIN FOLDER FILE...`
//!
//! Each file's first 30 s, heard in a window of its length and MARGIN seconds, become FOLDER/STEM.f32: raw little-endian f32,
//! `[layers + 2][positions of the recording][d_model]`: the convolutions', each layer's, and the normalised output.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle_frontend::mel::{LogMel, MelScratch, WINDOW_FRAMES};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{Options, WhisperGraph};
use ossicle_trace::{Step, Tap, Tensor, Values};

const WINDOW_SAMPLES: usize = 30 * SAMPLE_RATE as usize;
/// Samples of one position of the encoder.
const POSITION: usize = 320;
/// Windows are multiples of this many frames.
const STEP: usize = 10;

/// Keeps the outputs of the convolutions, layers and the last norm.
#[derive(Debug, Default)]
struct Layers(Mutex<(usize, Vec<u8>)>);

impl Tap for Layers {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if let ("ConvStem" | "FeedForward" | "LayerNorm", true, Values::F32(values)) =
            (tensor.kernel, tensor.op.starts_with("encoder."), tensor.values)
        {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let values = &values[..kept.0 * tensor.shape[1]];
            kept.1.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(margin), Some(out)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: encoder_layers MODEL MARGIN FOLDER FILE...".into());
    };
    let margin = (margin.parse::<f32>()? * 100.0) as usize;
    std::fs::create_dir_all(&out)?;
    let isa = Isa::detect();
    let mut graph = WhisperGraph::new(ModelFolder::open(&ossicle::models::find(&model)?)?, Options { isa, threads: 1 })?;
    let layers = Arc::new(Layers::default());
    graph.set_tap(Some(layers.clone()));
    let bins = graph.config().num_mel_bins;
    let log_mel = LogMel::new(isa, bins).map_err(|error| format!("{error:?}"))?;
    let mut scratch = Box::<MelScratch>::default();
    let mut mel = vec![0.0; WINDOW_FRAMES * bins];
    for file in args {
        let mut samples = AudioReader::open_with(&file, isa)?.read_to_end()?;
        samples.truncate(WINDOW_SAMPLES);
        let positions = samples.len().div_ceil(POSITION);
        let frames = (2 * positions + margin).next_multiple_of(STEP).min(WINDOW_FRAMES);
        let mel = &mut mel[..frames * bins];
        log_mel.window(&samples, 0, mel, &mut scratch).map_err(|error| format!("{error:?}"))?;
        *layers.0.lock().unwrap_or_else(PoisonError::into_inner) = (positions, Vec::new());
        graph.encode(mel, frames)?;
        let stem = Path::new(&file).file_stem().ok_or("a file without a name")?;
        let kept = std::mem::take(&mut *layers.0.lock().unwrap_or_else(PoisonError::into_inner));
        std::fs::write(Path::new(&out).join(stem).with_extension("f32"), kept.1)?;
    }
    Ok(())
}
