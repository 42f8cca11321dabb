//! Voice activity: the same bits on every instruction set and for every cut of the samples; the gate sleeps when it may.

use std::path::Path;

use ossicle_frontend::mel::HOP_SAMPLES;
use ossicle_frontend::samples::from_i16;
use ossicle_frontend::vad::{Activity, Vad};
use ossicle_kernels::simd::Isa;
use proptest::prelude::*;

/// The sample recording, 2.7 s of a kitchen command, behind its 44 bytes of header.
fn speech() -> Vec<f32> {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav")).unwrap();
    let pcm: Vec<i16> = bytes[44..].as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
    let mut samples = vec![0.0; pcm.len()];
    from_i16(&pcm, &mut samples);
    samples
}

fn noise(len: usize, amplitude: f32) -> Vec<f32> {
    let mut state = 7u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * amplitude
        })
        .collect()
}

/// Quiet noise, speech, quiet noise: the gate shuts, opens and shuts again.
fn scene() -> Vec<f32> {
    let mut scene = noise(64_000, 0.001);
    scene.extend(speech());
    scene.extend(noise(40_000, 0.001));
    scene
}

fn run(isa: Isa, samples: &[f32], chunk: usize) -> Vec<Activity> {
    let mut vad = Box::new(Vad::new(isa));
    let mut hops = Vec::new();
    samples.chunks(chunk).for_each(|chunk| vad.push(chunk, |hop| hops.push(hop)));
    hops
}

/// FNV-1a over the bits (Fowler, Noll, Vo): a digest that a constant can hold.
fn digest(hops: &[Activity]) -> u64 {
    let words = hops.iter().flat_map(|hop| [hop.power.to_bits(), u32::from(hop.awake), hop.probability.to_bits()]);
    words.flat_map(u32::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Of [`scene`]; printed by the test below when the weights have changed.
const DIGEST: u64 = 0x8d50_e217_a619_b3d5;

#[test]
fn probabilities_have_the_recorded_bits_on_every_isa() {
    let scene = scene();
    for name in Isa::NAMES {
        let Ok(isa) = Isa::from_name(name) else {
            println!("SKIPPED: this CPU lacks {name}");
            continue;
        };
        let digest = digest(&run(isa, &scene, 160));
        assert_eq!(digest, DIGEST, "{digest:#018x} on {name}");
    }
}

#[test]
fn speech_is_heard_and_quiet_is_slept_through() {
    let hops = run(Isa::detect(), &scene(), 480);
    // The floor is known after two seconds, the gate holds for 0.3.
    assert!(!hops[235..395].iter().any(|hop| hop.awake));
    assert!(hops[hops.len() - 100..].iter().all(|hop| !hop.awake && hop.probability == 0.0));
    let spoken = hops[400..660].iter().filter(|hop| hop.probability > 0.5).count();
    assert!(spoken > 120, "{spoken} hops of 260");
    let heard_in_noise = hops[..395].iter().filter(|hop| hop.probability > 0.5).count();
    assert!(heard_in_noise < 5, "{heard_in_noise} hops of noise are speech");
}

#[test]
fn silence_and_clipping_are_survived() {
    assert!(run(Isa::detect(), &[0.0; 48_000], 1000).iter().all(|hop| !hop.awake && hop.power == 0.0));
    let square: Vec<f32> = noise(48_000, 1.0).iter().map(|x| x.signum()).collect();
    let clipped: Vec<f32> = speech().iter().map(|x| (x * 100.0).clamp(-1.0, 1.0)).collect();
    // What no sound card delivers, but the door lets in.
    let huge: Vec<f32> = noise(16_000, 1_099_511_627_776.0);
    for samples in [square, clipped, huge] {
        for isa in Isa::available() {
            for hop in run(isa, &samples, 777) {
                assert!(hop.power.is_finite() && (0.0..=1.0).contains(&hop.probability), "{hop:?} on {isa}");
            }
        }
    }
}

#[test]
fn reset_forgets_everything() {
    let scene = scene();
    let mut vad = Box::new(Vad::new(Isa::detect()));
    vad.push(&scene[..70_001], |_| {});
    vad.reset();
    let mut hops = Vec::new();
    vad.push(&scene, |hop| hops.push(hop));
    assert_eq!(digest(&hops), DIGEST);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn samples_may_be_cut_anywhere(cuts in prop::collection::vec(1usize..2000, 1..60)) {
        let scene = scene();
        let mut vad = Box::new(Vad::new(Isa::detect()));
        let (mut rest, mut hops) = (&scene[..], Vec::new());
        for cut in cuts.into_iter().cycle() {
            let (chunk, later) = rest.split_at(cut.min(rest.len()));
            vad.push(chunk, |hop| hops.push(hop));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(hops.len(), scene.len() / HOP_SAMPLES);
        prop_assert_eq!(digest(&hops), DIGEST);
    }
}

#[test]
fn memory_is_what_is_promised() {
    let (vad, endpointer) = (size_of::<Vad>(), size_of::<ossicle_frontend::endpoint::Endpointer>());
    println!("{vad} and {endpointer} bytes");
    assert!(vad <= 18 << 10 && endpointer <= 104);
}
