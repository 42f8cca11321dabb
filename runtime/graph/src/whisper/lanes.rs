//! Several texts at once over the same audio, for searching among hypotheses.

use ossicle_kernels::linear::{Finish, Linear};
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::decoder::{Decoder, Ends, lane_slot_bytes};
use super::{LANE_TOKENS, MAX_LANES, WhisperGraph};
use crate::error::GraphError;
use crate::folder::ModelFolder;
use crate::ops::{Lanes, Workspace};

impl WhisperGraph {
    /// Bytes that lanes need beyond the [`MemoryPlan`](super::MemoryPlan), once they are used.
    pub fn lane_bytes(folder: &ModelFolder) -> usize {
        Lanes::bytes(folder.config()) + lane_slot_bytes(folder.config())
    }

    /// Makes one lane of the text so far, which itself stays as it is.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no text yet, or more than [`LANE_TOKENS`].
    pub fn start_lanes(&mut self) -> Result<(), GraphError> {
        let position = self.position();
        if position == 0 || position > LANE_TOKENS {
            return Err(GraphError::Size { what: "tokens before lanes (at least one)", have: position, most: LANE_TOKENS });
        }
        self.store.lanes().start(&self.store, self.config().decoder_attention_heads);
        self.lanes = 0;
        Ok(())
    }

    /// Makes as many lanes as there are `tokens`: each continues lane `parents[i]` of before with `tokens[i]`.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are none or more than [`MAX_LANES`], a parent does not exist, a token is beyond the vocabulary or the
    /// lanes hold [`LANE_TOKENS`] already.
    pub fn decode_lanes(&mut self, parents: &[usize], tokens: &[u32]) -> Result<(), GraphError> {
        let config = self.config();
        let (count, position) = (self.store.lanes().count(), self.store.lanes().position());
        if tokens.is_empty() || tokens.len() > MAX_LANES || parents.len() != tokens.len() {
            return Err(GraphError::Size { what: "lanes", have: tokens.len(), most: MAX_LANES });
        }
        if let Some(&parent) = parents.iter().find(|&&parent| parent >= count) {
            return Err(GraphError::Size { what: "lane to continue", have: parent, most: count.saturating_sub(1) });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= config.vocab_size) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: config.vocab_size - 1 });
        }
        let most = LANE_TOKENS.min(config.max_target_positions);
        if position >= most {
            return Err(GraphError::Size { what: "tokens of a lane", have: position + 1, most });
        }
        let decoder = match &mut self.lane_decoders[tokens.len() - 1] {
            Some(decoder) => decoder,
            none => none.insert(Decoder::build(&self.context, &self.store, &self.decoder_spans, tokens.len(), Ends::Lanes)?),
        };
        self.store.lanes().branch(parents);
        if let Some(mut listener) = self.context.taps.listener() {
            listener.step("lanes", position, tokens.len());
            listener.record("decoder.tokens", "Input").tensor("", &[tokens.len()], Values::U32(tokens));
        }
        decoder.run(tokens)?;
        self.store.lanes().set_position(position + 1);
        self.lanes = tokens.len();
        Ok(())
    }

    /// The logits of some tokens after a lane's text; only these are computed, with the bits they have among all.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no such lane, a token is beyond the vocabulary or `out` is not as long as `tokens`.
    pub fn lane_logits(&mut self, lane: usize, tokens: &[u32], out: &mut [f32]) -> Result<(), GraphError> {
        let row = self.lane_row(lane)?;
        let vocabulary = self.config().vocab_size;
        if out.len() != tokens.len() {
            return Err(GraphError::Size { what: "logits of tokens", have: out.len(), most: tokens.len() });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: vocabulary - 1 });
        }
        let layer = self.context.folder.linear(&self.decoder_spans.embedding);
        let Workspace { rows, .. } = &mut *self.context.workspace(0);
        let rows = rows.quantize(&self.context, row, 1, row.len(), row.len());
        // Tokens that lie in one block of outputs are computed together if they are neighbours.
        let (mut block, mut values) = (usize::MAX, [0.0; LANES]);
        for (&token, out) in tokens.iter().zip(out.iter_mut()) {
            let (own, place) = (token as usize / LANES, token as usize % LANES);
            if own != block {
                block = own;
                let scales = &layer.scales[block * LANES..][..LANES];
                let part = Linear { weights: layer.weights.slice(block..block + 1), scales, bias: &[] };
                self.context.linear(&rows, &part, Finish::Store, &mut values);
            }
            *out = values[place];
        }
        if let Some(mut listener) = self.context.taps.listener() {
            listener.record("decoder.lane_logits", "Logits").tensor("", &[tokens.len()], Values::F32(out));
        }
        Ok(())
    }

    /// The logits of the whole vocabulary after a lane's text.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no such lane or `out` has another length than the vocabulary.
    pub fn lane_vocabulary(&mut self, lane: usize, out: &mut Vec<f32>) -> Result<(), GraphError> {
        let row = self.lane_row(lane)?;
        let vocabulary = self.config().vocab_size;
        let layer = self.context.folder.linear(&self.decoder_spans.embedding);
        out.resize(layer.weights.count() * LANES, 0.0);
        {
            let Workspace { rows, .. } = &mut *self.context.workspace(0);
            let rows = rows.quantize(&self.context, row, 1, row.len(), row.len());
            self.context.linear(&rows, &layer, Finish::Store, out);
        }
        out.truncate(vocabulary);
        if let Some(mut listener) = self.context.taps.listener() {
            listener.record("decoder.lane_logits", "Logits").tensor("", &[vocabulary], Values::F32(out));
        }
        Ok(())
    }

    /// What the logits of a lane are computed from.
    fn lane_row(&self, lane: usize) -> Result<&[f32], GraphError> {
        let decoder = self.lanes.checked_sub(1).and_then(|index| self.lane_decoders[index].as_ref());
        let rows = decoder.map_or(&[][..], Decoder::output);
        let width = self.config().d_model;
        let row = rows.chunks_exact(width).nth(lane);
        row.ok_or(GraphError::Size { what: "lane with logits", have: lane, most: self.lanes.saturating_sub(1) })
    }
}
