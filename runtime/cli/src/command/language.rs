//! The language that commands are decoded in.

use std::fmt::Display;

use anyhow::Result;
use ossicle::whisper::languages;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;

use crate::fault::{self, Fault};

/// The language to decode: the one asked for, and without it that of the sentences in `file`, whose language is `written`. `None` detects
/// it, which only `auto` asks for: a few words are too few to tell German from Welsh by.
///
/// # Errors
/// If the model does not know the language.
pub(crate) fn decoded(model: &Transcriber, asked: Option<&str>, written: &str, file: &str) -> Result<Option<String>> {
    if let Some(asked) = asked {
        let language = code(asked);
        check(model, language.clone()).map_err(|error| fault::transcription("", error))?;
        return Ok(language);
    }
    let language = languages::of_tag(written);
    match language {
        Some(code) if check(model, Some(code.to_owned())).is_ok() => Ok(Some(code.to_owned())),
        _ => Err(foreign(model, language, written, file).into()),
    }
}

/// The code for what a person asks for: a code, one with a region, an English name; `None` for `auto`.
pub(crate) fn code(asked: &str) -> Option<String> {
    (asked != "auto").then(|| languages::of_tag(asked).unwrap_or(asked).to_owned())
}

fn check(model: &Transcriber, language: Option<String>) -> Result<(), ossicle::whisper::error::TranscribeError> {
    model.check(&TranscribeOptions { language, ..TranscribeOptions::default() })
}

/// Sentences in a language that the model does not know.
fn foreign(model: &Transcriber, language: Option<&str>, written: &str, file: &str) -> Fault {
    let model_name = model.name();
    let what = |language: &dyn Display, knows: &str| format!("the sentences are in {language}, and {model_name} {knows}");
    let name = language.and_then(languages::name).map(|name| name.split(' ').map(capitalised).collect::<Vec<_>>().join(" "));
    let override_it = "say with --language which language to decode";
    match name {
        Some(name) if !model.is_multilingual() => {
            let remedy = format!("give a multilingual model (--model whisper-base), or {override_it}");
            Fault::new(what(&format_args!("{name} ({written})"), "knows English only"), file, remedy)
        }
        Some(name) => Fault::new(what(&format_args!("{name} ({written})"), "does not know it"), file, override_it),
        None => Fault::new(what(&format_args!("\"{}\"", written.escape_debug()), "knows no such language"), file, override_it),
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
