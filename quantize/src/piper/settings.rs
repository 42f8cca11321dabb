//! The settings next to a voice.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::source::read_json;

/// Symbols around a clause and between its phonemes: what Piper's voices are trained with.
pub(super) const AROUND: [char; 3] = ['^', '_', '$'];

/// What the runtime needs of them.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) rate: usize,
    pub(super) noise_scale: f32,
    pub(super) noise_scale_duration: f32,
    pub(super) length_scale: f32,
    pub(super) espeak_voice: String,
    pub(super) language: Option<String>,
    pub(super) symbols: BTreeMap<char, u32>,
    /// Numbers of speakers that have names.
    pub(super) speakers: BTreeMap<String, usize>,
}

impl Settings {
    /// The number of a speaker given by name or number, of `count`.
    pub(super) fn speaker(&self, wanted: &str, count: usize) -> Result<usize, String> {
        let known = self.speakers.get(wanted).copied().or_else(|| wanted.parse().ok()).filter(|&number| number < count);
        known.ok_or_else(|| {
            let mut names = self.speakers.keys().take(5).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            if self.speakers.len() > 5 {
                names += ", ...";
            }
            let named = if names.is_empty() { String::new() } else { format!(", and the names {names}") };
            format!("no speaker {wanted:?}: there are the numbers 0 to {}{named}", count - 1)
        })
    }

    /// What a speaker is called.
    pub(super) fn name(&self, speaker: usize) -> Option<&str> {
        self.speakers.iter().find(|(_, number)| **number == speaker).map(|(name, _)| name.as_str())
    }
}

#[derive(Deserialize)]
struct Json {
    audio: Audio,
    espeak: Option<Espeak>,
    #[serde(default)]
    inference: Inference,
    phoneme_type: Option<Value>,
    #[serde(default)]
    phoneme_map: BTreeMap<String, Value>,
    phoneme_id_map: BTreeMap<String, Vec<u32>>,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, usize>,
    language: Option<Language>,
}

#[derive(Deserialize)]
struct Audio {
    sample_rate: usize,
}

#[derive(Deserialize)]
struct Espeak {
    voice: String,
}

#[derive(Deserialize)]
#[serde(default)]
struct Inference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Default for Inference {
    /// Piper's own.
    fn default() -> Self {
        Self { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

#[derive(Deserialize)]
struct Language {
    code: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Settings, Error> {
    let json: Json = read_json(path)?;
    let refuse = |what: String| Error::unsupported(path, what);
    // Older files name it `PhonemeType.ESPEAK`, or not at all.
    let kind = json.phoneme_type.as_ref().map(|kind| kind.as_str().unwrap_or_default().to_lowercase());
    if let (Some(kind), Some(value)) = (&kind, &json.phoneme_type)
        && kind.rsplit('.').next() != Some("espeak")
    {
        return Err(refuse(format!("phoneme_type is {value}, \"espeak\" is possible")));
    }
    if let Some(symbol) = json.phoneme_map.keys().next() {
        return Err(refuse(format!("phoneme_map replaces {symbol:?}: phonemes as espeak-ng gives them are possible")));
    }
    let espeak = json.espeak.ok_or_else(|| refuse("no espeak.voice".into()))?.voice;
    let mut symbols = BTreeMap::new();
    for (symbol, ids) in &json.phoneme_id_map {
        let mut chars = symbol.chars();
        // Phonemes come character by character: what has several is never asked for.
        let (Some(one), None) = (chars.next(), chars.next()) else { continue };
        let &[id] = ids.as_slice() else {
            return Err(refuse(format!("phoneme_id_map: {symbol:?} is {ids:?}, one number is possible")));
        };
        symbols.insert(one, id);
    }
    if let Some(missing) = AROUND.iter().find(|symbol| !symbols.contains_key(symbol)) {
        return Err(refuse(format!("phoneme_id_map: {missing:?} is missing")));
    }
    let Inference { noise_scale, length_scale, noise_w } = json.inference;
    Ok(Settings {
        rate: json.audio.sample_rate,
        noise_scale,
        noise_scale_duration: noise_w,
        length_scale,
        espeak_voice: espeak,
        language: json.language.and_then(|language| language.code).map(|code| code.replace('_', "-")),
        symbols,
        speakers: json.speaker_id_map,
    })
}
