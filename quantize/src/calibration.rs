//! Audio that stands for what a model will hear: recordings given by the caller, or a fixed synthetic set.

use std::f32::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};

use ossicle::audio::{AudioReader, ENDINGS, SAMPLE_RATE};
use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_kernels::simd::Isa;

use crate::Error;

/// A piece of 16 kHz mono audio.
#[derive(Clone, Debug)]
pub struct Clip {
    /// File name, or what was synthesised.
    pub name: String,
    /// Samples in [-1, 1].
    pub samples: Vec<f32>,
}

impl Clip {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE)
    }

    /// Whisper's log-mel of the clip's first `frames` frames, frame-major, silence behind its end.
    ///
    /// # Errors
    /// The frontend has no filters for `bins` mel bins.
    pub fn mel(&self, bins: usize, frames: usize) -> Result<Vec<f32>, Error> {
        const HOP: usize = 160;
        let refused = |e| Error::unsupported(Path::new(&self.name), format!("log-mel: {e}"));
        let mut out = vec![0.0; bins * frames];
        let samples = &self.samples[..self.samples.len().min(frames * HOP)];
        let frontend = LogMel::new(Isa::detect(), bins).map_err(refused)?;
        frontend.window(samples, 0, &mut out, &mut Box::new(MelScratch::new())).map_err(refused)?;
        Ok(out)
    }
}

/// Reads up to `limit` recordings, evenly spread over all files named and all recordings below the folders named, sorted by path.
///
/// # Errors
/// Nothing to read, or a file that is no recording.
pub fn read(paths: &[PathBuf], limit: usize) -> Result<Vec<Clip>, Error> {
    files(paths, limit, "recording", &ENDINGS)?.iter().map(|path| clip(path)).collect()
}

/// Up to `limit` files, evenly spread over all files named and all with these endings below the folders named, sorted by path.
///
/// # Errors
/// There are none, or a folder cannot be read.
pub(crate) fn files(paths: &[PathBuf], limit: usize, what: &str, endings: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { search(path, endings, &mut files)? } else { files.push(path.clone()) }
    }
    files.sort_unstable();
    if files.is_empty() {
        let path = paths.first().cloned().unwrap_or_default();
        return Err(Error::unsupported(&path, format!("no {what} here: expected {}", endings.join(", "))));
    }
    let take = limit.clamp(1, files.len());
    Ok((0..take).map(|i| files[i * files.len() / take].clone()).collect())
}

fn search(folder: &Path, endings: &[&str], files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let io = |e| Error::io(folder, e);
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        // Links are not followed: they may lead round in circles.
        if entry.file_type().map_err(io)?.is_dir() {
            search(&path, endings, files)?;
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| endings.contains(&e)) {
            files.push(path);
        }
    }
    Ok(())
}

fn clip(path: &Path) -> Result<Clip, Error> {
    let refused = |e| Error::unsupported(path, format!("{e}"));
    let samples = AudioReader::open(path).and_then(|mut r| r.read_to_end()).map_err(refused)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Clip { name, samples })
}

/// The first samples of a recording, at most `most`, and whether there are more; what is behind them is not decoded.
///
/// # Errors
/// It is no recording.
pub(crate) fn beginning(path: &Path, most: usize) -> Result<(Vec<f32>, bool), Error> {
    let refused = |e| Error::unsupported(path, format!("{e}"));
    let mut reader = AudioReader::open(path).map_err(refused)?;
    let (mut samples, mut block) = (vec![], vec![0.0; SAMPLE_RATE as usize]);
    loop {
        let read = reader.read(&mut block).map_err(refused)?;
        let room = most - samples.len();
        samples.extend_from_slice(&block[..read.min(room)]);
        if read == 0 || read > room {
            return Ok((samples, read > room));
        }
    }
}

/// Four clips of buzzing vowels over noise, always the same: they exercise every layer, but are no speech. Figures from real recordings
/// are worth more.
pub fn synthetic() -> Vec<Clip> {
    // Pitch in Hz, formants in Hz, noise level, seconds.
    let voices = [
        (110.0, [700.0, 1200.0, 2600.0], 0.001, 4.0),
        (190.0, [300.0, 2200.0, 3000.0], 0.003, 7.0),
        (140.0, [450.0, 900.0, 2400.0], 0.02, 11.0),
        (240.0, [550.0, 1800.0, 2700.0], 0.06, 20.0),
    ];
    let clip = |(i, (pitch, formants, noise, seconds))| Clip {
        name: format!("synthetic {}", i + 1),
        samples: voice(pitch, formants, noise, seconds),
    };
    voices.into_iter().enumerate().map(clip).collect()
}

fn voice(pitch: f32, formants: [f32; 3], noise: f32, seconds: f32) -> Vec<f32> {
    let rate = SAMPLE_RATE as f32;
    let mut seed = 0x2545_f491u32;
    let mut phase = 0.0f32;
    (0..(seconds * rate) as usize)
        .map(|n| {
            let t = n as f32 / rate;
            // Syllables at 4 Hz, sentences of 2.5 s with pauses, a slow sweep of pitch and formants.
            let syllable = (TAU * 4.0 * t).sin().max(0.0) * f32::from((t % 3.0) < 2.5);
            let sweep = (TAU * 0.7 * t).sin();
            phase = (phase + pitch * (1.0 + 0.15 * sweep) / rate).fract();
            let harmonic = |h: usize| {
                let f = h as f32 * pitch;
                let gain = |formant: f32| (-((f - formant * (1.0 + 0.2 * sweep)) / 200.0).powi(2)).exp();
                let level: f32 = formants.iter().map(|formant| gain(*formant)).sum();
                level * (TAU * phase * h as f32).sin() / (1.0 + 0.1 * h as f32)
            };
            let buzz: f32 = (1..30).map(harmonic).sum();
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
            (0.25 * syllable * buzz + noise * hiss).clamp(-1.0, 1.0)
        })
        .collect()
}
