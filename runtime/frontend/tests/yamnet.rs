//! YAMNet's features: against numpy in f64, and bit for bit between instruction sets, batch and single frame.

use std::path::Path;

use ossicle_frontend::mel::MelError;
use ossicle_frontend::samples::from_i16;
use ossicle_frontend::yamnet::*;
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

fn frames(isa: Isa, samples: &[f32], count: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; count * BINS];
    YamnetMel::new(isa).frames(samples, &mut out, &mut Box::new(YamnetScratch::new())).unwrap();
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn features_are_numpy_s() {
    let samples = chirp();
    let wanted: Vec<f32> = golden("chirp.yamnet").as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    assert_eq!(wanted.len(), frames_of(samples.len()) * BINS);
    for isa in Isa::available() {
        let got = frames(isa, &samples, frames_of(samples.len()));
        let error = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{isa}: at most {error:.1e} off");
        assert!(error < 2e-4, "{isa}: {error}");
    }
}

#[test]
fn every_path_has_the_same_bits() {
    let samples = chirp();
    let count = frames_of(samples.len());
    let scalar = YamnetMel::new(Isa::from_name("scalar").unwrap());
    let wanted: Vec<u32> = (0..count)
        .flat_map(|t| {
            let mut frame = [f32::NAN; BINS];
            scalar.frame(samples[t * HOP_SAMPLES..].first_chunk().unwrap(), &mut frame);
            bits(&frame)
        })
        .collect();
    for isa in Isa::available() {
        for count in [0, 1, 15, 16, 17, 24, count] {
            assert_eq!(bits(&frames(isa, &samples, count)), wanted[..count * BINS], "{count} frames on {isa}");
            // What lies behind the last frame does not matter.
            assert_eq!(bits(&frames(isa, &samples[..samples_of(count)], count)), wanted[..count * BINS], "{count} frames on {isa}");
        }
        let mut frame = [f32::NAN; BINS];
        YamnetMel::new(isa).frame(samples[HOP_SAMPLES..].first_chunk().unwrap(), &mut frame);
        assert_eq!(bits(&frame), wanted[BINS..2 * BINS], "{isa}");
    }
}

#[test]
fn wrong_sizes_are_refused() {
    let mel = YamnetMel::new(Isa::detect());
    let mut scratch = Box::new(YamnetScratch::new());
    assert_eq!(mel.frames(&[0.0; 400], &mut [0.0; 65], &mut scratch), Err(MelError::Output { len: 65, bins: 64 }));
    assert_eq!(mel.frames(&[0.0; 559], &mut [0.0; 128], &mut scratch), Err(MelError::Samples { have: 559, need: 560 }));
    assert_eq!((PATCH_SAMPLES, frames_of(PATCH_SAMPLES), frames_of(PATCH_SAMPLES - 1), frames_of(399)), (15_600, 96, 95, 0));
}
