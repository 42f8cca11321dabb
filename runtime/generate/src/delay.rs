//! In which order the codes of several codebooks are given.

/// Codebooks that come one after another: codebook `q` of frame `t` is given at step `1 + t + delays[q]`, after a first step of special tokens
/// (Copet et al. 2023, "Simple and controllable music generation").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayPattern {
    delays: Vec<usize>,
}

impl DelayPattern {
    /// A codebook for each delay.
    pub fn new(delays: &[usize]) -> Self {
        Self { delays: delays.to_owned() }
    }

    /// Codebooks.
    pub fn codebooks(&self) -> usize {
        self.delays.len()
    }

    /// Steps of the sequence for so many frames, the first of special tokens among them.
    pub fn steps(&self, frames: usize) -> usize {
        1 + frames + self.longest()
    }

    /// Steps by which a codebook is late.
    pub fn delay(&self, codebook: usize) -> usize {
        self.delays[codebook]
    }

    /// The longest delay.
    pub fn longest(&self) -> usize {
        self.delays.iter().copied().max().unwrap_or(0)
    }

    /// Which frame of `frames` a codebook has at a step; none where the special token stands.
    pub fn frame(&self, step: usize, codebook: usize, frames: usize) -> Option<usize> {
        let frame = step.checked_sub(1 + self.delays[codebook])?;
        (frame < frames).then_some(frame)
    }

    /// Frames of which every codebook has been given once `steps` steps of the sequence are there.
    pub fn complete(&self, steps: usize, frames: usize) -> usize {
        steps.saturating_sub(1 + self.longest()).min(frames)
    }

    /// The sequence of codes `[codebooks][frames]`: `[steps][codebooks]`, with `special` where no code stands.
    pub fn apply(&self, codes: &[u32], frames: usize, special: u32) -> Vec<u32> {
        let mut sequence = Vec::with_capacity(self.steps(frames) * self.codebooks());
        for step in 0..self.steps(frames) {
            let codes = (0..self.codebooks()).map(|q| self.frame(step, q, frames).map_or(special, |t| codes[q * frames + t]));
            sequence.extend(codes);
        }
        sequence
    }

    /// The codes `[codebooks][frames]` of a sequence.
    pub fn undo(&self, sequence: &[u32], frames: usize) -> Vec<u32> {
        let codebooks = self.codebooks();
        let code = |q: usize, t: usize| sequence[(1 + t + self.delays[q]) * codebooks + q];
        (0..codebooks).flat_map(|q| (0..frames).map(move |t| code(q, t))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_codebooks_are_one_step_apart() {
        let pattern = DelayPattern::new(&[0, 1, 2, 3]);
        let codes: Vec<u32> = (0..12).collect();
        let sequence = pattern.apply(&codes, 3, 99);
        let want = [[99, 99, 99, 99], [0, 99, 99, 99], [1, 3, 99, 99], [2, 4, 6, 99], [99, 5, 7, 9], [99, 99, 8, 10], [99, 99, 99, 11]];
        assert_eq!(sequence, want.concat());
        assert_eq!(pattern.steps(3), want.len());
        assert_eq!(pattern.undo(&sequence, 3), codes);
        assert_eq!((0..8).map(|steps| pattern.complete(steps, 3)).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn any_delays_are_undone() {
        for delays in [&[0][..], &[0, 0, 0], &[2, 0, 5], &[3, 2, 1, 0]] {
            let pattern = DelayPattern::new(delays);
            for frames in [1, 2, 7] {
                let codes: Vec<u32> = (0..(delays.len() * frames) as u32).collect();
                assert_eq!(pattern.undo(&pattern.apply(&codes, frames, 77), frames), codes);
            }
        }
    }
}
