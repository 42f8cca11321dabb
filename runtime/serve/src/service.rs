//! What all connections share.

use ossicle::whisper::options::TranscribeOptions;

use crate::card::ModelCard;
use crate::embed::Embeddings;
use crate::intent::{Intent, Recognise};
use crate::jobs::Queue;
use crate::limits::Limits;
use crate::mqtt::Mqtt;
use crate::speech::Voices;
use crate::spill::Budget;

/// The model's queue, and what holds for every request.
pub(crate) struct Service {
    pub(crate) card: ModelCard,
    pub(crate) limits: Limits,
    pub(crate) queue: Queue,
    /// For all recordings together, and those of one peer.
    pub(crate) budget: Budget,
    pub(crate) options: TranscribeOptions,
    pub(crate) recogniser: Option<Box<dyn Recognise>>,
    pub(crate) streaming: bool,
    pub(crate) voices: Option<Voices>,
    pub(crate) embeddings: Option<Embeddings>,
    pub(crate) mqtt: Option<Mqtt>,
}

impl Service {
    /// Passes on what was said, if anything was.
    pub(crate) fn heard(&self, text: &str, language: Option<&str>, source: &str) {
        if let Some(mqtt) = self.mqtt.as_ref().filter(|_| !text.is_empty()) {
            mqtt.transcript(text, language, source);
        }
    }

    /// Passes on what is wanted.
    pub(crate) fn understood(&self, intent: &Intent, said: &str) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.intent(intent, said);
        }
    }
}
