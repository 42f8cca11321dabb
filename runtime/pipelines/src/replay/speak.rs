//! Phonemes that are said, line by line.

use serde::Deserialize;
use serde_json::Value;

use super::{Pipeline, ReplayError, Run, readable};
use crate::speak::{Settings, Voice};
use crate::trace;

#[derive(Debug)]
pub(super) struct Speak;

/// Settings of speech as traces have them; line `n` has the seed `seed + n`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    speed: f32,
    seed: u64,
    #[serde(default)]
    voices: Option<String>,
}

impl Pipeline for Speak {
    fn name(&self) -> &'static str {
        trace::SPEAK
    }

    fn files(&self) -> &'static [&'static str] {
        &trace::VOICE_FILES
    }

    fn check(&self, settings: &Value) -> serde_json::Result<()> {
        readable::<Said>(settings)
    }

    fn repeat(&self, run: &Run<'_>) -> Result<(), ReplayError> {
        let Said { speed, seed, voices } = run.settings()?;
        let text = run.text()?;
        let mut voice = Voice::open(run.model, run.options).map_err(|error| run.failed(error))?;
        if let Some(voices) = voices {
            voice.choose(&voices).map_err(|error| run.failed(error))?;
        }
        voice.set_tap(Some(run.tap.clone()));
        for (line, number) in text.lines().zip(0..) {
            let settings = Settings { speed, seed: seed.wrapping_add(number), voice: None };
            let mut speech = voice.speak_phonemes(line, settings).map_err(|error| run.failed(error))?;
            while !(run.stop)() && speech.next_chunk().map_err(|error| run.failed(error))?.is_some() {}
        }
        Ok(())
    }
}
