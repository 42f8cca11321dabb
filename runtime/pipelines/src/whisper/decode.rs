//! One attempt at a window's text: greedy, or sampled at a temperature, over the engine's key and value cache.

use super::attempt::{Attempt, Task};
use super::engine::{Engine, EngineError, LogitsFor};
use super::repetition::ends_in_loop;
use super::sampling::Rng;
use super::scores;
use super::second_choice::{DOUBTFUL_LOGPROB, Detour, Doubt};
use crate::digest::DigestTaps;

/// What the decoder is given before it produces text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Text before the window, led by `<|startofprev|>`; may be empty.
    pub before: Vec<u32>,
    /// `<|startoftranscript|>`
    pub sot: u32,
    /// Language, task and `<|notimestamps|>`, as far as the model has them.
    pub after: Vec<u32>,
}

/// The decoder's state for one window: logits after the prompt and working memory, reused from window to window.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    after_prompt: Vec<f32>,
    logits: Vec<f32>,
    weights: Vec<f32>,
    text: Vec<u32>,
    /// Tokens in the engine's cache after the prompt.
    fed: Vec<u32>,
    /// Where the latest greedy text had a close second choice.
    pub(super) doubts: Vec<Doubt>,
    prompt: Vec<u32>,
    prompt_len: usize,
    sot_logits: Vec<f32>,
    /// Decoder steps made since the start, prompts included as one step a call.
    pub steps: usize,
}

impl Decoder {
    /// Feeds a whole prompt from position 0. The logits at `<|startoftranscript|>`, which tell whether anybody speaks, come from the same run
    /// as those after the prompt.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn prompt<E: Engine>(&mut self, engine: &mut E, prompt: &Prompt, taps: &mut DigestTaps) -> Result<(), EngineError> {
        engine.rewind(0);
        if !prompt.before.is_empty() {
            engine.decode(&prompt.before, LogitsFor::None)?;
        }
        self.prompt.clear();
        self.prompt.push(prompt.sot);
        self.prompt.extend_from_slice(&prompt.after);
        let vocab_size = engine.dims().vocab_size;
        let logits = engine.decode(&self.prompt, LogitsFor::FirstAndLast)?;
        self.steps += 1;
        taps.logits(logits);
        replace(&mut self.sot_logits, &logits[..vocab_size]);
        replace(&mut self.after_prompt, &logits[logits.len() - vocab_size..]);
        self.prompt_len = engine.position();
        Ok(())
    }

    /// Feeds `<|startoftranscript|>` alone and gives the logits there: they tell the language, which the rest of the prompt needs.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn start<E: Engine>(&mut self, engine: &mut E, sot: u32, taps: &mut DigestTaps) -> Result<&[f32], EngineError> {
        engine.rewind(0);
        let logits = engine.decode(&[sot], LogitsFor::Last)?;
        self.steps += 1;
        taps.logits(logits);
        replace(&mut self.sot_logits, logits);
        replace(&mut self.after_prompt, logits);
        self.prompt_len = engine.position();
        Ok(&self.sot_logits)
    }

    /// Feeds the rest of the prompt after [`start`](Self::start).
    ///
    /// # Errors
    /// If the engine fails.
    pub fn finish_prompt<E: Engine>(&mut self, engine: &mut E, after: &[u32], taps: &mut DigestTaps) -> Result<(), EngineError> {
        if !after.is_empty() {
            let logits = engine.decode(after, LogitsFor::Last)?;
            self.steps += 1;
            taps.logits(logits);
            replace(&mut self.after_prompt, logits);
        }
        self.prompt_len = engine.position();
        Ok(())
    }

    /// The logits at `<|startoftranscript|>`.
    pub fn sot_logits(&self) -> &[f32] {
        &self.sot_logits
    }

    /// The logits after the prompt.
    pub fn after_prompt(&self) -> &[f32] {
        &self.after_prompt
    }

    /// Tokens of the prompt.
    pub fn prompt_len(&self) -> usize {
        self.prompt_len
    }

    /// One text: from the start, or from a second choice within another text. In the latter case it ends early once it cannot be likelier.
    pub(super) fn produce<E: Engine>(
        &mut self,
        engine: &mut E,
        task: &Task<'_>,
        other: Option<&Detour<'_>>,
        rng: &mut Rng,
        taps: &mut DigestTaps,
    ) -> Result<Attempt, EngineError> {
        let &Task { rules, eot, limits, temperature } = task;
        let isa = engine.isa();
        let room = engine.dims().max_tokens.saturating_sub(self.prompt_len);
        let max_new = limits.max_new_tokens.min(room);
        let mut attempt = Attempt {
            tokens: Vec::with_capacity(max_new),
            logprobs: Vec::with_capacity(max_new),
            avg_logprob: 0.0,
            finished: false,
            looped: false,
            temperature,
        };
        self.text.clear();
        self.doubts.clear();
        match other {
            None => {
                engine.rewind(self.prompt_len);
                self.fed.clear();
                replace(&mut self.logits, &self.after_prompt);
            }
            Some(detour) => {
                detour.begin(&mut attempt);
                self.text.extend(attempt.tokens.iter().filter(|&&token| token < eot));
                self.feed(engine, &attempt.tokens, taps)?;
            }
        }
        let mut sum_logprob: f32 = attempt.logprobs.iter().sum();
        while attempt.tokens.len() < max_new {
            rules.apply(isa, &mut self.logits, &attempt.tokens);
            let token = if temperature > 0.0 {
                self.weights.resize(self.logits.len(), 0.0);
                scores::exp_at_temperature(isa, &self.logits, temperature, &mut self.weights);
                rng.choose(&self.weights)
            } else {
                scores::argmax(isa, &self.logits)
            };
            let logprob = self.logits[token] - scores::log_sum_exp(isa, &self.logits);
            if limits.second_choices > 0 && logprob < DOUBTFUL_LOGPROB && token < eot as usize {
                self.doubts.extend(Doubt::at(attempt.tokens.len(), isa, &mut self.logits, token, logprob, eot));
            }
            let token = token as u32;
            taps.token(token);
            sum_logprob += logprob;
            if token == eot {
                attempt.finished = true;
                break;
            }
            attempt.tokens.push(token);
            attempt.logprobs.push(logprob);
            if token < eot {
                self.text.push(token);
                attempt.looped = limits.loop_guard && ends_in_loop(&self.text);
            }
            let lost = other.is_some_and(|detour| detour.is_lost(&attempt, sum_logprob));
            if lost || attempt.looped || attempt.tokens.len() == max_new {
                break;
            }
            let logits = engine.decode(&[token], LogitsFor::Last)?;
            self.fed.push(token);
            self.steps += 1;
            taps.logits(logits);
            replace(&mut self.logits, logits);
        }
        attempt.avg_logprob = sum_logprob / (attempt.tokens.len() + 1) as f32;
        Ok(attempt)
    }

    /// Brings the cache to `tokens` after the prompt, of which at least the last is fed: the logits after it are what is wanted.
    fn feed<E: Engine>(&mut self, engine: &mut E, tokens: &[u32], taps: &mut DigestTaps) -> Result<(), EngineError> {
        let same = tokens.iter().zip(&self.fed).take_while(|(a, b)| a == b).count().min(tokens.len() - 1);
        engine.rewind(self.prompt_len + same);
        let logits = engine.decode(&tokens[same..], LogitsFor::Last)?;
        self.fed.clear();
        self.fed.extend_from_slice(tokens);
        self.steps += 1;
        taps.logits(logits);
        replace(&mut self.logits, logits);
        Ok(())
    }
}

/// The probability of `token` under `logits`.
pub fn probability<E: Engine>(engine: &E, logits: &[f32], token: u32) -> f32 {
    scores::exp(logits[token as usize] - scores::log_sum_exp(engine.isa(), logits))
}

fn replace(buffer: &mut Vec<f32>, with: &[f32]) {
    buffer.clear();
    buffer.extend_from_slice(with);
}

#[cfg(test)]
mod tests {
    use super::super::attempt::Limits;
    use super::super::fake::{Fake, Script};
    use super::super::rules::{Rules, TimestampLimits};
    use super::super::specials::Specials;
    use super::super::specials::tests::{SMALL_VOCAB, small};
    use super::*;

    const LIMITS: Limits = Limits { max_new_tokens: 224, loop_guard: true, second_choices: 0 };

    fn task(rules: &Rules, temperature: f32) -> Task<'_> {
        Task { rules, eot: 50, limits: LIMITS, temperature }
    }

    fn specials() -> Specials {
        Specials::new(&small(), SMALL_VOCAB).unwrap()
    }

    fn run(script: Script, timestamps: bool, temperature: f32) -> (Attempt, Fake, Decoder) {
        let specials = specials();
        let limits = timestamps.then_some(TimestampLimits { max_initial: Some(50), max: 1500 });
        let rules = Rules::new(&specials, &[], &[], limits);
        let mut engine = Fake::new(vec![script]);
        let mut decoder = Decoder::default();
        let taps = &mut DigestTaps::new(false);
        engine.encode(&vec![0.0; 3000 * 80], 3000).unwrap();
        decoder.prompt(&mut engine, &Prompt { before: vec![], sot: 51, after: vec![52, 55] }, taps).unwrap();
        let mut rng = Rng::new(1);
        let attempt = decoder.attempt(&mut engine, &task(&rules, temperature), &mut rng, taps).unwrap();
        (attempt, engine, decoder)
    }

    #[test]
    fn a_prompt_at_once_is_a_prompt_in_two_steps() {
        let (_, mut engine, mut decoder) = run(Script::says(&[1]).no_speech(3.0), false, 0.0);
        let taps = &mut DigestTaps::new(true);
        for after in [vec![], vec![52], vec![52, 55]] {
            decoder.prompt(&mut engine, &Prompt { before: vec![], sot: 51, after: after.clone() }, taps).unwrap();
            let at_once = (decoder.sot_logits.clone(), decoder.after_prompt.clone(), decoder.prompt_len, taps.finish());
            *taps = DigestTaps::new(true);
            decoder.start(&mut engine, 51, taps).unwrap();
            decoder.finish_prompt(&mut engine, &after, taps).unwrap();
            assert_eq!((decoder.sot_logits.clone(), decoder.after_prompt.clone(), decoder.prompt_len, taps.finish()), at_once);
            *taps = DigestTaps::new(true);
        }
    }

    #[test]
    fn follows_the_likeliest_token_to_the_end_of_text() {
        let (attempt, engine, _) = run(Script::says(&[60, 1, 2, 3, 160]), true, 0.0);
        assert_eq!(attempt.tokens, [60, 1, 2, 3, 160]);
        assert!(attempt.finished && !attempt.looped);
        assert_eq!(engine.fed(), [51, 52, 55, 60, 1, 2, 3, 160]);
    }

    #[test]
    fn average_log_probability_counts_the_end_of_text() {
        let (attempt, _, _) = run(Script::says(&[1, 2]).confidence(3.0), false, 0.0);
        // Every step: one logit at 3, the texts' at 0, of which the five steering tokens are masked, the timestamps' at -10; and the end
        // of text half a unit lower than it would be.
        let (word, end) = (3.0f64, -0.5f64);
        let rest = f64::from(60 - 5 - 2) + 1501.0 * (-10.0f64).exp();
        let within = word - (word.exp() + end.exp() + rest).ln();
        let last = word + end - ((word + end).exp() + 1.0 + rest).ln();
        let lp = (2.0 * within + last) / 3.0;
        assert!((f64::from(attempt.avg_logprob) - lp).abs() < 1e-4, "{} {lp}", attempt.avg_logprob);
        assert_eq!(attempt.logprobs.len(), 2);
    }

    #[test]
    fn loops_are_cut_short() {
        let (attempt, _, _) = run(Script::says(&[1, 2].repeat(100)), false, 0.0);
        assert!(attempt.looped && !attempt.finished);
        assert_eq!(attempt.tokens.len(), 24);
    }

    #[test]
    fn stops_at_the_limit() {
        let words: Vec<u32> = (0..400).map(|i| (i * i / 7) % 50).filter(|t| ![7, 8, 9].contains(t)).collect();
        let (attempt, _, _) = run(Script::says(&words), false, 0.0);
        assert_eq!(attempt.tokens.len(), 224);
        assert!(!attempt.finished);
    }

    #[test]
    fn a_second_attempt_starts_after_the_prompt_and_the_same_seed_repeats_it() {
        let (first, mut engine, mut decoder) = run(Script::says(&[60, 1, 2, 3, 160]).confidence(5.0), true, 1.0);
        let rules = Rules::new(&specials(), &[], &[], Some(TimestampLimits { max_initial: Some(50), max: 1500 }));
        let taps = &mut DigestTaps::new(false);
        let again = decoder.attempt(&mut engine, &task(&rules, 1.0), &mut Rng::new(1), taps).unwrap();
        assert_eq!(first, again);
        assert_eq!(engine.fed()[..3], [51, 52, 55]);
        let other = decoder.attempt(&mut engine, &task(&rules, 1.0), &mut Rng::new(2), taps).unwrap();
        assert_ne!(first.tokens, other.tokens);
    }
}
