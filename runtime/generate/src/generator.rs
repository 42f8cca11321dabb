//! The loop over a model's steps.

use std::fmt;
use std::ops::Range;

use ossicle_kernels::simd::Isa;

use crate::delay::DelayPattern;
use crate::philox::Philox;
use crate::sampler::{Sampler, Sampling, guide};

/// What gives logits, step after step. It remembers the steps before.
pub trait TokenModel {
    /// Why a step cannot be taken.
    type Error;

    /// Takes the next token of each codebook and returns the logits of those after it: `[rows][codebooks][codes]`, two rows where guidance is
    /// asked for (with the description, without), one otherwise.
    ///
    /// # Errors
    /// The model's own.
    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], Self::Error>;
}

/// How to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Instruction set of the softmax; no choice changes a token.
    pub isa: Isa,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// How far to go away from what the model says without a description: 1 leaves guidance out, and the model's second row.
    pub guidance: f32,
    /// What the draws belong to.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { isa: Isa::detect(), sampling: Sampling::default(), guidance: 3.0, seed: 0 }
    }
}

impl Settings {
    /// Rows of logits that the model is asked for.
    pub fn rows(&self) -> usize {
        if self.guidance == 1.0 { 1 } else { 2 }
    }
}

/// Settings that mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// Why a step was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum GenerateError<E> {
    /// The model's own reason.
    Model(E),
    /// It gave so many logits, not as many as there should be.
    Logits {
        /// Given.
        have: usize,
        /// Rows times codebooks times codes.
        want: usize,
    },
}

impl<E: fmt::Display> fmt::Display for GenerateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Logits { have, want } => write!(f, "{have} logits, {want} were expected"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for GenerateError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(error) => error.source(),
            Self::Logits { .. } => None,
        }
    }
}

/// Generates the codes of a number of frames, step after step. Allocates nothing after it was made.
#[derive(Clone, Debug)]
pub struct Generator {
    pattern: DelayPattern,
    /// Codes of a codebook; the special token is one more.
    codes: usize,
    frames: usize,
    /// Frames whose codes were given.
    given: usize,
    /// Of the first frame in the whole recording, which draws go by.
    start: u64,
    settings: Settings,
    random: Philox,
    sampler: Sampler,
    /// Guided logits, `[codebooks][codes]`.
    logits: Vec<f32>,
    /// `[steps][codebooks]`; what is not known yet is [`UNKNOWN`].
    sequence: Vec<u32>,
    /// Steps of the sequence that the model has taken.
    taken: usize,
}

/// A code that has still to be drawn.
const UNKNOWN: u32 = u32::MAX;

impl Generator {
    /// A generator of `frames` frames of codes below `codes`.
    ///
    /// # Errors
    /// [`SettingsError`] if a figure of the settings is outside of its range.
    pub fn new(pattern: DelayPattern, codes: usize, frames: usize, settings: Settings) -> Result<Self, SettingsError> {
        Self::continuing(pattern, codes, &[], frames, 0, settings)
    }

    /// As [`new`](Self::new), of which the first frames are given, `[codebooks][given]`. Frame 0 is the `start`th of a whole that is
    /// generated piece by piece: draws go by its count.
    ///
    /// # Errors
    /// As [`new`](Self::new), or if a code that is given is no code, or there are more frames given than to be generated.
    pub fn continuing(
        pattern: DelayPattern,
        codes: usize,
        prompt: &[u32],
        frames: usize,
        start: u64,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        let codebooks = pattern.codebooks();
        let given = prompt.len() / codebooks.max(1);
        if let Some(problem) = settings.sampling.problem() {
            return Err(SettingsError(problem));
        }
        if !(0.0..=100.0).contains(&settings.guidance) {
            return Err(SettingsError(format!("guidance {}: 0 to 100 is possible", settings.guidance)));
        }
        if codebooks == 0 || given * codebooks != prompt.len() || given > frames {
            return Err(SettingsError(format!("{} codes given for {codebooks} codebooks of {frames} frames", prompt.len())));
        }
        if let Some(code) = prompt.iter().find(|&&code| code as usize >= codes) {
            return Err(SettingsError(format!("code {code} given of {codes}")));
        }
        let mut all = vec![UNKNOWN; codebooks * frames];
        for (all, prompt) in all.chunks_exact_mut(frames.max(1)).zip(prompt.chunks_exact(given.max(1))) {
            all[..given].copy_from_slice(&prompt[..given]);
        }
        Ok(Self {
            sequence: pattern.apply(&all, frames, codes as u32),
            pattern,
            codes,
            frames,
            given,
            start,
            random: Philox::new(settings.seed),
            sampler: Sampler::new(settings.isa, settings.sampling, codes),
            logits: vec![0.0; codebooks * codes],
            settings,
            taken: 0,
        })
    }

    /// Bytes of a generator's memory.
    pub fn bytes(pattern: &DelayPattern, codes: usize, frames: usize, settings: &Settings) -> usize {
        let codebooks = pattern.codebooks();
        4 * codebooks * (codes + pattern.steps(frames)) + Sampler::bytes(&settings.sampling, codes)
    }

    /// Steps that the model has to take in all.
    pub fn steps(&self) -> usize {
        self.pattern.steps(self.frames) - 1
    }

    /// Steps that it has taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a step; returns the frames whose last codebook came with it, none at the end.
    ///
    /// # Errors
    /// What the model says, or that it gave too many or too few logits.
    pub fn step<M: TokenModel>(&mut self, model: &mut M) -> Result<Option<Range<usize>>, GenerateError<M::Error>> {
        if self.taken >= self.steps() {
            return Ok(None);
        }
        let codebooks = self.pattern.codebooks();
        let next = self.taken + 1;
        let (before, after) = self.sequence.split_at_mut(next * codebooks);
        let logits = model.step(&before[self.taken * codebooks..]).map_err(GenerateError::Model)?;
        let row = codebooks * self.codes;
        let want = self.settings.rows() * row;
        if logits.len() != want {
            return Err(GenerateError::Logits { have: logits.len(), want });
        }
        self.logits.copy_from_slice(&logits[..row]);
        if self.settings.rows() == 2 {
            guide(&mut self.logits, &logits[row..], self.settings.guidance);
        }
        for (q, (logits, token)) in self.logits.chunks_exact(self.codes).zip(after).enumerate() {
            if let (UNKNOWN, Some(frame)) = (*token, self.pattern.frame(next, q, self.frames)) {
                *token = self.sampler.draw(logits, self.random.uniform(q as u32, self.start + frame as u64));
            }
        }
        let complete = self.complete();
        self.taken = next;
        Ok(Some(complete..self.complete()))
    }

    /// Frames that are complete, those given among them.
    pub fn complete(&self) -> usize {
        self.pattern.complete(self.taken + 1, self.frames).max(self.given)
    }

    /// The codes of a frame that is complete.
    pub fn frame(&self, frame: usize) -> impl Iterator<Item = u32> + '_ {
        let codebooks = self.pattern.codebooks();
        (0..codebooks).map(move |q| self.sequence[(1 + frame + self.pattern.delay(q)) * codebooks + q])
    }

    /// The codes of all frames that are complete, `[codebooks][frames]`.
    pub fn codes(&self) -> Vec<u32> {
        self.pattern.undo(&self.sequence, self.complete())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits that depend on all tokens so far, and on the row.
    struct Toy {
        rows: usize,
        codebooks: usize,
        codes: usize,
        hash: u64,
        steps: Vec<Vec<u32>>,
        logits: Vec<f32>,
    }

    impl Toy {
        fn new(rows: usize, codebooks: usize, codes: usize) -> Self {
            Self { rows, codebooks, codes, hash: 1, steps: vec![], logits: vec![0.0; rows * codebooks * codes] }
        }
    }

    impl TokenModel for Toy {
        type Error = String;

        fn step(&mut self, tokens: &[u32]) -> Result<&[f32], String> {
            if tokens.iter().any(|&token| token as usize > self.codes) {
                return Err(format!("{tokens:?}"));
            }
            self.steps.push(tokens.to_owned());
            self.hash = tokens.iter().fold(self.hash, |hash, &token| hash.wrapping_mul(6_364_136_223_846_793_005) + u64::from(token) + 1);
            let random = Philox::new(self.hash);
            assert_eq!(self.logits.len(), self.rows * self.codebooks * self.codes);
            self.logits.iter_mut().zip(0..).for_each(|(logit, at)| *logit = 4.0 * random.uniform(0, at) as f32);
            Ok(&self.logits)
        }
    }

    fn run(generator: &mut Generator, model: &mut Toy) -> Vec<u32> {
        while generator.step(model).unwrap().is_some() {}
        generator.codes()
    }

    fn settings(seed: u64, guidance: f32) -> Settings {
        Settings { seed, guidance, sampling: Sampling { top_k: 5, ..Sampling::default() }, ..Settings::default() }
    }

    #[test]
    fn the_model_sees_delayed_codes_and_special_tokens() {
        let pattern = DelayPattern::new(&[0, 1, 2, 3]);
        let mut model = Toy::new(2, 4, 10);
        let mut generator = Generator::new(pattern.clone(), 10, 5, settings(3, 2.0)).unwrap();
        let codes = run(&mut generator, &mut model);
        assert!(codes.len() == 20 && codes.iter().all(|&code| code < 10));
        // All steps but the last, after which nothing is asked.
        let sequence = pattern.apply(&codes, 5, 10);
        assert_eq!(model.steps.concat(), sequence[..sequence.len() - 4]);
        assert_eq!((generator.taken(), generator.steps()), (8, 8));
        assert_eq!(generator.step(&mut model), Ok(None));
        assert_eq!(generator.frame(2).collect::<Vec<_>>(), [codes[2], codes[7], codes[12], codes[17]]);
    }

    #[test]
    fn a_seed_gives_its_codes_and_another_gives_others() {
        let codes = |seed, guidance| {
            let rows = if guidance == 1.0 { 1 } else { 2 };
            let mut generator = Generator::new(DelayPattern::new(&[0, 1]), 30, 20, settings(seed, guidance)).unwrap();
            run(&mut generator, &mut Toy::new(rows, 2, 30))
        };
        assert_eq!(codes(1, 3.0), codes(1, 3.0));
        assert_ne!(codes(1, 3.0), codes(2, 3.0));
        assert_ne!(codes(1, 3.0), codes(1, 1.0));
    }

    #[test]
    fn frames_are_complete_with_their_last_codebook() {
        let mut generator = Generator::new(DelayPattern::new(&[0, 2]), 9, 3, settings(0, 1.0)).unwrap();
        let mut model = Toy::new(1, 2, 9);
        let mut ranges = vec![];
        while let Some(range) = generator.step(&mut model).unwrap() {
            ranges.push(range);
        }
        assert_eq!(ranges, [0..0, 0..0, 0..1, 1..2, 2..3]);
    }

    #[test]
    fn what_is_given_stays_and_draws_go_by_the_whole() {
        let pattern = DelayPattern::new(&[0, 1, 2]);
        let whole = run(&mut Generator::new(pattern.clone(), 12, 8, settings(4, 1.0)).unwrap(), &mut Toy::new(1, 3, 12));
        let prompt: Vec<u32> = whole.chunks_exact(8).flat_map(|codes| &codes[..5]).copied().collect();
        let mut again = Generator::continuing(pattern.clone(), 12, &prompt, 8, 0, settings(4, 1.0)).unwrap();
        assert_eq!(again.complete(), 5);
        assert_eq!(run(&mut again, &mut Toy::new(1, 3, 12)), whole);
        // The same frames as a later part of a whole are drawn otherwise.
        let mut later = Generator::continuing(pattern, 12, &prompt, 8, 100, settings(4, 1.0)).unwrap();
        let later = run(&mut later, &mut Toy::new(1, 3, 12));
        assert_ne!(later, whole);
        assert!((0..3).all(|q| later[8 * q..][..5] == whole[8 * q..][..5]));
    }

    #[test]
    fn wrong_figures_and_models_are_errors() {
        let pattern = || DelayPattern::new(&[0, 1]);
        let refused = |prompt: &[u32], settings| Generator::continuing(pattern(), 4, prompt, 1, 0, settings).unwrap_err().to_string();
        assert!(refused(&[], settings(0, f32::NAN)).contains("guidance NaN: 0 to 100"));
        assert!(refused(&[1, 2, 3], settings(0, 1.0)).contains("3 codes given for 2 codebooks"));
        assert!(refused(&[1; 4], settings(0, 1.0)).contains("4 codes given"));
        assert!(refused(&[1, 4], settings(0, 1.0)).contains("code 4 given of 4"));
        assert!(Generator::new(DelayPattern::new(&[]), 4, 1, settings(0, 1.0)).is_err());
        let mut generator = Generator::new(pattern(), 4, 1, settings(0, 3.0)).unwrap();
        let short = generator.step(&mut Toy::new(1, 2, 4));
        assert_eq!(short, Err(GenerateError::Logits { have: 8, want: 16 }));
    }
}
