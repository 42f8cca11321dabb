//! What a client learns of the service.

use serde_json::{Value, json};

use super::event::Event;
use crate::card::ModelCard;
use crate::intent::Recognise;
use crate::speech::VoiceCard;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer to `describe`.
pub(super) fn info(card: &ModelCard, recogniser: Option<&dyn Recognise>, voice: Option<&VoiceCard>, streaming: bool) -> Event {
    let model = artifact(&card.name, "Whisper in 8 bits", "OpenAI", "https://github.com/openai/whisper");
    let mut asr = program("Speech to text, offline", with(model, "languages", json!(card.languages)));
    asr["supports_transcript_streaming"] = streaming.into();
    asr["requires_external_vad"] = true.into();
    let intent = recogniser.map(|recogniser| {
        let model = artifact("sentences", "The commands of a sentence file", "Ossicle", "");
        program("Commands in sentences, offline", with(model, "languages", json!(recogniser.languages())))
    });
    let tts = voice.map(|VoiceCard { name, languages, description, attribution: (by, url), voices, .. }| {
        let voice = |name: &String| with(artifact(name, description, by, url), "languages", json!(languages));
        // Of a model with several, each of them.
        let voices: Vec<Value> = if voices.is_empty() { vec![voice(name)] } else { voices.iter().map(voice).collect() };
        let mut tts = with(artifact("ossicle", "Text to speech, offline", "Ossicle", ""), "voices", json!(voices));
        tts["supports_synthesize_streaming"] = true.into();
        tts
    });
    let none: [Value; 0] = [];
    let (intent, tts): (Vec<Value>, Vec<Value>) = (intent.into_iter().collect(), tts.into_iter().collect());
    let data = json!({"asr": [asr], "tts": tts, "handle": none, "intent": intent, "wake": none, "mic": none, "snd": none});
    Event::new("info", data)
}

fn artifact(name: &str, description: &str, by: &str, url: &str) -> Value {
    let attribution = json!({"name": by, "url": url});
    json!({"name": name, "description": description, "attribution": attribution, "installed": true, "version": VERSION})
}

fn program(description: &str, model: Value) -> Value {
    with(artifact("ossicle", description, "Ossicle", ""), "models", json!([model]))
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}
