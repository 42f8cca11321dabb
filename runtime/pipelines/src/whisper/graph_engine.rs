//! The engine on ossicle-models.

use ossicle_kernels::simd::Isa;
use ossicle_models::GraphError;
use ossicle_models::whisper::{LANE_TOKENS, LogitsFor as GraphLogitsFor, MAX_LANES, WhisperGraph};

use super::engine::{Branch, Dims, Engine, EngineError, Lanes, LogitsFor};

impl From<GraphError> for EngineError {
    fn from(error: GraphError) -> Self {
        Self(Box::new(error))
    }
}

impl Engine for WhisperGraph {
    fn dims(&self) -> Dims {
        let config = self.config();
        Dims {
            n_mels: config.num_mel_bins,
            vocab_size: config.vocab_size,
            max_tokens: config.max_target_positions,
            max_positions: config.max_source_positions,
            d_model: config.d_model,
            decoder_layers: config.decoder_layers,
            decoder_heads: config.decoder_attention_heads,
        }
    }

    fn isa(&self) -> Isa {
        self.isa()
    }

    fn encode(&mut self, mel: &[f32], frames: usize) -> Result<(), EngineError> {
        Ok(self.encode(mel, frames)?)
    }

    fn encoder_output(&self) -> &[f32] {
        self.encoder_output()
    }

    fn decode(&mut self, tokens: &[u32], out: LogitsFor) -> Result<&[f32], EngineError> {
        let wanted = match out {
            LogitsFor::Last => GraphLogitsFor::Last,
            LogitsFor::FirstAndLast => GraphLogitsFor::FirstAndLast,
            LogitsFor::None => GraphLogitsFor::None,
        };
        Ok(self.decode(tokens, wanted)?)
    }

    fn position(&self) -> usize {
        self.position()
    }

    fn rewind(&mut self, position: usize) {
        self.rewind(position);
    }

    fn align(&mut self, tokens: &[u32], heads: &[(usize, usize)]) -> Result<(), EngineError> {
        Ok(self.align(tokens, heads)?)
    }

    fn head_weights(&mut self, index: usize, out: &mut [f32]) -> Result<(), EngineError> {
        Ok(WhisperGraph::head_weights(self, index, out)?)
    }
}

impl Lanes for WhisperGraph {
    fn max_lanes(&self) -> usize {
        MAX_LANES
    }

    fn max_lane_tokens(&self) -> usize {
        LANE_TOKENS.min(self.config().max_target_positions)
    }

    fn start_lanes(&mut self) {
        WhisperGraph::start_lanes(self);
    }

    fn decode_lanes(&mut self, branches: &[Branch], tokens: &[u32]) -> Result<(), EngineError> {
        Ok(WhisperGraph::decode_lanes(self, branches, tokens)?)
    }

    fn lane_logits(&mut self, branch: Branch, tokens: &[u32], out: &mut [f32]) -> Result<(), EngineError> {
        Ok(WhisperGraph::lane_logits(self, branch, tokens, out)?)
    }

    fn lane_vocabulary(&mut self, branch: Branch, out: &mut Vec<f32>) -> Result<(), EngineError> {
        Ok(WhisperGraph::lane_vocabulary(self, branch, out)?)
    }
}
