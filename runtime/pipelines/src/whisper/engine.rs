//! What the pipeline asks of the neural network.

use std::error::Error;
use std::fmt;

use ossicle_kernels::simd::Isa;
pub use ossicle_models::whisper::Branch;

/// Which logits [`Engine::decode`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitsFor {
    /// Those of the last token only.
    Last,
    /// Those of the first and the last token, of at most 16; one row if they are the same.
    FirstAndLast,
    /// None: the tokens only enter the cache.
    None,
}

/// Shapes the pipeline needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Mel bands of a frame.
    pub n_mels: usize,
    /// Tokens the vocabulary has, timestamps included.
    pub vocab_size: usize,
    /// Tokens the decoder's context holds.
    pub max_tokens: usize,
    /// Encoder positions of the longest window (1500 for 30 s).
    pub max_positions: usize,
    /// Width of the encoder's output.
    pub d_model: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Attention heads of a decoder layer.
    pub decoder_heads: usize,
}

/// The network failed; carries its own error.
#[derive(Debug)]
pub struct EngineError(pub Box<dyn Error + Send + Sync>);

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A Whisper encoder and decoder holding one window's state.
pub trait Engine {
    /// Shapes of the model.
    fn dims(&self) -> Dims;

    /// The instruction set to use for what is computed on logits.
    fn isa(&self) -> Isa;

    /// Encodes `frames` (even) frames of normalised log-mel, frame after frame, and starts the decoder again at position 0.
    ///
    /// # Errors
    /// When the shape does not fit the model.
    fn encode(&mut self, mel: &[f32], frames: usize) -> Result<(), EngineError>;

    /// The last encoder output, `[frames / 2][d_model]`.
    fn encoder_output(&self) -> &[f32];

    /// Appends `tokens` at the current position; returns the wanted logits, `[rows][vocab_size]`.
    ///
    /// # Errors
    /// When the context is full or a token is not in the vocabulary.
    fn decode(&mut self, tokens: &[u32], out: LogitsFor) -> Result<&[f32], EngineError>;

    /// Tokens in the decoder's cache.
    fn position(&self) -> usize;

    /// Forgets the tokens from `position` on.
    fn rewind(&mut self, position: usize);

    /// Runs the decoder over `tokens` from position 0, for [`head_weights`](Self::head_weights) of `heads` (layer, head).
    ///
    /// # Errors
    /// When a head does not exist or the tokens do not fit the context.
    fn align(&mut self, tokens: &[u32], heads: &[(usize, usize)]) -> Result<(), EngineError>;

    /// The cross-attention weights of one head of the last [`align`](Self::align), `[tokens][positions]`, each row summing to 1.
    ///
    /// # Errors
    /// When there is no such head or `out` has another length.
    fn head_weights(&mut self, index: usize, out: &mut [f32]) -> Result<(), EngineError>;
}

/// An engine that follows several texts over the same window side by side.
pub trait Lanes: Engine {
    /// Most lanes at a time.
    fn max_lanes(&self) -> usize;

    /// Tokens that a lane holds at most, the prompt included.
    fn max_lane_tokens(&self) -> usize;

    /// Makes room for lanes, of which there are none yet. Of the text's tokens that are decoded one by one from here on, lanes can part from
    /// any, and the logits after them can be had once more.
    fn start_lanes(&mut self);

    /// Makes as many lanes as there are `tokens`: each continues `branches[i]` with `tokens[i]`, where lanes are those of before. The text
    /// itself stays as it is. What all continue has the same number of tokens.
    ///
    /// # Errors
    /// When there are too many, a branch does not exist or has another number of tokens, a token is not in the vocabulary or the lanes are
    /// full.
    fn decode_lanes(&mut self, branches: &[Branch], tokens: &[u32]) -> Result<(), EngineError>;

    /// The logits of `tokens` after `branch`.
    ///
    /// # Errors
    /// When there is no such lane, the text's token was not decoded by itself after [`start_lanes`](Self::start_lanes), a token is not in the
    /// vocabulary or `out` has another length.
    fn lane_logits(&mut self, branch: Branch, tokens: &[u32], out: &mut [f32]) -> Result<(), EngineError>;

    /// The logits of the whole vocabulary after `branch`, in place of what `out` holds.
    ///
    /// # Errors
    /// When there is no such lane, or the text's token was not decoded by itself after [`start_lanes`](Self::start_lanes).
    fn lane_vocabulary(&mut self, branch: Branch, out: &mut Vec<f32>) -> Result<(), EngineError>;
}
