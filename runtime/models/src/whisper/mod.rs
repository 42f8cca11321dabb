//! Whisper: encoder, prefill and one-token decoder.
//!
//! ```no_run
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_models::whisper::{LogitsFor, Options, WhisperGraph};
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("models-int8/whisper-tiny.en".as_ref())?;
//! let mut whisper = WhisperGraph::new(folder, Options { isa: Isa::detect(), threads: 1 })?;
//! let silence = vec![-1.5; 3000 * 80];
//! whisper.encode(&silence, 3000)?;
//! let logits = whisper.decode(&[50257, 50362], LogitsFor::Last)?;
//! assert_eq!(logits.len(), 51864);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod decoder;
mod encoder;
mod lanes;
mod layers;
mod plan;
mod spans;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

pub use ossicle_engine::Options;
use ossicle_engine::layers::attention::CrossCaches;
use ossicle_engine::scratch::OwnScratch;
use ossicle_engine::weights::ModelFolder;
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::padded;
use ossicle_kernels::simd::{Isa, LANES};
use ossicle_trace::{Tap, Values};

pub use config::WhisperConfig;
use decoder::{Decoder, DecoderSpans, Ends};
use encoder::{Encoder, EncoderSpans};
use layers::Store;
pub use layers::{Branch, LANE_TOKENS, MAX_LANES};
use plan::beside;

/// Most tokens of one run of the decoder; longer inputs are taken in pieces.
const PIECE: usize = 16;

/// Which tokens' logits [`WhisperGraph::decode`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogitsFor {
    /// None: the tokens only extend the text.
    None,
    /// The last token's.
    Last,
    /// The first and the last token's, of at most 16; one row if they are the same. The output layer's weights are read once for both.
    FirstAndLast,
}

/// A Whisper model ready to run.
pub struct WhisperGraph {
    folder: Arc<ModelFolder<WhisperConfig>>,
    session: Arc<Session>,
    store: Arc<Store>,
    encoder_spans: EncoderSpans,
    decoder_spans: DecoderSpans,
    /// For the window size of the last call; another size builds another.
    encoder: Option<Encoder>,
    /// By the number of tokens, and what they end with.
    decoders: HashMap<DecoderKey, Decoder>,
    /// The one that ran last: it has the memory that all of them run in, one at a time.
    last: Option<DecoderKey>,
    /// Two rows of logits without what rounds the vocabulary up, `[2][vocab_size]`; empty before the first.
    two_rows: Vec<f32>,
    /// What the logits of the last [`decode_lanes`](WhisperGraph::decode_lanes) are computed from, `[lanes][width]`; empty before.
    lane_rows: Vec<f32>,
    /// For what is computed between runs.
    beside: OwnScratch,
}

type DecoderKey = (usize, Ends);

impl std::fmt::Debug for WhisperGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WhisperGraph").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl WhisperGraph {
    /// Checks the folder's tensors and starts the threads; the plans are built when they are first needed.
    ///
    /// # Errors
    /// [`GraphError::Folder`] if a tensor is missing or misshapen.
    pub fn new(folder: Arc<ModelFolder<WhisperConfig>>, options: Options) -> Result<Self, GraphError> {
        let encoder_spans = EncoderSpans::new(&folder)?;
        let decoder_spans = DecoderSpans::new(&folder)?;
        let store = Arc::new(Store::new(folder.config()));
        let session = Session::new(folder.weights(), options);
        let beside = OwnScratch::new(beside(folder.config()));
        Ok(Self {
            folder,
            session,
            store,
            encoder_spans,
            decoder_spans,
            encoder: None,
            decoders: HashMap::new(),
            last: None,
            two_rows: vec![],
            lane_rows: vec![],
            beside,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &WhisperConfig {
        self.folder.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.session.isa()
    }

    /// Hands every tensor that is computed from now on to `tap`, operator after operator, without padding; `None` ends that.
    ///
    /// Steps are called `encoder` (counting positions) and `decoder` (at the first token's position, counting tokens).
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.session.recorder().set(tap);
    }

    /// Bytes of the memory that the graphs run in.
    pub fn buffer_bytes(&self) -> usize {
        let decoder = self.last.and_then(|last| self.decoders.get(&last)).map_or(0, Decoder::memory_bytes);
        self.encoder.as_ref().map_or(0, Encoder::memory_bytes) + decoder
    }

    /// Encodes one window: `mel` is the normalised log-mel spectrogram, `[frames][num_mel_bins]`. The text starts over.
    ///
    /// # Errors
    /// [`GraphError::Size`] if `frames` is odd, zero or beyond the model's window, or `mel` has another length.
    pub fn encode(&mut self, mel: &[f32], frames: usize) -> Result<(), GraphError> {
        let config = self.config();
        let (mels, most) = (config.num_mel_bins, 2 * config.max_source_positions);
        if frames == 0 || !frames.is_multiple_of(2) || frames > most {
            return Err(GraphError::Size { what: "mel frames (an even number)", have: frames, most });
        }
        if mel.len() != frames * mels {
            return Err(GraphError::Size { what: "mel values (frames times bands)", have: mel.len(), most: frames * mels });
        }
        let positions = frames / 2;
        if self.encoder.as_ref().is_none_or(|encoder| encoder.positions() != positions) {
            // The old one's memory is passed on, so that there is only one.
            let memory = self.encoder.take().map(|mut encoder| encoder.detach()).unwrap_or_default();
            let mut encoder =
                Encoder::plan(&self.session, self.folder.config(), &self.store, &self.encoder_spans, &self.decoder_spans, positions)?;
            encoder.attach(memory);
            self.encoder = Some(encoder);
        }
        let encoder = self.encoder.as_mut().expect("built above");
        self.store.set_encoded(positions);
        self.store.alignment().clear();
        self.store.set_position(0);
        self.store.lanes().clear();
        self.lane_rows.clear();
        if let Some(listener) = self.session.recorder().listener() {
            listener.step("encoder", 0, positions);
        }
        encoder.run(mel)?;
        encoder.output().map(drop)
    }

    /// Output of the last [`encode`](WhisperGraph::encode), `[positions][d_model]`; empty before the first.
    pub fn encoder_output(&self) -> &[f32] {
        // Nothing else than that there was no run, which `encode` has seen to.
        self.encoder.as_ref().and_then(|encoder| encoder.output().ok()).unwrap_or_default()
    }

    /// Tokens decoded since [`encode`](WhisperGraph::encode).
    pub fn position(&self) -> usize {
        self.store.position()
    }

    /// Forgets all tokens from `position` on; a position not reached yet changes nothing.
    pub fn rewind(&mut self, position: usize) {
        self.store.set_position(position.min(self.store.position()));
        self.store.lanes().rows().truncate(position);
    }

    /// Appends tokens to the text and returns the wanted logits, `[rows][vocab_size]`, row after row.
    ///
    /// # Errors
    /// [`GraphError::Size`] if there are no tokens, too many for [`LogitsFor::FirstAndLast`] or for the model's positions, or one is beyond the
    /// vocabulary, or nothing has been encoded.
    pub fn decode(&mut self, tokens: &[u32], wanted: LogitsFor) -> Result<&[f32], GraphError> {
        let config = self.config();
        let (vocabulary, room) = (config.vocab_size, config.max_target_positions - self.store.position());
        if tokens.is_empty() || tokens.len() > room {
            return Err(GraphError::Size { what: "tokens", have: tokens.len(), most: room });
        }
        if wanted == LogitsFor::FirstAndLast && tokens.len() > PIECE {
            return Err(GraphError::Size { what: "tokens with the first one's logits", have: tokens.len(), most: PIECE });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(GraphError::Size { what: "token", have: token as usize, most: vocabulary - 1 });
        }
        if self.store.encoded() == 0 {
            return Err(GraphError::Size { what: "encoded positions before decoding", have: 0, most: config.max_source_positions });
        }
        // One token has one row of logits.
        let wanted = if tokens.len() == 1 && wanted == LogitsFor::FirstAndLast { LogitsFor::Last } else { wanted };
        let mut rest = tokens;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(piece_len(rest.len(), wanted));
            let wanted = if after.is_empty() { wanted } else { LogitsFor::None };
            let key = (piece.len(), Ends::Logits(wanted));
            if let Some(mut listener) = self.session.recorder().listener() {
                listener.step("decoder", self.store.position(), piece.len());
                listener.record("decoder.tokens", "Input").tensor("", &[piece.len()], Values::U32(piece));
            }
            self.decoder(key)?.run(piece)?;
            if wanted == LogitsFor::FirstAndLast {
                let Self { decoders, two_rows, .. } = self;
                decoders.get(&key).map_or(Ok(()), |decoder| decoder.pack(two_rows))?;
            }
            self.store.set_position(self.store.position() + piece.len());
            rest = after;
        }
        self.last.and_then(|key| self.decoders.get(&key)).map_or(Ok(&[]), |decoder| decoder.logits(&self.two_rows))
    }

    /// The decoder for `key`, planned when it is first needed, with the memory of the one that ran before.
    fn decoder(&mut self, key: DecoderKey) -> Result<&mut Decoder, GraphError> {
        let memory = match self.last.take() {
            Some(last) if last == key => None,
            last => Some(last.and_then(|last| self.decoders.get_mut(&last)).map(Decoder::detach).unwrap_or_default()),
        };
        let decoder = match self.decoders.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(Decoder::plan(&self.session, self.folder.config(), &self.store, &self.decoder_spans, key.0, key.1)?)
            }
        };
        if let Some(memory) = memory {
            decoder.attach(memory);
        }
        self.last = Some(key);
        Ok(decoder)
    }

    /// Decodes `tokens` from the start and keeps what [`head_weights`](WhisperGraph::head_weights) needs of the given heads (layer, head).
    ///
    /// # Errors
    /// As for [`decode`](WhisperGraph::decode), or if there is no such head.
    pub fn align(&mut self, tokens: &[u32], heads: &[(usize, usize)]) -> Result<(), GraphError> {
        let config = self.config();
        let (layers, most) = (config.decoder_layers, config.decoder_attention_heads);
        for &(layer, head) in heads {
            if layer >= layers || head >= most {
                return Err(GraphError::Size { what: "alignment head", have: layer * most + head, most: layers * most - 1 });
            }
        }
        let most = config.max_target_positions;
        self.rewind(0);
        self.store.alignment().start(heads, tokens.len().min(most), most);
        let result = self.decode(tokens, LogitsFor::None).map(|_| ());
        match result {
            Ok(()) => self.store.alignment().stop(),
            Err(_) => self.store.alignment().clear(),
        }
        result
    }

    /// The cross-attention probabilities of the head at `index` among those of the last [`align`](WhisperGraph::align):
    /// `[tokens][positions]`, each row summing to 1. Good until the next [`encode`](WhisperGraph::encode).
    ///
    /// # Errors
    /// [`GraphError::Size`] if there is no such head, or `out` is not of that size.
    pub fn head_weights(&mut self, index: usize, out: &mut [f32]) -> Result<(), GraphError> {
        let alignment = self.store.alignment();
        let (tokens, positions) = (alignment.tokens(), self.store.encoded());
        if tokens == 0 || index >= alignment.heads() {
            return Err(GraphError::Size { what: "aligned head", have: index, most: alignment.heads().saturating_sub(1) });
        }
        if out.len() != tokens * positions {
            return Err(GraphError::Size { what: "weights (tokens times positions)", have: out.len(), most: tokens * positions });
        }
        let cross = self.store.cross(alignment.layer(index));
        let keys = cross.keys(positions, self.config().decoder_attention_heads);
        let scores = self.beside.take_all().take(padded(positions));
        alignment.probabilities(self.session.isa(), index, keys, scores, out);
        if let Some(mut listener) = self.session.recorder().listener() {
            listener.record("decoder.align", "Alignment").tensor("", &[tokens, positions], Values::F32(out));
        }
        Ok(())
    }
}

/// Tokens of the next run when `left` are left. A text without logits goes in powers of two: five graphs serve any length.
fn piece_len(left: usize, wanted: LogitsFor) -> usize {
    match wanted {
        LogitsFor::None => PIECE.min(1 << left.ilog2()),
        LogitsFor::Last | LogitsFor::FirstAndLast => PIECE.min(left),
    }
}

/// A vocabulary rounded up to whole blocks.
fn padded_vocabulary(config: &WhisperConfig) -> usize {
    config.vocab_size.next_multiple_of(LANES)
}
