//! A scripted engine: each window says what its script says.

use ossicle_kernels::simd::{Isa, Scalar};

use super::engine::{Branch, Dims, Engine, EngineError, Lanes, LogitsFor};
use super::specials::tests::SMALL_VOCAB;

/// What a window says, in tokens of the small test vocabulary, and how sure it is.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    tokens: Vec<u32>,
    confidence: f32,
    no_speech: f32,
    language: u32,
    others: Vec<Other>,
}

/// Another text from a token on.
#[derive(Clone, Debug)]
struct Other {
    /// Tokens before the first that differs.
    at: usize,
    /// The logit of the first that differs; from there on `confidence` counts.
    logit: f32,
    tokens: Vec<u32>,
    confidence: f32,
}

impl Script {
    pub(crate) fn says(tokens: &[u32]) -> Self {
        Self { tokens: tokens.to_vec(), confidence: 30.0, no_speech: 0.0, language: 52, others: vec![] }
    }

    /// The logit of the scripted token; other texts have 0, other timestamps -10.
    pub(crate) fn confidence(mut self, logit: f32) -> Self {
        self.confidence = logit;
        self
    }

    /// A second choice at token `at`: with `tokens[at]`, whose logit is given, the text goes on as `tokens`, as sure as `confidence` says.
    pub(crate) fn or(mut self, at: usize, logit: f32, tokens: &[u32], confidence: f32) -> Self {
        self.others.push(Other { at, logit, tokens: tokens.to_vec(), confidence });
        self
    }

    /// The logit of `<|nospeech|>` after the start of transcript.
    pub(crate) fn no_speech(mut self, logit: f32) -> Self {
        self.no_speech = logit;
        self
    }

    pub(crate) fn language(mut self, token: u32) -> Self {
        self.language = token;
        self
    }
}

/// An engine over scripts, one for each encoder run, the last one for all beyond. Position decides what is said, not history.
pub(crate) struct Fake {
    scripts: Vec<Script>,
    current: Script,
    fed: Vec<u32>,
    logits: Vec<f32>,
    /// Frames of each encoder run.
    pub(crate) frames: Vec<usize>,
    encoder: Vec<f32>,
    /// Heads and tokens of the last alignment.
    aligned: (usize, usize),
    /// The texts of the lanes.
    pub(crate) lanes: Vec<Vec<u32>>,
    /// Lanes decoded since the start, each time counted.
    pub(crate) lane_rows: usize,
    /// Tokens that a lane holds.
    pub(crate) lane_tokens: usize,
    /// The position that token `i` attends to, in tens.
    pub(crate) attends: fn(usize) -> usize,
}

const EOT: u32 = 50;
const SOT: u32 = 51;
const NO_SPEECH: usize = 58;
const FIRST_TIMESTAMP: usize = 60;

impl Fake {
    pub(crate) fn new(scripts: Vec<Script>) -> Self {
        let current = scripts[0].clone();
        Self {
            scripts,
            current,
            fed: vec![],
            logits: vec![],
            frames: vec![],
            encoder: vec![],
            aligned: (0, 0),
            lanes: vec![],
            lane_rows: 0,
            lane_tokens: 160,
            attends: |token| token,
        }
    }

    /// Tokens in the cache.
    pub(crate) fn fed(&self) -> &[u32] {
        &self.fed
    }

    fn branch(&self, branch: Branch) -> &[u32] {
        match branch {
            Branch::Text(tokens) => &self.fed[..tokens],
            Branch::Lane(lane) => &self.lanes[lane],
        }
    }

    fn logits_after(&self, position: usize) -> Vec<f32> {
        self.logits_of(&self.fed[..=position])
    }

    fn logits_of(&self, fed: &[u32]) -> Vec<f32> {
        let position = fed.len() - 1;
        let mut row = vec![0.0; SMALL_VOCAB];
        row[FIRST_TIMESTAMP..].fill(-10.0);
        let sot = fed.iter().position(|&t| t == SOT);
        if sot == Some(position) {
            row[NO_SPEECH] = self.current.no_speech;
            row[self.current.language as usize] = 10.0;
        }
        let prompt_end = sot.map_or(0, |sot| {
            let special = |t: &&u32| (52..60).contains(*t);
            sot + 1 + fed[sot + 1..].iter().take_while(special).count()
        });
        let next = (position + 1).checked_sub(prompt_end);
        let (mut tokens, mut confidence) = (&self.current.tokens, self.current.confidence);
        for (other, next) in self.current.others.iter().filter_map(|other| Some((other, next?))) {
            if next == other.at {
                row[other.tokens[next] as usize] = other.logit;
            } else if fed.get(prompt_end + other.at) == Some(&other.tokens[other.at]) {
                (tokens, confidence) = (&other.tokens, other.confidence);
            }
        }
        let said = next.map_or(EOT, |i| tokens.get(i).copied().unwrap_or(EOT));
        row[said as usize] = confidence;
        row
    }
}

impl Engine for Fake {
    fn dims(&self) -> Dims {
        Dims { n_mels: 80, vocab_size: SMALL_VOCAB, max_tokens: 448, max_positions: 1500, d_model: 2, decoder_layers: 1, decoder_heads: 2 }
    }

    fn isa(&self) -> Isa {
        Isa::Scalar(Scalar)
    }

    fn encode(&mut self, mel: &[f32], frames: usize) -> Result<(), EngineError> {
        assert_eq!(mel.len(), frames * 80);
        assert_eq!(frames % 2, 0);
        let which = self.frames.len().min(self.scripts.len() - 1);
        self.current = self.scripts[which].clone();
        self.frames.push(frames);
        self.fed.clear();
        self.encoder = vec![which as f32; frames];
        Ok(())
    }

    fn encoder_output(&self) -> &[f32] {
        &self.encoder
    }

    fn decode(&mut self, tokens: &[u32], out: LogitsFor) -> Result<&[f32], EngineError> {
        self.fed.extend_from_slice(tokens);
        assert!(self.fed.len() <= 448, "context overrun");
        let (first, last) = (self.fed.len() - tokens.len(), self.fed.len() - 1);
        self.logits = match out {
            LogitsFor::FirstAndLast if first < last => [self.logits_after(first), self.logits_after(last)].concat(),
            LogitsFor::FirstAndLast | LogitsFor::Last => self.logits_after(last),
            LogitsFor::None => Vec::new(),
        };
        Ok(&self.logits)
    }

    fn position(&self) -> usize {
        self.fed.len()
    }

    fn rewind(&mut self, position: usize) {
        assert!(position <= self.fed.len());
        self.fed.truncate(position);
    }

    fn align(&mut self, tokens: &[u32], heads: &[(usize, usize)]) -> Result<(), EngineError> {
        self.aligned = (heads.len(), tokens.len());
        // As the network does it: what was in the cache is gone.
        self.fed = tokens.to_vec();
        Ok(())
    }

    /// Token `i` attends to positions 10 a .. 10 a + 10, a being what [`Fake::attends`] says.
    fn head_weights(&mut self, index: usize, out: &mut [f32]) -> Result<(), EngineError> {
        let ((heads, tokens), positions) = (self.aligned, self.frames.last().unwrap() / 2);
        assert!(index < heads && out.len() == tokens * positions);
        out.fill(1e-4);
        for (token, row) in out.chunks_exact_mut(positions).enumerate() {
            row.iter_mut().skip(10 * (self.attends)(token)).take(10).for_each(|weight| *weight = 0.1);
        }
        Ok(())
    }
}

impl Lanes for Fake {
    fn max_lanes(&self) -> usize {
        4
    }

    fn max_lane_tokens(&self) -> usize {
        self.lane_tokens
    }

    fn start_lanes(&mut self) {
        self.lanes.clear();
    }

    fn decode_lanes(&mut self, branches: &[Branch], tokens: &[u32]) -> Result<(), EngineError> {
        assert!(!tokens.is_empty() && tokens.len() <= self.max_lanes() && tokens.len() == branches.len());
        self.lanes = branches.iter().zip(tokens).map(|(&branch, &token)| [self.branch(branch), &[token]].concat()).collect();
        assert!(self.lanes.iter().all(|lane| lane.len() == self.lanes[0].len()), "lanes of different lengths");
        assert!(self.lanes[0].len() <= self.lane_tokens, "lane overrun");
        self.lane_rows += tokens.len();
        Ok(())
    }

    fn lane_logits(&mut self, branch: Branch, tokens: &[u32], out: &mut [f32]) -> Result<(), EngineError> {
        let logits = self.logits_of(self.branch(branch));
        assert_eq!(tokens.len(), out.len());
        out.iter_mut().zip(tokens).for_each(|(out, &token)| *out = logits[token as usize]);
        Ok(())
    }

    fn lane_vocabulary(&mut self, branch: Branch, out: &mut Vec<f32>) -> Result<(), EngineError> {
        *out = self.logits_of(self.branch(branch));
        Ok(())
    }
}
