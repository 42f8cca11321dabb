//! Several texts at once over the same audio, for searching among hypotheses.

use ossicle_engine::layers::RowBuffers;
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::linear::{Finish, Linear};
use ossicle_kernels::rows::QuantRows;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::decoder::Ends;
use super::layers::{Branch, Lanes};
use super::{LANE_TOKENS, MAX_LANES, WhisperConfig, WhisperGraph};

impl WhisperGraph {
    /// Bytes that lanes need beyond the [`MemoryPlan`](ossicle_engine::MemoryPlan), once they are used.
    pub fn lane_bytes(folder: &ModelFolder<WhisperConfig>) -> usize {
        Lanes::bytes(folder.config()) + 4 * MAX_LANES * folder.config().d_model
    }

    /// Makes room for lanes, of which there are none yet. Of the text's tokens that are decoded one by one from here on, what their logits
    /// are computed from is kept, so that lanes can part from any of them.
    pub fn start_lanes(&mut self) {
        let config = self.config();
        let width = config.d_model;
        self.store.lanes().start(config.decoder_attention_heads, width);
        self.lane_rows.clear();
        self.lane_rows.reserve_exact(MAX_LANES * width);
    }

    /// Makes as many lanes as there are `tokens`: each continues `branches[i]` with `tokens[i]`, where lanes are those of before. The text
    /// itself stays as it is. What all continue has the same number of tokens.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are none or more than [`MAX_LANES`], a lane to continue does not exist, a text is empty, not as long or
    /// not as long as the others, a token is beyond the vocabulary or the lanes would hold more than [`LANE_TOKENS`].
    pub fn decode_lanes(&mut self, branches: &[Branch], tokens: &[u32]) -> Result<(), GraphError> {
        let config = self.config();
        if tokens.is_empty() || tokens.len() > MAX_LANES || branches.len() != tokens.len() {
            return Err(GraphError::Size { what: "lanes", have: tokens.len(), most: MAX_LANES });
        }
        let position = self.branch_tokens(branches[0])?;
        for &branch in branches {
            let have = self.branch_tokens(branch)?;
            if have != position {
                return Err(GraphError::Size { what: "tokens to continue (as many in all lanes)", have, most: position });
            }
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= config.vocab_size) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: config.vocab_size - 1 });
        }
        let most = LANE_TOKENS.min(config.max_target_positions);
        if position >= most {
            return Err(GraphError::Size { what: "tokens of a lane", have: position + 1, most });
        }
        self.store.lanes().branch(branches, position, &self.store);
        if let Some(mut listener) = self.session.recorder().listener() {
            listener.step("lanes", position, tokens.len());
            listener.record("decoder.tokens", "Input").tensor("", &[tokens.len()], Values::U32(tokens));
        }
        let key = (tokens.len(), Ends::Lanes);
        self.lane_rows.clear();
        self.decoder(key)?.run(tokens)?;
        self.store.lanes().set_position(position + 1);
        // The next decoder runs in the same memory.
        let Self { decoders, lane_rows, .. } = self;
        if let Some(decoder) = decoders.get(&key) {
            lane_rows.extend_from_slice(decoder.output()?);
        }
        Ok(())
    }

    /// The logits of some tokens after `branch`; only these are computed, with the bits they have among all.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no such lane, the text's last token was not decoded by itself after
    /// [`start_lanes`](Self::start_lanes), a token is beyond the vocabulary or `out` is not as long as `tokens`.
    pub fn lane_logits(&mut self, branch: Branch, tokens: &[u32], out: &mut [f32]) -> Result<(), GraphError> {
        let vocabulary = self.config().vocab_size;
        if out.len() != tokens.len() {
            return Err(GraphError::Size { what: "logits of tokens", have: out.len(), most: tokens.len() });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: vocabulary - 1 });
        }
        self.with_row(branch, |session, layer, rows| {
            // Tokens that lie in one block of outputs are computed together if they are neighbours.
            let (mut block, mut values) = (usize::MAX, [0.0; LANES]);
            for (&token, out) in tokens.iter().zip(out.iter_mut()) {
                let (own, place) = (token as usize / LANES, token as usize % LANES);
                if own != block {
                    block = own;
                    let scales = &layer.scales[block * LANES..][..LANES];
                    let part = Linear { weights: layer.weights.slice(block..block + 1), scales, bias: &[] };
                    session.linear(rows, &part, Finish::Store, &mut values);
                }
                *out = values[place];
            }
        })?;
        if let Some(mut listener) = self.session.recorder().listener() {
            listener.record("decoder.lane_logits", "Logits").tensor("", &[tokens.len()], Values::F32(out));
        }
        Ok(())
    }

    /// The logits of the whole vocabulary after `branch`, in place of what `out` holds.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no such lane, or the text's last token was not decoded by itself after
    /// [`start_lanes`](Self::start_lanes).
    pub fn lane_vocabulary(&mut self, branch: Branch, out: &mut Vec<f32>) -> Result<(), GraphError> {
        let vocabulary = self.config().vocab_size;
        self.with_row(branch, |session, layer, rows| {
            out.resize(layer.weights.count() * LANES, 0.0);
            session.linear(rows, layer, Finish::Store, out);
        })?;
        out.truncate(vocabulary);
        if let Some(mut listener) = self.session.recorder().listener() {
            listener.record("decoder.lane_logits", "Logits").tensor("", &[vocabulary], Values::F32(out));
        }
        Ok(())
    }

    /// Hands `work` the layer of the logits, and the quantised row that the logits after `branch` are computed from.
    fn with_row(&mut self, branch: Branch, work: impl FnOnce(&Session, &Linear<'_>, &QuantRows<'_>)) -> Result<(), GraphError> {
        let mut memory = std::mem::take(&mut self.beside);
        let mut buffers = RowBuffers::take(&mut memory.take_all(), 1, self.config().d_model);
        let layer = self.session.weights().linear(&self.decoder_spans.embedding);
        let result = self.branch_row(branch, &mut buffers).map(|rows| work(&self.session, &layer, &rows));
        self.beside = memory;
        result
    }

    /// Tokens of what a lane would continue.
    fn branch_tokens(&self, branch: Branch) -> Result<usize, GraphError> {
        let (count, position) = (self.store.lanes().count(), self.position());
        match branch {
            Branch::Text(tokens) if tokens == 0 || tokens > position => {
                Err(GraphError::Size { what: "tokens of the text to continue (at least one)", have: tokens, most: position })
            }
            Branch::Text(tokens) => Ok(tokens),
            Branch::Lane(lane) if lane >= count => {
                Err(GraphError::Size { what: "lane to continue", have: lane, most: count.saturating_sub(1) })
            }
            Branch::Lane(_) => Ok(self.store.lanes().position()),
        }
    }

    /// Quantises what the logits after `branch` are computed from.
    fn branch_row<'r>(&self, branch: Branch, rows: &'r mut RowBuffers<'_>) -> Result<QuantRows<'r>, GraphError> {
        let width = self.config().d_model;
        match branch {
            Branch::Text(tokens) => {
                let kept = self.store.lanes().rows();
                let row = tokens.checked_sub(1).and_then(|token| kept.get(token, width));
                let row =
                    row.ok_or(GraphError::Size { what: "tokens of the text with a row kept", have: tokens, most: self.position() })?;
                Ok(rows.normalize(&self.session, &self.decoder_spans.norm, row, 1))
            }
            Branch::Lane(lane) => {
                let most = (self.lane_rows.len() / width).saturating_sub(1);
                let row = self.lane_rows.chunks_exact(width).nth(lane);
                let row = row.ok_or(GraphError::Size { what: "lane with logits", have: lane, most })?;
                Ok(rows.quantize(&self.session, row, 1, width, width))
            }
        }
    }
}
