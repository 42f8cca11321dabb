//! The resampler: pass band, stop band, delay and length, and the same bits for every instruction set and every cutting of the input.

use std::f64::consts::TAU;

use ossicle_frontend::resample::*;
use ossicle_kernels::simd::Isa;

/// Few phases, many phases (interpolated), the ends of the range.
const RATES: [u32; 16] =
    [8000, 8001, 11_025, 12_000, 15_999, 16_000, 16_001, 22_050, 24_000, 32_000, 44_100, 44_056, 48_000, 96_000, 176_400, 192_000];

fn resampler(isa: Isa, rate: u32) -> Resampler<Vec<f32>> {
    Resampler::new(isa, rate, vec![f32::NAN; Resampler::<Vec<f32>>::memory_len(rate).unwrap()]).unwrap()
}

fn run(isa: Isa, rate: u32, input: &[f32], chunk: usize, block: usize) -> Vec<f32> {
    let mut resampler = resampler(isa, rate);
    let (mut output, mut out) = (Vec::new(), vec![0.0; block]);
    for mut input in input.chunks(chunk) {
        while !input.is_empty() {
            let done = resampler.process(input, &mut out);
            input = &input[done.read..];
            output.extend_from_slice(&out[..done.written]);
        }
    }
    loop {
        match resampler.finish(&mut out) {
            0 => return output,
            written => output.extend_from_slice(&out[..written]),
        }
    }
}

fn tone(rate: u32, hertz: f64, seconds: f64) -> Vec<f32> {
    (0..(f64::from(rate) * seconds) as usize).map(|n| (TAU * hertz * n as f64 / f64::from(rate)).sin() as f32).collect()
}

/// Largest deviation from `amplitude` times the ideal tone, away from the ends.
fn deviation(output: &[f32], hertz: f64, amplitude: f64) -> f64 {
    let inner = 200..output.len() - 200;
    inner.map(|n| (f64::from(output[n]) - amplitude * (TAU * hertz * n as f64 / 16_000.0).sin()).abs()).fold(0.0, f64::max)
}

#[test]
fn tones_in_the_pass_band_keep_height_and_place() {
    let mut worst = 0.0f64;
    for rate in RATES {
        let edge = 0.91 * f64::from(rate.min(16_000)) / 2.0;
        for hertz in [50.0, 440.0, 0.5 * edge, 0.9 * edge, edge] {
            // Deviation includes images, which is where an interpolated phase would fail.
            let error = deviation(&run(Isa::detect(), rate, &tone(rate, hertz, 0.25), 4096, 4096), hertz, 1.0);
            worst = worst.max(error);
            assert!(error < 1e-4, "{rate} Hz, tone of {hertz} Hz: off by {error:.1e}");
        }
    }
    println!("pass band: at most {:.1} dB off", 20.0 * worst.log10());
}

#[test]
fn tones_in_the_stop_band_are_80_db_down() {
    let mut worst = 0.0f64;
    for rate in RATES.into_iter().filter(|&rate| rate > 16_001) {
        let top = f64::from(rate) / 2.0;
        for step in 0..40 {
            let hertz = 8000.0 + (top - 8000.0) * f64::from(step) / 40.0;
            let error = deviation(&run(Isa::detect(), rate, &tone(rate, hertz, 0.1), 4096, 4096), 0.0, 0.0);
            worst = worst.max(error);
            assert!(error < 1e-4, "{rate} Hz, tone of {hertz} Hz comes through at {error:.1e}");
        }
    }
    println!("stop band: {:.1} dB", 20.0 * worst.log10());
}

#[test]
fn a_constant_stays_constant() {
    for rate in RATES {
        let output = run(Isa::detect(), rate, &vec![1.0; rate as usize / 4], 4096, 4096);
        let error = output[200..output.len() - 200].iter().map(|x| (x - 1.0).abs()).fold(0.0, f32::max);
        assert!(error < 5e-5, "{rate} Hz: {error:.1e}");
    }
}

#[test]
fn an_impulse_stays_in_place() {
    for rate in RATES {
        let mut input = vec![0.0; rate as usize / 10];
        let at = input.len() / 2 / 40 * 40;
        input[at] = 1.0;
        let output = run(Isa::detect(), rate, &input, 4096, 4096);
        let peak = (0..output.len()).max_by(|&a, &b| output[a].total_cmp(&output[b])).unwrap();
        let place = at as f64 * 16_000.0 / f64::from(rate);
        assert!((peak as f64 - place).abs() <= 1.0, "{rate} Hz: impulse at {place} lands at {peak}");
    }
}

#[test]
fn the_length_is_exact() {
    for rate in RATES {
        for len in (0..40u32).chain([441, 999, 5000]) {
            let wanted = (f64::from(len) * 16_000.0 / f64::from(rate) + 0.5).floor() as usize;
            assert_eq!(output_len(rate, u64::from(len)), wanted as u64);
            assert_eq!(run(Isa::detect(), rate, &vec![0.1; len as usize], 64, 64).len(), wanted, "{len} samples at {rate} Hz");
        }
    }
}

#[test]
fn no_bit_depends_on_isa_or_chunks() {
    let mut state = 3u32;
    let input: Vec<f32> = (0..9000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    for rate in RATES {
        let bits = |isa, chunk, block| run(isa, rate, &input, chunk, block).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let wanted = bits(Isa::from_name("scalar").unwrap(), input.len(), input.len() * 2 + 1);
        for isa in Isa::available() {
            for (chunk, block) in [(1, 100), (9000, 1), (17, 3), (1000, 1000), (9000, 20_000)] {
                assert_eq!(bits(isa, chunk, block), wanted, "{rate} Hz, {isa}, chunks of {chunk}, blocks of {block}");
            }
        }
    }
}

#[test]
fn a_finished_resampler_starts_anew() {
    for rate in [8000, 16_000, 44_100] {
        let mut resampler = resampler(Isa::detect(), rate);
        let mut once = || {
            let mut out = vec![0.0; 8000];
            let done = resampler.process(&[0.7; 3000], &mut out);
            assert_eq!(done.read, 3000);
            let rest = resampler.finish(&mut out[done.written..]);
            assert_eq!(resampler.finish(&mut [0.0; 8]), 0);
            out.truncate(done.written + rest);
            out
        };
        assert_eq!(once(), once(), "{rate} Hz");
    }
}

#[test]
fn sixteen_kilohertz_passes_untouched() {
    assert_eq!(Resampler::<Vec<f32>>::memory_len(16_000), Ok(0));
    let input = tone(16_000, 123.0, 0.1);
    assert_eq!(run(Isa::detect(), 16_000, &input, 100, 33), input);
}

#[test]
fn memory_is_bounded_and_checked() {
    let largest = (MIN_RATE..=MAX_RATE).map(|rate| (Resampler::<Vec<f32>>::memory_len(rate).unwrap(), rate)).max().unwrap();
    println!("most memory: {largest:?}");
    assert!(largest.0 <= 72 * 1024, "{largest:?}");
    for rate in [0, 7999, 192_001, u32::MAX] {
        assert_eq!(Resampler::<Vec<f32>>::memory_len(rate), Err(ResampleError::Rate { rate }));
    }
    let need = Resampler::<Vec<f32>>::memory_len(48_000).unwrap();
    let error = Resampler::new(Isa::detect(), 48_000, vec![0.0; need - 1]).err();
    assert_eq!(error, Some(ResampleError::MemoryTooSmall { need, have: need - 1 }));
}
