//! Where the sound of a recording ends.

use ossicle_frontend::SAMPLE_RATE;

/// What is this far below the mean power of the recording is no speech: 30 dB, some 40 dB below the loudest vowels.
const QUIET: f64 = 1e-3;

/// Power is looked at in pieces of 20 ms.
const PIECE_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// Samples of `samples` (16 kHz mono) up to the end of the last piece that is not quiet. Sums are in the order of the samples and in f64, the
/// same on every machine.
pub(crate) fn sound_samples(samples: &[f32]) -> usize {
    let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let quiet = QUIET * power(samples) / samples.len().max(1) as f64;
    let pieces = samples.chunks(PIECE_SAMPLES).rev();
    let after = pieces.take_while(|piece| power(piece) <= quiet * piece.len() as f64).map(<[f32]>::len).sum::<usize>();
    samples.len() - after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(seconds: f64, level: f32) -> Vec<f32> {
        (0..(seconds * f64::from(SAMPLE_RATE)) as u32).map(|n| level * (n as f32 * 0.3).sin()).collect()
    }

    #[test]
    fn quiet_at_the_end_is_no_sound() {
        let speech = tone(1.0, 0.1);
        for (after, end) in [
            (vec![], 16_000),
            (tone(0.5, 0.0), 16_000),
            (tone(0.5, 0.001), 16_000),
            // A weak end of a word, and noise as it comes with speech.
            (tone(0.5, 0.006), 24_000),
            ([tone(0.3, 0.0), tone(0.1, 0.02), tone(0.2, 0.0)].concat(), 22_400),
        ] {
            let samples = [&speech[..], &after].concat();
            assert!(sound_samples(&samples).abs_diff(end) <= PIECE_SAMPLES, "{} of {end}", sound_samples(&samples));
        }
        assert_eq!(sound_samples(&[]), 0);
        assert_eq!(sound_samples(&[0.0; 1000]), 0);
    }

    #[test]
    fn a_click_does_not_hide_speech() {
        let samples = [tone(0.01, 1.0), tone(2.0, 0.02), tone(0.5, 0.0)].concat();
        assert!(sound_samples(&samples).abs_diff(32_160) <= PIECE_SAMPLES);
    }
}
