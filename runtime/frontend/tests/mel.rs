//! Log-mel features: against openai-whisper's, and bit for bit between instruction sets, batch, single frame and stream.

use std::path::Path;

use ossicle_frontend::mel::*;
use ossicle_frontend::samples::from_i16;
use ossicle_kernels::simd::Isa;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn chirp() -> Vec<f32> {
    let pcm: Vec<i16> = golden("chirp.i16").as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
    let mut samples = vec![0.0; pcm.len()];
    from_i16(&pcm, &mut samples);
    samples
}

fn noise(len: usize) -> Vec<f32> {
    let mut state = 7u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 0.1
        })
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn log10_frames(mel: &LogMel, samples: &[f32], start: usize, frames: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; frames * mel.bins()];
    mel.log10_frames(samples, start, &mut out, &mut Box::new(MelScratch::new())).unwrap();
    out
}

/// Sample `at`, mirrored before the start and silent behind the end: the definition.
fn sample(samples: &[f32], at: i64) -> f32 {
    samples.get(at.unsigned_abs() as usize).copied().unwrap_or(0.0)
}

#[test]
fn golden_features_of_openai_whisper() {
    let samples = chirp();
    for isa in Isa::available() {
        for bins in [80, 128] {
            let wanted: Vec<f32> = golden(&format!("chirp.mel{bins}")).as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            let mut got = vec![0.0; 3000 * bins];
            LogMel::new(isa, bins).unwrap().window(&samples, 0, &mut got, &mut Box::new(MelScratch::new())).unwrap();
            let error = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{isa}, {bins} bins: at most {error:.1e} off");
            assert_eq!(wanted.len(), samples.len() / HOP_SAMPLES * bins);
            assert!(error < 1e-4, "{isa}, {bins} bins: {error}");
        }
    }
}

#[test]
fn every_path_has_the_same_bits() {
    let samples = noise(16_000);
    for bins in [80, 128] {
        let definition = LogMel::new(Isa::from_name("scalar").unwrap(), bins).unwrap();
        for start in [0, 1, 100, 159, 160, 201, 4321, 15_990] {
            let frames = 110;
            let mut wanted = vec![0.0; frames * bins];
            let mut scratch = FrameScratch::new();
            for (t, out) in wanted.chunks_mut(bins).enumerate() {
                let first = (start + t * HOP_SAMPLES) as i64 - LEAD_SAMPLES as i64;
                let frame = std::array::from_fn(|n| sample(&samples, first + n as i64));
                definition.log10_frame(&frame, out, &mut scratch).unwrap();
            }
            for isa in Isa::available() {
                let mel = LogMel::new(isa, bins).unwrap();
                for frames in [0, 1, 15, 16, 17, 110] {
                    let got = log10_frames(&mel, &samples, start, frames);
                    assert_eq!(bits(&got), bits(&wanted[..frames * bins]), "{isa}, {bins} bins, {frames} frames from {start}");
                }
            }
        }
    }
}

#[test]
fn single_frames_have_the_same_bits_on_every_isa() {
    let samples = noise(FRAME_SAMPLES);
    let frame = samples.first_chunk().unwrap();
    for bins in [80, 128] {
        let all: Vec<_> = Isa::available()
            .map(|isa| {
                let mut out = vec![0.0; bins];
                LogMel::new(isa, bins).unwrap().log10_frame(frame, &mut out, &mut FrameScratch::new()).unwrap();
                bits(&out)
            })
            .collect();
        assert!(all.iter().all(|one| *one == all[0]));
    }
}

#[test]
fn a_stream_cut_anywhere_has_the_same_bits() {
    for len in [0, 1, 159, 160, 200, 201, 359, 360, 361, 401, 5000] {
        let samples = noise(len);
        for isa in Isa::available() {
            let mel = LogMel::new(isa, 80).unwrap();
            let wanted = bits(&log10_frames(&mel, &samples, 0, len / HOP_SAMPLES));
            let mut stream = LogMelStream::new(mel);
            for chunk in [1, 7, 160, 333, 5000] {
                let mut got = Vec::new();
                for chunk in samples.chunks(chunk) {
                    stream.push(chunk, |frame| got.extend(bits(frame)));
                }
                stream.finish(|frame| got.extend(bits(frame)));
                assert_eq!(got, wanted, "{len} samples in chunks of {chunk}, {isa}");
            }
        }
    }
}

#[test]
fn a_part_with_its_surroundings_equals_the_whole() {
    let samples = noise(20_000);
    let mel = LogMel::new(Isa::detect(), 80).unwrap();
    let whole = log10_frames(&mel, &samples, 8000, 40);
    let part = log10_frames(&mel, &samples[8000 - LEAD_SAMPLES..8000 + 40 * HOP_SAMPLES + LEAD_SAMPLES], LEAD_SAMPLES, 40);
    assert_eq!(bits(&whole), bits(&part));
}

#[test]
fn silence_is_the_floor_and_skipping_it_changes_nothing() {
    for isa in Isa::available() {
        let mel = LogMel::new(isa, 80).unwrap();
        assert!(log10_frames(&mel, &[0.0; 4000], 0, 20).iter().all(|&x| x == -10.0), "{isa}");
        assert!(log10_frames(&mel, &[], 0, 20).iter().all(|&x| x == -10.0), "{isa}");
        let mut padded = noise(5000);
        let short = log10_frames(&mel, &padded, 0, 100);
        padded.resize(16_000, 0.0);
        assert_eq!(bits(&short), bits(&log10_frames(&mel, &padded, 0, 100)), "{isa}");
        assert!(log10_frames(&mel, &padded, usize::MAX, 3).iter().all(|&x| x == -10.0), "{isa}");
    }
}

#[test]
fn audible_frames_see_a_sample() {
    for len in [0, 1, 159, 160, 161, 1000] {
        for start in [0, 1, 200, 1000, 1200, 1201] {
            let last_seen = (0..100i64).filter(|t| {
                let first = start as i64 + 160 * t - 200;
                (first..first + 400).any(|at| (0..len as i64).contains(&at))
            });
            assert_eq!(audible_frames(len, start), last_seen.count(), "{len} samples from {start}");
        }
    }
}

#[test]
fn normalise_is_the_formula_on_every_isa() {
    for len in (0..40).chain([2047]) {
        let x: Vec<f32> = noise(len).iter().map(|x| x * 90.0 - 2.0).collect();
        let max = x.iter().copied().fold(-10.0, f32::max);
        let wanted: Vec<f32> = x.iter().map(|x| (x.max(max - 8.0) + 4.0) / 4.0).collect();
        for isa in Isa::available() {
            assert_eq!(maximum(isa, &x), max, "{len} values, {isa}");
            let mut got = x.clone();
            normalise(isa, &mut got, max);
            assert_eq!(bits(&got), bits(&wanted), "{len} values, {isa}");
        }
    }
}

#[test]
fn wrong_sizes_are_refused() {
    let isa = Isa::detect();
    assert_eq!(LogMel::new(isa, 64).err(), Some(MelError::Bins { asked: 64 }));
    let mel = LogMel::new(isa, 80).unwrap();
    let error = MelError::Output { len: 81, bins: 80 };
    assert_eq!(mel.log10_frames(&[], 0, &mut [0.0; 81], &mut Box::new(MelScratch::new())), Err(error));
    assert_eq!(mel.log10_frame(&[0.0; 400], &mut [0.0; 81], &mut FrameScratch::new()), Err(error));
    assert_eq!(error.to_string(), "an output of 81 values is not a whole number of frames of 80 bins");
}
