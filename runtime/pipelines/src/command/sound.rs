//! Where the sound of a recording begins and ends.

use ossicle_frontend::SAMPLE_RATE;

/// What is this far below the mean power of the recording is not speech: 30 dB, some 40 dB below the loudest vowels.
const QUIET: f64 = 1e-3;

/// Power is looked at in pieces of 20 ms.
const PIECE_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// Silence that a model needs to hear before the first sound: without it, it mishears the first word of a recording that begins at once, as
/// those of most synthetic voices do.
const LEAD_SAMPLES: usize = SAMPLE_RATE as usize / 5;

/// Only a recording that is quiet for so many pieces somewhere is whole: one that is not was cut out of talk or noise, which has no first word.
const QUIET_PIECES: usize = 5;

/// Most samples of a recording and what is before it: a model hears no more at a time.
const MOST_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

/// The part of a recording that is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sound {
    /// Samples of silence that are missing before the recording.
    pub lead: usize,
    /// Samples of the recording up to the end of the last piece that is not quiet.
    pub end: usize,
}

/// Where sound is in `samples` (16 kHz mono). Sums are in the order of the samples and in f64, the same on every machine.
pub(crate) fn sound(samples: &[f32]) -> Sound {
    let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let quiet = QUIET * power(samples) / samples.len().max(1) as f64;
    let is_quiet = |piece: &&[f32]| power(piece) <= quiet * piece.len() as f64;
    let length = |pieces: &mut dyn Iterator<Item = &[f32]>| pieces.map(<[f32]>::len).sum::<usize>();
    let before = length(&mut samples.chunks(PIECE_SAMPLES).take_while(is_quiet));
    let after = length(&mut samples.chunks(PIECE_SAMPLES).rev().take_while(is_quiet));
    let end = samples.len() - after;
    let whole = samples.chunks(PIECE_SAMPLES).filter(is_quiet).nth(QUIET_PIECES - 1).is_some();
    let room = MOST_SAMPLES.saturating_sub(samples.len());
    Sound { lead: if whole { LEAD_SAMPLES.saturating_sub(before).min(room) } else { 0 }, end }
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
            assert!(sound(&samples).end.abs_diff(end) <= PIECE_SAMPLES, "{} of {end}", sound(&samples).end);
        }
        assert_eq!(sound(&[]).end, 0);
        assert_eq!(sound(&[0.0; 1000]).end, 0);
    }

    #[test]
    fn what_begins_at_once_lacks_silence() {
        for (quiet, lead) in [(0.0, 3200), (0.1, 1600), (0.19, 320), (0.2, 0), (1.0, 0)] {
            for level in [0.0, 0.001] {
                let samples = [tone(quiet, level), tone(1.0, 0.1), tone(0.2, level)].concat();
                assert_eq!(sound(&samples).lead, lead, "{quiet} s of {level}");
            }
        }
        // What is never quiet was cut out of something longer.
        assert_eq!(sound(&tone(1.0, 0.1)), Sound { lead: 0, end: 16_000 });
        // No more than a model hears.
        let long = [tone(29.4, 0.1), tone(0.5, 0.0)].concat();
        assert_eq!(sound(&long).lead, 1600);
    }

    #[test]
    fn a_click_does_not_hide_speech() {
        let samples = [tone(0.01, 1.0), tone(2.0, 0.02), tone(0.5, 0.0)].concat();
        assert!(sound(&samples).end.abs_diff(32_160) <= PIECE_SAMPLES);
    }
}
