//! Attempts at a window's text.

use super::rules::Rules;

/// What one attempt produced.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Tokens, the end of text left out.
    pub tokens: Vec<u32>,
    /// Log-probability of each token among those allowed.
    pub logprobs: Vec<f32>,
    /// Mean log-probability, the end of text included when it came.
    pub avg_logprob: f32,
    /// Whether the end of text came.
    pub finished: bool,
    /// Whether decoding stopped because the text had begun to repeat.
    pub looped: bool,
    /// The temperature; 0 is greedy.
    pub temperature: f32,
}

/// How far an attempt may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens produced at most.
    pub max_new_tokens: usize,
    /// Whether to stop when the text repeats itself.
    pub loop_guard: bool,
    /// Doubtful words of a greedy text that are tried with their second choice.
    pub second_choices: usize,
}

/// What an attempt decodes by.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Which tokens may come next.
    pub rules: &'a Rules,
    /// The end of text.
    pub eot: u32,
    /// How far it may go.
    pub limits: Limits,
    /// 0 is greedy.
    pub temperature: f32,
}
