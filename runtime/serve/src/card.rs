//! What clients are told about the model.

use ossicle::whisper::languages;
use ossicle::whisper::transcriber::Transcriber;
use ossicle_kernels::simd::Isa;

/// A model's name and what it knows.
#[derive(Clone, Debug)]
pub struct ModelCard {
    /// Its name, by which clients may ask for it.
    pub name: String,
    /// Codes of the languages it knows, such as `en`.
    pub languages: Vec<String>,
    /// Whether it can translate to English.
    pub translates: bool,
    /// Whether it can tell when each word was said: subtitles are cut by that.
    pub aligns: bool,
    /// The instruction set that recordings are read with.
    pub isa: Isa,
}

impl ModelCard {
    /// The card of a model that is open.
    pub fn of(model: &mut Transcriber) -> Self {
        let name = model.name().to_owned();
        let pipeline = model.pipeline();
        let specials = pipeline.specials();
        let mut languages: Vec<String> = specials.languages.iter().map(|(code, _)| code.clone()).collect();
        if !specials.multilingual {
            languages = vec!["en".into()];
        }
        let (translates, aligns) = (specials.multilingual && specials.translate.is_some(), !pipeline.config().alignment_heads.is_empty());
        Self { name, languages, translates, aligns, isa: pipeline.engine().isa() }
    }
}

/// The code that is meant by one, possibly with a region (`en-GB`, `en_US`), or by an English name.
pub(crate) fn language(asked: &str) -> String {
    languages::of_tag(asked).unwrap_or(asked).to_owned()
}
