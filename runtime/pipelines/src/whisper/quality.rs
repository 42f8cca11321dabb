//! Is this text good enough, was anybody speaking?

use ossicle_frontend::SAMPLE_RATE;

use super::attempt::Attempt;
use super::options::Quality;
use super::scores;
use super::transcript::DropReason;

/// Samples of a block whose level is measured: 20 ms.
const BLOCK_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// A text of so many tokens is long enough for its mean log-probability to tell a language that the model does not know.
pub const LONG_TEXT_TOKENS: usize = 12;

/// Times [`Quality::min_avg_logprob`], below which such a text is dropped: English that is clipped or mumbled stays above, and is doubted.
const FOREIGN: f32 = 1.1;

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good.
    Keep,
    /// Nobody spoke.
    Silence,
    /// Repetitive, endless or unlikely.
    Retry,
}

/// Speech of less than this has few words that could show how likely they are, in seconds.
pub const SHORT_SPEECH_SECONDS: f64 = 1.2;
/// What [`Quality::max_silence_score`] is multiplied by for it: of speech so short none scored above 0.63, the detector's mistakes 0.72 and more.
const SHORT_SPEECH_SCORE: f32 = 0.7;

/// Judges an attempt at a window whose speech is `short` ([`SHORT_SPEECH_SECONDS`]).
pub fn judge(attempt: &Attempt, compression_ratio: f32, no_speech_prob: f32, quality: &Quality, short: bool) -> Verdict {
    let unlikely = attempt.avg_logprob < quality.min_avg_logprob;
    let silence_score = no_speech_prob - quality.logprob_weight * attempt.avg_logprob;
    // An unlikely text where perhaps nobody spoke is not tried again: a sampled one is a guess at noise.
    let max_score = quality.max_silence_score * if short { SHORT_SPEECH_SCORE } else { 1.0 };
    if is_doubtful(no_speech_prob, quality) && (silence_score > max_score || unlikely) {
        Verdict::Silence
    } else if unlikely || attempt.looped || compression_ratio > quality.max_compression_ratio {
        Verdict::Retry
    } else {
        Verdict::Keep
    }
}

/// Whether a window too small for its audio is the likely cause: the text repeats itself or never ends.
pub fn lost(attempt: &Attempt, compression_ratio: f32, quality: &Quality) -> bool {
    attempt.looped || !attempt.finished || compression_ratio > quality.max_compression_ratio
}

/// Why to drop what no temperature could mend: perhaps nobody spoke, or the text is far from likely. A model of one language writes
/// likely-looking text of that language when it hears another: of it a long text must be as likely as any other.
pub fn guess(attempt: &Attempt, no_speech_prob: f32, quality: &Quality, one_language: bool) -> Option<DropReason> {
    let foreign = one_language && attempt.tokens.len() >= LONG_TEXT_TOKENS;
    let least = if foreign { FOREIGN } else { 2.0 } * quality.min_avg_logprob;
    if is_doubtful(no_speech_prob, quality) {
        // What is unlikely there too was silence, so this one repeats itself.
        Some(DropReason::Repetition)
    } else {
        (attempt.avg_logprob < least).then_some(DropReason::Unlikely)
    }
}

/// Whether a recording's text, of so many tokens, is unlikely throughout.
///
/// With tiny.en 27 minutes of read English have no clip of at least [`LONG_TEXT_TOKENS`] below -0.67, and of 30 clips in other languages none
/// that gave text is above -0.86.
pub fn doubts_language(avg_logprob: f32, tokens: usize, quality: &Quality) -> bool {
    tokens >= LONG_TEXT_TOKENS && avg_logprob < 0.8 * quality.min_avg_logprob
}

/// Whether perhaps nobody spoke.
pub fn is_doubtful(no_speech_prob: f32, quality: &Quality) -> bool {
    no_speech_prob > quality.min_no_speech_prob
}

/// The level of the loudest 20 ms, in dB relative to full scale (RMS); -200 for digital silence.
pub fn level_db(samples: &[f32]) -> f32 {
    let loudest = samples.chunks(BLOCK_SAMPLES).map(mean_square).fold(0.0, f32::max);
    if loudest < 1e-20 { -200.0 } else { 10.0 * scores::log10(loudest) }
}

fn mean_square(block: &[f32]) -> f32 {
    block.iter().map(|x| x * x).sum::<f32>() / block.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(avg_logprob: f32, looped: bool) -> Attempt {
        Attempt { tokens: vec![], logprobs: vec![], avg_logprob, finished: !looped, looped, temperature: 0.0 }
    }

    #[test]
    fn verdicts() {
        let q = Quality::default();
        let cases = [
            (attempt(-0.3, false), 1.2, 0.1, Verdict::Keep),
            (attempt(-0.3, false), 1.2, 0.8, Verdict::Keep),
            (attempt(-0.3, false), 1.2, 0.9, Verdict::Silence),
            (attempt(-1.2, false), 1.2, 0.4, Verdict::Silence),
            (attempt(-1.2, false), 1.2, 0.16, Verdict::Silence),
            (attempt(-1.2, false), 1.2, 0.1, Verdict::Retry),
            (attempt(-3.0, false), 1.2, 0.1, Verdict::Retry),
            (attempt(-0.2, false), 3.0, 0.0, Verdict::Retry),
            (attempt(-0.2, true), 1.0, 0.0, Verdict::Retry),
        ];
        for (attempt, ratio, no_speech, verdict) in cases {
            assert_eq!(judge(&attempt, ratio, no_speech, &q, false), verdict, "{attempt:?} {ratio} {no_speech}");
            assert_eq!(judge(&attempt, ratio, no_speech, &Quality::off(), true) == Verdict::Retry, attempt.looped);
        }
        let little = |no_speech| judge(&attempt(-0.85, false), 1.0, no_speech, &q, true);
        assert_eq!([little(0.35), little(0.1)], [Verdict::Silence, Verdict::Keep]);
        assert_eq!(judge(&attempt(-0.85, false), 1.0, 0.35, &q, false), Verdict::Keep);
        for (attempt, no_speech, guess) in
            [(attempt(-1.9, false), 0.1, false), (attempt(-2.1, false), 0.1, true), (attempt(-0.2, true), 0.2, true)]
        {
            assert_eq!(super::guess(&attempt, no_speech, &q, false).is_some(), guess, "{attempt:?} {no_speech}");
            assert_eq!(super::guess(&attempt, no_speech, &Quality::off(), true), None);
        }
        assert_eq!(guess(&attempt(-0.2, true), 0.2, &q, false), Some(DropReason::Repetition));
        assert!(lost(&attempt(-0.1, true), 1.0, &q));
        assert!(!lost(&attempt(-0.1, false), 1.0, &q));
    }

    #[test]
    fn a_model_of_one_language_is_not_believed_when_a_long_text_is_unlikely() {
        let q = Quality::default();
        let text = |tokens| Attempt { tokens: vec![1; tokens], ..attempt(-1.2, false) };
        let guessed = |tokens, one_language| guess(&text(tokens), 0.1, &q, one_language);
        assert_eq!([guessed(12, true), guessed(11, true), guessed(12, false)], [Some(DropReason::Unlikely), None, None]);
        let doubted = [(-0.9, 12), (-0.9, 11), (-0.7, 400)].map(|(logprob, tokens)| doubts_language(logprob, tokens, &q));
        assert_eq!(doubted, [true, false, false]);
        assert!(!doubts_language(-3.0, 100, &Quality::off()));
    }

    #[test]
    fn levels() {
        assert_eq!(level_db(&[0.0; 1000]), -200.0);
        assert_eq!(level_db(&[]), -200.0);
        let mut samples = vec![0.0; 16000];
        samples[8000..8320].fill(0.1);
        assert!((level_db(&samples) + 20.0).abs() < 1e-3, "{}", level_db(&samples));
    }
}
