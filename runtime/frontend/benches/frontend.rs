//! Log-mel of a 30 s window and resampling of 30 s from 48 kHz, on every instruction set of this CPU, one thread.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ossicle_frontend::mel::{LogMel, MelScratch, WINDOW_FRAMES};
use ossicle_frontend::resample::Resampler;
use ossicle_kernels::simd::Isa;

fn tone(samples: usize) -> Vec<f32> {
    (0..samples).map(|n| (n as f32 * 0.37).sin() * 0.3).collect()
}

fn log_mel(c: &mut Criterion) {
    let audio = tone(480_000);
    let mut scratch = Box::new(MelScratch::new());
    for isa in Isa::available() {
        for bins in [80, 128] {
            let mel = LogMel::new(isa, bins).unwrap();
            let mut out = vec![0.0; WINDOW_FRAMES * bins];
            c.bench_function(&format!("log-mel 30 s, {bins} bins, {isa}"), |b| {
                b.iter(|| mel.window(black_box(&audio), 0, &mut out, &mut scratch))
            });
        }
    }
}

fn resample(c: &mut Criterion) {
    for (rate, isa) in [48_000, 44_100].into_iter().flat_map(|rate| Isa::available().map(move |isa| (rate, isa))) {
        let audio = tone(30 * rate as usize);
        let memory = vec![0.0; Resampler::<Vec<f32>>::memory_len(rate).unwrap()];
        let mut resampler = Resampler::new(isa, rate, memory).unwrap();
        let mut out = vec![0.0; 480_000];
        c.bench_function(&format!("resample 30 s from {rate} Hz, {isa}"), |b| {
            b.iter(|| {
                resampler.reset();
                resampler.process(black_box(&audio), &mut out)
            })
        });
    }
}

criterion_group!(benches, log_mel, resample);
criterion_main!(benches);
