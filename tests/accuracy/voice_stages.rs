//! Writes what a voice computes, stage by stage, for `voice_stages.py`: `voice_stages MODEL FOLDER < CLAUSES`
//!
//! A clause is a line: its phonemes' numbers, and maybe `/` and how many prosody frames each lasts. Of clause N every tensor becomes
//! FOLDER/N/NAME.f32, raw little-endian f32, its chunks one after another, the durations FOLDER/N/lasting.u32 and the samples
//! FOLDER/N/samples.f32.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::stdin;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ossicle_frontend::vocoder::{BATCH, FRAME_VALUES, HOP_SAMPLES, Vocoder};
use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::hibari::HibariGraph;
use ossicle_trace::{Step, Tap, Tensor, Values};

/// All values of each tensor.
#[derive(Debug, Default)]
struct Stages(Mutex<BTreeMap<String, Vec<u8>>>);

impl Tap for Stages {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        let name = [tensor.op, tensor.part].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        if let Values::F32(values) = tensor.values {
            self.0.lock().unwrap().entry(name).or_default().extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(out)) = (args.next(), args.next()) else { return Err("usage: voice_stages MODEL FOLDER < CLAUSES".into()) };
    let isa = Isa::detect();
    let mut voice = HibariGraph::new(ModelFolder::open(&ossicle::models::find(&model)?)?, Options { isa, threads: 1 })?;
    let mut vocoder = Box::new(Vocoder::new());
    let mut hops = vec![0.0; (BATCH + 2) * HOP_SAMPLES];
    for (number, line) in stdin().lines().enumerate() {
        let line = line?;
        let (phonemes, durations) = line.split_once('/').unwrap_or((&line, ""));
        let numbers = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
        let (phonemes, durations) = (numbers(phonemes)?, numbers(durations)?);
        let stages = Arc::new(Stages::default());
        voice.set_tap(Some(Arc::clone(&stages) as Arc<dyn Tap>));
        let frames = if durations.is_empty() { voice.begin(&phonemes, 1.0)? } else { voice.begin_with(&phonemes, &durations)? };
        let lasting: Vec<u8> = voice.durations().iter().flat_map(|frames| frames.to_le_bytes()).collect();
        vocoder.start(frames, 0, number as u32)?;
        let mut samples: Vec<u8> = vec![];
        while let Some(chunk) = voice.next()? {
            vocoder.push_pitch(chunk.pitch)?;
            for batch in chunk.spectra.chunks(BATCH * FRAME_VALUES) {
                let count = vocoder.run(isa, batch, &mut hops)?;
                samples.extend(hops[..count].iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        voice.set_tap(None);
        let folder = Path::new(&out).join(number.to_string());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("lasting.u32"), lasting)?;
        fs::write(folder.join("samples.f32"), samples)?;
        for (name, bytes) in &*stages.0.lock().unwrap() {
            fs::write(folder.join(format!("{name}.f32")), bytes)?;
        }
    }
    Ok(())
}
