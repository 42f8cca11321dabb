//! Which tokens may come next.
//!
//! The rules are those of openai-whisper's decoder: listed tokens are suppressed, and with timestamps on, timestamps come in pairs around
//! segments, never decrease, start the text, and win whenever their probabilities together exceed that of every text token. One rule is
//! ours: the end of text must lead by a margin.

use ossicle_kernels::simd::Isa;

use super::hotwords::Hotwords;
use super::scores;
use super::specials::Specials;

const MASKED: f32 = f32::NEG_INFINITY;

/// What is taken from the end of text's logit, so that the text does not end on a near tie with going on: at the end of a sentence in the
/// middle of a recording the two can lie within a few hundredths, and int8 then loses the rest where f32 does not. Measured on 202 recordings
/// of read speech: docs/accuracy.md.
const END_MARGIN: f32 = 0.5;

/// The rules of one decoding attempt.
#[derive(Clone, Debug)]
pub struct Rules {
    suppress: Vec<u32>,
    suppress_first: Vec<u32>,
    eot: u32,
    no_timestamps: u32,
    timestamp_begin: u32,
    timestamps: Option<TimestampLimits>,
    hotwords: Hotwords,
}

/// Bounds on timestamps, in steps of 0.02 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampLimits {
    /// The latest first timestamp; `None` for no bound.
    pub max_initial: Option<u32>,
    /// The latest timestamp at all: the end of the encoded window (1500 for 30 s).
    pub max: u32,
}

impl Rules {
    /// Rules from a model's lists. `timestamps` is `None` for text without timestamps.
    ///
    /// Tokens that only steer the decoder (start of transcript, tasks, no speech) are suppressed whether listed or not.
    pub fn new(specials: &Specials, suppress: &[u32], suppress_first: &[u32], timestamps: Option<TimestampLimits>) -> Self {
        let mut all = suppress.to_vec();
        all.push(specials.sot);
        all.extend([specials.sot_prev, specials.no_speech, specials.transcribe, specials.translate].into_iter().flatten());
        all.sort_unstable();
        all.dedup();
        Self {
            suppress: all,
            suppress_first: suppress_first.to_vec(),
            eot: specials.eot,
            no_timestamps: specials.no_timestamps,
            timestamp_begin: specials.timestamp_begin,
            timestamps,
            hotwords: Hotwords::default(),
        }
    }

    /// The same rules with a bonus for some words.
    pub fn with_hotwords(self, hotwords: Hotwords) -> Self {
        Self { hotwords, ..self }
    }

    /// The same rules for a window that ends at another timestamp.
    pub fn set_window_end(&mut self, max: u32) {
        if let Some(limits) = &mut self.timestamps {
            limits.max = max;
        }
    }

    /// Masks the logits of the tokens that may not follow `produced` (what this attempt has produced so far, the prompt left out).
    ///
    /// # Panics
    /// If a token of the rules lies outside `logits`.
    pub fn apply(&self, isa: Isa, logits: &mut [f32], produced: &[u32]) {
        if produced.is_empty() {
            mask_listed(logits, &self.suppress_first);
        }
        mask_listed(logits, &self.suppress);
        logits[self.eot as usize] -= END_MARGIN;
        if let Some(limits) = self.timestamps {
            self.apply_timestamp_rules(isa, logits, produced, limits);
        }
        // Last: where a segment ends is not theirs to say.
        self.hotwords.apply(logits, produced);
    }

    fn apply_timestamp_rules(&self, isa: Isa, logits: &mut [f32], produced: &[u32], limits: TimestampLimits) {
        let begin = self.timestamp_begin as usize;
        let is_timestamp = |token: &u32| *token >= self.timestamp_begin;
        logits[self.no_timestamps as usize] = MASKED;
        let after_end = begin + limits.max as usize + 1;
        if let Some(beyond) = logits.get_mut(after_end..) {
            beyond.fill(MASKED);
        }

        if produced.is_empty() {
            logits[..begin].fill(MASKED);
            if let Some(max_initial) = limits.max_initial {
                let after = (begin + max_initial as usize + 1).min(logits.len());
                logits[after..].fill(MASKED);
            }
        } else {
            let closed = produced.last().is_some_and(is_timestamp);
            let opened = produced.len() < 2 || is_timestamp(&produced[produced.len() - 2]);
            if closed && opened {
                logits[begin..].fill(MASKED);
            } else if closed {
                logits[..self.eot as usize].fill(MASKED);
            }
            if let Some(&last) = produced.iter().rfind(|token| is_timestamp(token)) {
                // A segment's end may be repeated as the next one's start; otherwise time moves on, so that no segment is empty.
                let earliest = (if closed && !opened { last } else { last + 1 } as usize).min(logits.len());
                logits[begin..earliest].fill(MASKED);
            }
        }

        let (text, timestamps) = logits.split_at_mut(begin);
        if scores::log_sum_exp(isa, timestamps) > scores::max(isa, text) {
            text.fill(MASKED);
        }
    }
}

fn mask_listed(logits: &mut [f32], tokens: &[u32]) {
    for &token in tokens {
        logits[token as usize] = MASKED;
    }
}

#[cfg(test)]
mod tests {
    use ossicle_kernels::simd::Scalar;

    use super::super::specials::tests::{SMALL_VOCAB, small};
    use super::*;

    const ISA: Isa = Isa::Scalar(Scalar);

    fn specials() -> Specials {
        Specials::new(&small(), SMALL_VOCAB).unwrap()
    }

    fn rules(timestamps: Option<TimestampLimits>) -> Rules {
        Rules::new(&specials(), &small().suppress_tokens, &small().begin_suppress_tokens, timestamps)
    }

    const LIMITS: TimestampLimits = TimestampLimits { max_initial: Some(50), max: 1500 };

    /// Whether `token` may follow `produced`, stated token by token; the probability rule left out.
    fn allowed(token: u32, produced: &[u32], limits: Option<TimestampLimits>) -> bool {
        let s = specials();
        let ts = |t: u32| t >= s.timestamp_begin;
        if [7, 8, s.sot, 57, 58, 54, 55].contains(&token) || (produced.is_empty() && [9, 50].contains(&token)) {
            return false;
        }
        let Some(limits) = limits else { return true };
        if token == s.no_timestamps || (ts(token) && token - s.timestamp_begin > limits.max) {
            return false;
        }
        if produced.is_empty() {
            return ts(token) && limits.max_initial.is_none_or(|m| token - s.timestamp_begin <= m);
        }
        let last = produced[produced.len() - 1];
        let before = produced.len().checked_sub(2).map(|i| produced[i]);
        let last_two_are_timestamps = ts(last) && before.is_none_or(ts);
        let a_segment_just_ended = ts(last) && !last_two_are_timestamps;
        if last_two_are_timestamps && ts(token) {
            return false;
        }
        if a_segment_just_ended && token < s.eot {
            return false;
        }
        if ts(token)
            && let Some(latest) = produced.iter().copied().rfind(|&t| ts(t))
        {
            return if a_segment_just_ended { token >= latest } else { token > latest };
        }
        true
    }

    /// Small numbers that differ from token to token, from a linear congruence.
    fn noise(seed: u64, n: usize) -> Vec<f32> {
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (x >> 40) as f32 / (1u64 << 24) as f32 * 8.0
            })
            .collect()
    }

    #[test]
    fn the_mask_equals_a_plain_statement_of_the_rules() {
        let t = |i: u32| 60 + i;
        let histories: Vec<Vec<u32>> = vec![
            vec![],
            vec![t(0)],
            vec![t(0), 5],
            vec![t(0), 5, 6],
            vec![t(0), 5, t(80)],
            vec![t(0), 5, t(80), t(80)],
            vec![t(0), 5, t(80), t(90)],
            vec![t(0), 5, t(80), t(90), 1, 2],
            vec![t(0), 5, t(1499)],
            vec![t(0), 5, t(1500)],
            vec![t(0), 5, t(1500), t(1500), 3],
            vec![5, 6],
        ];
        for limits in [
            None,
            Some(LIMITS),
            Some(TimestampLimits { max_initial: None, max: 250 }),
            Some(TimestampLimits { max_initial: Some(50), max: 500 }),
        ] {
            for (seed, produced) in histories.iter().enumerate() {
                for louder_text in [0.0, 40.0] {
                    let mut logits = noise(seed as u64 + 1, SMALL_VOCAB);
                    logits[..60].iter_mut().for_each(|x| *x += louder_text);
                    let mut expected = logits.clone();
                    for (token, x) in expected.iter_mut().enumerate() {
                        if !allowed(token as u32, produced, limits) {
                            *x = MASKED;
                        }
                    }
                    expected[50] -= END_MARGIN;
                    if limits.is_some() {
                        let timestamps: f64 = expected[60..].iter().map(|&x| f64::from(x).exp()).sum();
                        let text = expected[..60].iter().copied().fold(MASKED, f32::max);
                        if timestamps > f64::from(text).exp() {
                            expected[..60].fill(MASKED);
                        }
                    }
                    rules(limits).apply(ISA, &mut logits, produced);
                    assert_eq!(logits, expected, "{produced:?} {limits:?} {louder_text}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_masks_the_same() {
        for seed in 1..20 {
            let produced = [60, 5];
            let mut expected = noise(seed, SMALL_VOCAB);
            rules(Some(LIMITS)).apply(ISA, &mut expected, &produced);
            for isa in Isa::available() {
                let mut logits = noise(seed, SMALL_VOCAB);
                rules(Some(LIMITS)).apply(isa, &mut logits, &produced);
                assert_eq!(logits, expected, "{isa}");
            }
        }
    }

    #[test]
    fn many_unlikely_timestamps_beat_one_likelier_word() {
        let mut logits = vec![-20.0; SMALL_VOCAB];
        logits[5] = 1.0;
        logits[60..1060].fill(-5.0);
        rules(Some(LIMITS)).apply(ISA, &mut logits, &[60, 3]);
        assert_eq!(logits[5], MASKED, "1000 x exp(-5) is 6.7, more than e");
        assert_eq!(logits[61], -5.0);
    }

    #[test]
    fn the_last_timestamp_of_the_window_leaves_only_the_end() {
        let mut logits = vec![0.0; SMALL_VOCAB];
        rules(Some(TimestampLimits { max_initial: None, max: 250 })).apply(ISA, &mut logits, &[60, 3, 60 + 250, 60 + 250, 4]);
        assert!(logits[60..].iter().all(|&x| x == MASKED));
        assert_eq!(logits[50], -END_MARGIN);
    }
}
