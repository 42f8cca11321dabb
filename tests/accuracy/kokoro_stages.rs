//! Writes what Kokoro computes, stage by stage, for `kokoro_stages.py`: `kokoro_stages MODEL FOLDER VOICE < PIECES`
//!
//! A piece is a line: its phonemes' numbers, those around it included, and maybe `/` and how many frames each lasts. Of piece N every tensor becomes
//! FOLDER/N/NAME.f32, raw little-endian f32, and the durations FOLDER/N/lasting.u32.

use std::error::Error;
use std::fs;
use std::io::stdin;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::kokoro::KokoroGraph;
use ossicle_trace::{Step, Tap, Tensor, Values};

/// Writes each tensor.
#[derive(Debug)]
struct Stages(PathBuf);

impl Tap for Stages {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if let Values::F32(values) = tensor.values {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::write(self.0.join(format!("{}.f32", tensor.op)), bytes).expect("a tensor's file");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, out, name] = args.as_slice() else { return Err("usage: kokoro_stages MODEL FOLDER VOICE < PIECES".into()) };
    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut voice = KokoroGraph::new(ModelFolder::open(&ossicle::models::find(model)?)?, options)?;
    voice.choose(&[(name.as_str(), 1.0)])?;
    for (number, line) in stdin().lines().enumerate() {
        let line = line?;
        let (phonemes, durations) = line.split_once('/').unwrap_or((&line, ""));
        let numbers = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
        let (phonemes, durations) = (numbers(phonemes)?, numbers(durations)?);
        let folder = Path::new(out).join(number.to_string());
        fs::create_dir_all(&folder)?;
        voice.set_tap(Some(Arc::new(Stages(folder.clone()))));
        match durations.is_empty() {
            true => voice.begin(&phonemes, 1.0)?,
            false => voice.begin_with(&phonemes, &durations)?,
        };
        let lasting: Vec<u8> = voice.durations().iter().flat_map(|frames| frames.to_le_bytes()).collect();
        fs::write(folder.join("lasting.u32"), lasting)?;
        voice.run()?;
        voice.set_tap(None);
    }
    Ok(())
}
