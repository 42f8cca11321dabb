//! Utterances as voice commands.

use serde_json::{Map, Value, json};

use super::recogniser::{RecogniseError, Recogniser, Recognition};
use crate::command::recogniser::{CommandOptions, Reading, Recogniser as CommandRecogniser};
use crate::command::set::{CommandSet, Intent};
use crate::whisper::transcriber::Transcriber;

/// Commands of a sentence file by Whisper.
pub struct Commands {
    model: Transcriber,
    sentences: CommandRecogniser<CommandSet>,
    options: CommandOptions,
}

impl Commands {
    /// Utterances are taken for one of `sentences`, which were compiled for this model, or for none.
    pub fn new(model: Transcriber, sentences: CommandRecogniser<CommandSet>, options: CommandOptions) -> Self {
        Self { model, sentences, options }
    }
}

impl Recogniser for Commands {
    /// The sentence and its intent (`name`, `slots`, `confidence`, perhaps `response`); what was heard, without intent, if it is none; without
    /// a name and with all candidates (`ambiguous`), if it may be several.
    fn recognise(&mut self, samples: &[f32]) -> Result<Recognition, RecogniseError> {
        let recognised = self.sentences.recognise(self.model.pipeline(), samples, &self.options);
        let recognised = recognised.map_err(|error| RecogniseError(Box::new(error)))?;
        Ok(match recognised.command {
            Some(command) => Recognition { intent: Some(intent(&command)), text: command.text, reason: None },
            None if !recognised.ambiguous.is_empty() => {
                Recognition { intent: Some(ambiguous(&recognised.ambiguous)), text: recognised.heard, reason: None }
            }
            None => Recognition { text: recognised.heard, ..Recognition::default() },
        })
    }
}

/// No intent, and those that it may be.
fn ambiguous(readings: &[Reading<Intent>]) -> Value {
    json!({ "name": null, "ambiguous": readings.iter().map(intent).collect::<Vec<_>>() })
}

fn intent(command: &Reading<Intent>) -> Value {
    let slots: Map<String, Value> = command.meaning.slots.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut intent = json!({ "name": command.meaning.name, "slots": slots, "confidence": command.confidence });
    if let Some(response) = &command.meaning.response {
        intent["response"] = json!(response);
    }
    intent
}
