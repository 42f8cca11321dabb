//! What INT8 costs a codec.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::encodec::{CHUNK_FRAMES, EncodecDecoder, EncodecEncoder};
use ossicle_models::folder::ModelFolder;
use ossicle_models::{GraphError, Options};

use super::Codec;
use crate::{Error, refusal};

/// The INT8 codec next to the float one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Seconds of sound compared.
    pub seconds: f64,
    /// Whether it was a recording, and not made up.
    pub recorded: bool,
    /// How much louder the float decoder's samples are than their difference to the INT8 decoder's, of the same codes, in dB.
    pub decoder: f64,
    /// Share of codes that the INT8 encoder gives as the float encoder does, of the first codebook and of all.
    pub codes: [f64; 2],
}

impl Report {
    /// A table for the model card.
    pub fn markdown(&self) -> String {
        let Self { seconds, recorded, decoder, codes: [first, all] } = self;
        let sound = if *recorded { "recordings" } else { "made-up sound" };
        format!(
            "## What INT8 costs\n\nOver {seconds:.1} s of {sound}:\n\n| | |\n| --- | --- |\n| decoder, signal to difference | {decoder:.1} dB |\n\
             | same code, first codebook | {:.1} % |\n| same code, all | {:.1} % |\n",
            100.0 * first,
            100.0 * all
        )
    }
}

impl Codec {
    /// Runs a model folder of this codec on recordings at its rate, or on a second of made-up sound, and compares.
    ///
    /// # Errors
    /// The runtime does not take the folder, or what it gives is not finite.
    pub fn measure(&self, folder: &Path, recordings: &[Vec<f32>]) -> Result<Report, Error> {
        let refused = |error| Error::unsupported(&self.path, format!("the runtime does not take this model: {}", refusal(error)));
        let made_up = [made_up(self.config.sampling_rate)];
        let (mut signal, mut difference, mut samples) = (0.0, 0.0, 0);
        let (mut same, mut counts) = ([0usize; 2], [0usize; 2]);
        for recording in if recordings.is_empty() { &made_up[..] } else { recordings } {
            let codes = self.codes(&self.latents(recording, &mut |_| {}));
            let frames = self.config.frames(recording.len());
            let float = self.decode(&codes, frames, &mut |_| {});
            let int = decoded(folder, &codes, frames).map_err(refused)?;
            if !int.iter().all(|x| x.is_finite()) {
                return Err(Error::unsupported(&self.path, "the runtime's samples are not finite"));
            }
            signal += float.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            difference += float.iter().zip(&int).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
            let own = encoded(folder, recording).map_err(refused)?;
            let equal = |q: usize| (0..frames).filter(|t| own[t * self.config.num_quantizers + q] == codes[q * frames + t]).count();
            let all: Vec<usize> = (0..self.config.num_quantizers).map(equal).collect();
            same = [same[0] + all[0], same[1] + all.iter().sum::<usize>()];
            counts = [counts[0] + frames, counts[1] + frames * self.config.num_quantizers];
            samples += recording.len();
        }
        Ok(Report {
            seconds: samples as f64 / self.config.sampling_rate as f64,
            recorded: !recordings.is_empty(),
            decoder: 10.0 * (signal / difference.max(f64::MIN_POSITIVE)).log10(),
            codes: [0, 1].map(|i| same[i] as f64 / counts[i].max(1) as f64),
        })
    }
}

/// The samples of codes `[codebooks][frames]`, as the runtime computes them.
pub(super) fn decoded(folder: &Path, codes: &[u32], frames: usize) -> Result<Vec<f32>, GraphError> {
    let mut decoder = EncodecDecoder::new(ModelFolder::open(folder)?, Options { isa: Isa::detect(), threads: 1 }, CHUNK_FRAMES)?;
    let mut samples = vec![];
    for frame in 0..frames {
        let codes: Vec<u32> = codes.chunks_exact(frames).map(|codes| codes[frame]).collect();
        decoder.push(&codes, &mut |chunk| samples.extend_from_slice(chunk))?;
    }
    decoder.finish(&mut |chunk| samples.extend_from_slice(chunk))?;
    Ok(samples)
}

/// The codes of samples, `[frames][codebooks]`, as the runtime computes them.
pub(super) fn encoded(folder: &Path, samples: &[f32]) -> Result<Vec<u32>, GraphError> {
    let mut encoder = EncodecEncoder::new(ModelFolder::open(folder)?, Options { isa: Isa::detect(), threads: 1 }, CHUNK_FRAMES)?;
    let mut codes = vec![];
    encoder.push(samples, &mut |chunk| codes.extend_from_slice(chunk))?;
    encoder.finish(&mut |chunk| codes.extend_from_slice(chunk))?;
    Ok(codes)
}

/// A second of sound: a tone that rises, a knock, and noise.
fn made_up(rate: usize) -> Vec<f32> {
    let mut noise = 1u32;
    let sample = |i: usize| {
        let t = i as f64 / rate as f64;
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(noise) / f64::from(u32::MAX) - 0.5;
        let tone = 0.3 * (std::f64::consts::TAU * (200.0 + 800.0 * t) * t).sin();
        let knock = 0.5 * (-60.0 * (t - 0.5).abs()).exp() * (std::f64::consts::TAU * 1500.0 * t).sin();
        (tone + knock + 0.05 * noise) as f32
    };
    (0..rate).map(sample).collect()
}
