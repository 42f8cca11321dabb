//! Writes what one of Piper's voices computes, stage by stage, for `piper_stages.py`:
//! `piper_stages MODEL FOLDER NOISE DURATION_NOISE < CLAUSES`
//!
//! A clause is a line: its symbols' numbers, and maybe `/` and how many frames each lasts. Of clause N every tensor becomes FOLDER/N/NAME.f32, raw
//! little-endian f32, its chunks one after another, the durations FOLDER/N/lasting.u32 and the samples FOLDER/N/vits.samples.f32.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::stdin;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ossicle_kernels::simd::Isa;
use ossicle_models::Options;
use ossicle_models::folder::ModelFolder;
use ossicle_models::vits::{Manner, VitsGraph};
use ossicle_trace::{Step, Tap, Tensor, Values};

/// All values of each tensor.
#[derive(Debug, Default)]
struct Stages(Mutex<BTreeMap<String, Vec<u8>>>);

impl Tap for Stages {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if let Values::F32(values) = tensor.values {
            let mut all = self.0.lock().unwrap();
            all.entry(tensor.op.to_owned()).or_default().extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, out, noise, duration_noise] = args.as_slice() else {
        return Err("usage: piper_stages MODEL FOLDER NOISE DURATION_NOISE < CLAUSES".into());
    };
    let (noise, duration_noise) = (noise.parse()?, duration_noise.parse()?);
    let options = Options { isa: Isa::detect(), threads: 1 };
    let mut voice = VitsGraph::new(ModelFolder::open(&ossicle::models::find(model)?)?, options)?;
    for (number, line) in stdin().lines().enumerate() {
        let line = line?;
        let (symbols, durations) = line.split_once('/').unwrap_or((&line, ""));
        let numbers = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
        let (symbols, durations) = (numbers(symbols)?, numbers(durations)?);
        let stages = Arc::new(Stages::default());
        voice.set_tap(Some(Arc::clone(&stages) as Arc<dyn Tap>));
        let manner =
            Manner { clause: number as u32, noise_scale: Some(noise), noise_scale_duration: Some(duration_noise), ..Manner::default() };
        match durations.is_empty() {
            true => voice.begin(&symbols, manner)?,
            false => voice.begin_with(&symbols, manner, &durations)?,
        };
        let lasting: Vec<u8> = voice.durations().iter().flat_map(|frames| frames.to_le_bytes()).collect();
        while voice.next_chunk()?.is_some() {}
        voice.set_tap(None);
        let folder = Path::new(out).join(number.to_string());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("lasting.u32"), lasting)?;
        for (name, bytes) in &*stages.0.lock().unwrap() {
            fs::write(folder.join(format!("{name}.f32")), bytes)?;
        }
    }
    Ok(())
}
