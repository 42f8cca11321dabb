//! From logits to a token.

use std::cmp::Ordering;

use ossicle_kernels::activation::softmax;
use ossicle_kernels::simd::Isa;

/// How a token is drawn. The defaults are those of AudioGen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by. At 0 the likeliest token is taken, the first of several.
    pub temperature: f32,
    /// Only tokens as likely as this many are drawn, those as likely as the last of them among them; 0 draws any.
    pub top_k: usize,
    /// Only the likeliest tokens are drawn, as many as it takes to reach this probability; 0 draws any. Goes before `top_k`, as in audiocraft.
    pub top_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 250, top_p: 0.0 }
    }
}

impl Sampling {
    /// What is wrong with the figures, if anything.
    pub fn problem(&self) -> Option<String> {
        let Self { temperature, top_p, .. } = *self;
        // Below 0.001 a difference of 100 between logits does not fit f32 any more.
        let even = temperature == 0.0 || (0.001..=100.0).contains(&temperature);
        if !even {
            return Some(format!("temperature {temperature}: 0, or 0.001 to 100, is possible"));
        }
        (!(0.0..=1.0).contains(&top_p)).then(|| format!("top-p {top_p}: 0 to 1 is possible"))
    }
}

/// Guidance away from what would be said without a description (Ho and Salimans 2022, classifier-free guidance):
/// `conditional = unconditional + factor * (conditional - unconditional)`.
///
/// # Panics
/// If the lengths differ.
pub fn guide(conditional: &mut [f32], unconditional: &[f32], factor: f32) {
    assert_eq!(conditional.len(), unconditional.len(), "rows of logits");
    for (conditional, unconditional) in conditional.iter_mut().zip(unconditional) {
        *conditional = unconditional + (*conditional - unconditional) * factor;
    }
}

/// Draws tokens; has the memory for it.
#[derive(Clone, Debug)]
pub struct Sampler {
    isa: Isa,
    sampling: Sampling,
    /// Probabilities, by token.
    probabilities: Vec<f32>,
    /// For the k-th largest.
    sorted: Vec<f32>,
    /// Tokens by probability.
    order: Vec<u32>,
}

impl Sampler {
    /// A sampler over so many tokens.
    pub fn new(isa: Isa, sampling: Sampling, tokens: usize) -> Self {
        let sorted = if sampling.top_k > 0 { tokens } else { 0 };
        let order = if sampling.top_p > 0.0 { tokens } else { 0 };
        Self { isa, sampling, probabilities: vec![0.0; tokens], sorted: vec![0.0; sorted], order: Vec::with_capacity(order) }
    }

    /// Bytes of its memory.
    pub fn bytes(sampling: &Sampling, tokens: usize) -> usize {
        tokens * (size_of::<f32>() + if sampling.top_k > 0 { 4 } else { 0 } + if sampling.top_p > 0.0 { 4 } else { 0 })
    }

    /// The token that `uniform`, in 0.0..1.0, falls on. Probabilities are a softmax in f32; those kept are added in f64 in the order of
    /// tokens, and `uniform` times their sum lies within the one that is drawn.
    ///
    /// # Panics
    /// If there are not as many logits as tokens.
    pub fn draw(&mut self, logits: &[f32], uniform: f64) -> u32 {
        assert_eq!(logits.len(), self.probabilities.len(), "logits");
        let Sampling { temperature, top_k, top_p } = self.sampling;
        if temperature == 0.0 {
            return likeliest(logits);
        }
        for (p, logit) in self.probabilities.iter_mut().zip(logits) {
            *p = logit / temperature;
        }
        softmax(self.isa, &mut self.probabilities);
        if top_p > 0.0 {
            self.keep_mass(f64::from(top_p));
        } else if (1..logits.len()).contains(&top_k) {
            self.keep_count(top_k);
        }
        self.pick(uniform)
    }

    /// Keeps as many of the likeliest tokens, and those that are as likely as the last of them.
    fn keep_count(&mut self, count: usize) {
        self.sorted.copy_from_slice(&self.probabilities);
        let (_, &mut least, _) = self.sorted.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        self.probabilities.iter_mut().filter(|p| **p < least).for_each(|p| *p = 0.0);
    }

    /// Keeps the likeliest tokens until what came before a token is more than `mass`; equally likely ones go by number.
    fn keep_mass(&mut self, mass: f64) {
        let Self { probabilities, order, .. } = self;
        order.clear();
        order.extend(0..probabilities.len() as u32);
        let more = |a: &u32, b: &u32| match probabilities[*b as usize].total_cmp(&probabilities[*a as usize]) {
            Ordering::Equal => a.cmp(b),
            other => other,
        };
        order.sort_unstable_by(more);
        let mut before = 0.0;
        for &token in order.iter() {
            let p = &mut probabilities[token as usize];
            let own = f64::from(*p);
            if before > mass {
                *p = 0.0;
            }
            before += own;
        }
    }

    fn pick(&self, uniform: f64) -> u32 {
        let total: f64 = self.probabilities.iter().map(|&p| f64::from(p)).sum();
        let wanted = uniform * total;
        let (mut sum, mut last) = (0.0, 0);
        for (token, &p) in self.probabilities.iter().enumerate() {
            if p > 0.0 {
                sum += f64::from(p);
                last = token as u32;
                if wanted < sum {
                    break;
                }
            }
        }
        last
    }
}

/// The token of the largest logit, the first of several.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Philox;

    fn logits(tokens: usize, seed: u64) -> Vec<f32> {
        let random = Philox::new(seed);
        // A grid of 1/8, so that some are equal.
        (0..tokens as u64).map(|i| (random.uniform(0, i) * 64.0).floor() as f32 / 8.0).collect()
    }

    /// Probabilities that are drawn from, the plain way in f64.
    fn twin(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
        let scaled: Vec<f64> = logits.iter().map(|&x| f64::from(x) / f64::from(sampling.temperature)).collect();
        let largest = scaled.iter().copied().fold(f64::MIN, f64::max);
        let powers: Vec<f64> = scaled.iter().map(|x| (x - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let mut p: Vec<f64> = powers.iter().map(|x| x / sum).collect();
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        if sampling.top_p > 0.0 {
            let mut before = 0.0;
            for &token in &order {
                let own = p[token];
                if before > f64::from(sampling.top_p) {
                    p[token] = 0.0;
                }
                before += own;
            }
        } else if sampling.top_k > 0 && sampling.top_k < p.len() {
            let least = p[order[sampling.top_k - 1]];
            p.iter_mut().filter(|p| **p < least).for_each(|p| *p = 0.0);
        }
        let sum: f64 = p.iter().sum();
        p.iter().map(|x| x / sum).collect()
    }

    #[test]
    fn draws_are_those_of_the_twin_in_f64() {
        let settings = [(1.0, 0, 0.0), (0.7, 5, 0.0), (1.3, 40, 0.0), (1.0, 5, 0.6), (2.0, 0, 0.95), (1.0, 1, 0.0), (0.1, 500, 0.0)];
        for (temperature, top_k, top_p) in settings {
            let sampling = Sampling { temperature, top_k, top_p };
            let (mut same, mut all) = (0, 0);
            for seed in 0..8 {
                let logits = logits(100, seed);
                let want = twin(&logits, &sampling);
                let mut samplers: Vec<Sampler> = Isa::available().map(|isa| Sampler::new(isa, sampling, 100)).collect();
                for draw in 0..500 {
                    let uniform = Philox::new(1).uniform(seed as u32, draw);
                    let mut sum = 0.0;
                    let twin = want.iter().position(|p| {
                        sum += p;
                        uniform < sum
                    });
                    let tokens: Vec<u32> = samplers.iter_mut().map(|sampler| sampler.draw(&logits, uniform)).collect();
                    assert!(tokens.iter().all(|&token| token == tokens[0] && want[token as usize] > 0.0), "{tokens:?}");
                    same += usize::from(twin == Some(tokens[0] as usize));
                    all += 1;
                }
            }
            // Rounding moves the borders by 1e-6.
            assert!(same >= all - 2, "{sampling:?}: {same} of {all}");
        }
    }

    #[test]
    fn equally_likely_tokens_are_all_kept_by_count() {
        let logits = [1.0, 3.0, 2.0, 2.0, 2.0, 0.0];
        let drawn = |top_k, top_p| {
            let mut sampler = Sampler::new(Isa::detect(), Sampling { temperature: 1.0, top_k, top_p }, 6);
            let mut seen: Vec<u32> = (0..2000).map(|i| sampler.draw(&logits, f64::from(i) / 2000.0)).collect();
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(drawn(2, 0.0), [1, 2, 3, 4]);
        assert_eq!(drawn(1, 0.0), [1]);
        assert_eq!(drawn(0, 0.0), [0, 1, 2, 3, 4, 5]);
        // Token 1 has 0.43, tokens 2 to 4 have 0.16 each.
        assert_eq!(drawn(2, 0.5), [1, 2]);
    }

    #[test]
    fn no_temperature_takes_the_first_of_the_likeliest() {
        let mut sampler = Sampler::new(Isa::detect(), Sampling { temperature: 0.0, top_k: 3, top_p: 0.0 }, 4);
        assert_eq!(sampler.draw(&[1.0, 4.0, 4.0, -1.0], 0.99), 1);
    }

    #[test]
    fn the_ends_of_the_range_are_tokens_that_are_kept() {
        let mut sampler = Sampler::new(Isa::detect(), Sampling { temperature: 1.0, top_k: 2, top_p: 0.0 }, 4);
        assert_eq!(sampler.draw(&[0.0, 4.0, 3.0, -1.0], 0.0), 1);
        assert_eq!(sampler.draw(&[0.0, 4.0, 3.0, -1.0], 1.0 - f64::EPSILON), 2);
    }

    #[test]
    fn guidance_goes_from_one_row_past_the_other() {
        let mut row = [1.0, 2.0];
        guide(&mut row, &[0.5, 4.0], 3.0);
        assert_eq!(row, [2.0, -2.0]);
    }

    #[test]
    fn figures_that_mean_nothing_are_named() {
        for (sampling, word) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: 1e-9, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 1.5, ..Sampling::default() }, "top-p"),
            (Sampling { top_p: f32::NAN, ..Sampling::default() }, "top-p"),
        ] {
            assert!(sampling.problem().is_some_and(|problem| problem.contains(word)), "{sampling:?}");
        }
        assert_eq!(Sampling::default().problem(), None);
    }
}
