//! Speech from spectra: against its definition in f64, and bit for bit between instruction sets.

use std::f64::consts::{PI, TAU};

use ossicle_frontend::vocoder::*;
use ossicle_kernels::philox::philox;
use ossicle_kernels::simd::Isa;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

const WINDOW: usize = 1200;
const SEED: u64 = 0x1234_5678_9abc_def0;

/// Curves that change from frame to frame, and a pitch that comes and goes.
fn utterance(frames: usize) -> (Vec<f32>, Vec<f32>) {
    let mut state = 99u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let mut spectra = vec![0.0; frames * FRAME_VALUES];
    for frame in spectra.chunks_exact_mut(FRAME_VALUES) {
        for (i, curve) in frame.chunks_exact_mut(CURVE).enumerate() {
            let (offset, range) = [(-1.0, 1.5), (0.0, 2.0), (-3.0, 2.0), (-2.0, 2.0), (0.0, 20.0)][i];
            curve.iter_mut().for_each(|x| *x = offset + range * random());
        }
    }
    let pitch = (0..frames).map(|k| if k % 13 < 3 { -20.0 } else { 180.0 + 3.0 * k as f32 }).collect();
    (spectra, pitch)
}

fn synthesise(isa: Isa, stream: u32, spectra: &[f32], pitch: &[f32]) -> Vec<f32> {
    let mut vocoder = Box::new(Vocoder::new());
    vocoder.start(pitch.len(), SEED, stream).unwrap();
    let (mut samples, mut buffer) = (vec![], vec![f32::NAN; 18 * HOP_SAMPLES]);
    let mut pitch = pitch.chunks(BATCH);
    vocoder.push_pitch(pitch.next().unwrap()).unwrap();
    for batch in spectra.chunks(BATCH * FRAME_VALUES) {
        if let Some(pitch) = pitch.next() {
            vocoder.push_pitch(pitch).unwrap();
        }
        let count = vocoder.run(isa, batch, &mut buffer).unwrap();
        samples.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(vocoder.left(), 0);
    samples
}

/// All harmonics below 11 kHz, added up one by one.
fn pulses(pitch: &[f32]) -> Vec<f64> {
    let at = |frame: i64| pitch[frame.clamp(0, pitch.len() as i64 - 1) as usize];
    let mut phase = 0.0;
    (0..pitch.len() * HOP_SAMPLES)
        .map(|n| {
            // In f32, as how many harmonics there are hangs on the last bit.
            let (frame, half) = ((n / HOP_SAMPLES) as i64, n % HOP_SAMPLES < HOP_SAMPLES / 2);
            let part = ((n % HOP_SAMPLES) as f32 + 0.5) / HOP_SAMPLES as f32 + if half { 0.5 } else { -0.5 };
            let before = if half { frame - 1 } else { frame };
            let hertz = at(before) * (1.0 - part) + at(before + 1) * part;
            phase = (phase + f64::from(hertz.max(40.0)) / f64::from(SAMPLE_RATE)).fract();
            let harmonics = if hertz > 40.0 { (11_000.0 / hertz) as usize } else { 0 };
            (1..=harmonics).map(|h| (TAU * h as f64 * phase).cos()).sum()
        })
        .collect()
}

/// The definition, in f64.
fn reference(stream: u32, spectra: &[f32], pitch: &[f32]) -> Vec<f64> {
    let frames = pitch.len();
    let (source, length) = (pulses(pitch), (frames * HOP_SAMPLES) as i64);
    let hann: Vec<f64> = (0..WINDOW).map(|n| 0.5 - 0.5 * (TAU * n as f64 / WINDOW as f64).cos()).collect();
    let mut planner = FftPlanner::new();
    let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
    let (mut sums, mut windows) = (vec![0.0; frames * HOP_SAMPLES + WINDOW], vec![0.0; frames * HOP_SAMPLES + WINDOW]);
    for frame in 0..frames {
        let mirrored = |n: i64| {
            source[if n < 0 {
                -n
            } else if n >= length {
                2 * (length - 1) - n
            } else {
                n
            } as usize]
        };
        let first = (frame * HOP_SAMPLES) as i64 - WINDOW as i64 / 2;
        let mut z: Vec<_> = (0..WINDOW).map(|n| Complex::new(mirrored(first + n as i64) * hann[n] / 300.0, 0.0)).collect();
        forward.process(&mut z);
        for bin in 0..=WINDOW / 2 {
            let curve = |i: usize| f64::from(spectra[frame * FRAME_VALUES + i * CURVE + bin]);
            let words = philox([(bin % (CURVE / 2)) as u32, frame as u32, stream, 0], [SEED as u32, (SEED >> 32) as u32]);
            let words = if bin < CURVE / 2 { [words[0], words[1]] } else { [words[2], words[3]] };
            let radius = (-2.0 * ((f64::from(words[0] >> 8) + 0.5) / f64::from(1 << 24)).ln()).sqrt();
            let noise = Complex::from_polar(radius, TAU * f64::from(words[1]) / 2f64.powi(32));
            let magnitude = |log: f64| log.min(7.0).exp();
            let value = z[bin] * Complex::from_polar(magnitude(curve(0)), PI * curve(1).tanh())
                + noise * magnitude(curve(2))
                + Complex::from_polar(magnitude(curve(3)), curve(4));
            z[bin] = if bin % (WINDOW / 2) == 0 { Complex::new(value.re, 0.0) } else { value };
            z[(WINDOW - bin) % WINDOW] = z[bin].conj();
        }
        inverse.process(&mut z);
        for n in 0..WINDOW {
            sums[frame * HOP_SAMPLES + n] += z[n].re / WINDOW as f64 * hann[n];
            windows[frame * HOP_SAMPLES + n] += hann[n] * hann[n];
        }
    }
    (0..frames * HOP_SAMPLES).map(|n| sums[n + WINDOW / 2] / windows[n + WINDOW / 2]).collect()
}

#[test]
fn samples_are_those_of_the_definition() {
    for frames in [4, 16, 17, 33, 48, 61] {
        let (spectra, pitch) = utterance(frames);
        let (got, want) = (synthesise(Isa::detect(), 3, &spectra, &pitch), reference(3, &spectra, &pitch));
        assert_eq!(got.len(), want.len());
        let peak = want.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let error = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        println!("{frames} frames: off by {:.1e} of the peak", error / peak);
        assert!(peak > 0.01 && error < 2e-5 * peak, "{frames} frames: off by {:.1e} of the peak {peak}", error / peak);
    }
}

#[test]
fn every_instruction_set_has_the_same_bits() {
    let (spectra, pitch) = utterance(37);
    let bits = |isa, stream| synthesise(isa, stream, &spectra, &pitch).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let first = bits(Isa::detect(), 0);
    for isa in Isa::available() {
        assert_eq!(bits(isa, 0), first, "{isa}");
    }
    assert_ne!(bits(Isa::detect(), 1), first, "another stream has other noise");
}

#[test]
fn an_utterance_leaves_nothing_behind() {
    let (spectra, pitch) = utterance(20);
    let alone = synthesise(Isa::detect(), 0, &spectra, &pitch);
    let mut vocoder = Box::new(Vocoder::new());
    let mut buffer = vec![0.0; 18 * HOP_SAMPLES];
    vocoder.start(30, 1, 9).unwrap();
    vocoder.push_pitch(&[300.0; 30]).unwrap();
    vocoder.run(Isa::detect(), &vec![1.0; BATCH * FRAME_VALUES], &mut buffer).unwrap();
    vocoder.start(20, SEED, 0).unwrap();
    vocoder.push_pitch(&pitch).unwrap();
    let mut samples = vec![];
    for batch in spectra.chunks(BATCH * FRAME_VALUES) {
        let count = vocoder.run(Isa::detect(), batch, &mut buffer).unwrap();
        samples.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(samples, alone);
}

#[test]
fn extreme_curves_stay_finite() {
    for value in [f32::MAX, f32::MIN, 1e9, -1e9, 88.0] {
        let samples = synthesise(Isa::detect(), 0, &vec![value; 20 * FRAME_VALUES], &[value; 20]);
        assert!(samples.iter().all(|x| x.is_finite()), "{value}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let isa = Isa::detect();
    let mut vocoder = Box::new(Vocoder::new());
    assert_eq!(vocoder.start(3, 0, 0), Err(VocoderError::Short { frames: 3 }));
    assert!(vocoder.push_pitch(&[100.0]).is_err() && vocoder.run(isa, &[], &mut []).is_err());
    vocoder.start(20, 0, 0).unwrap();
    let (spectra, mut out) = (vec![0.0; 20 * FRAME_VALUES], vec![0.0; 18 * HOP_SAMPLES]);
    assert_eq!(vocoder.push_pitch(&[100.0; 21]), Err(VocoderError::Pitch { have: 21, need: 20 }));
    vocoder.push_pitch(&[100.0; 17]).unwrap();
    let batch = &spectra[..BATCH * FRAME_VALUES];
    assert_eq!(vocoder.run(isa, batch, &mut out), Err(VocoderError::Pitch { have: 17, need: 18 }));
    vocoder.push_pitch(&[100.0; 3]).unwrap();
    for wrong in [&spectra[..], &spectra[..FRAME_VALUES], &batch[1..], &[]] {
        assert_eq!(vocoder.run(isa, wrong, &mut out), Err(VocoderError::Frames { values: wrong.len() }));
    }
    assert_eq!(vocoder.run(isa, batch, &mut out[..10]), Err(VocoderError::Output { have: 10, need: 14 * HOP_SAMPLES }));
    assert_eq!(vocoder.run(isa, batch, &mut out), Ok(14 * HOP_SAMPLES));
    assert_eq!(vocoder.run(isa, &spectra[16 * FRAME_VALUES..], &mut out), Ok(6 * HOP_SAMPLES));
    assert_eq!(vocoder.run(isa, batch, &mut out), Err(VocoderError::Frames { values: batch.len() }));
}
