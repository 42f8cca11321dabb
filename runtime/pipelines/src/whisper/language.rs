//! Which language is spoken.

use super::error::OptionError;
use super::languages;
use super::specials::Specials;

/// The language to use from the start: the one asked for, or English if the model knows no other. `None` means to detect it.
///
/// # Errors
/// If the model does not know the language.
pub fn given(specials: &Specials, asked: Option<&str>) -> Result<Option<String>, OptionError> {
    let Some(asked) = asked else {
        return Ok((!specials.multilingual).then(|| "en".to_owned()));
    };
    let code = languages::code(asked).ok_or_else(|| OptionError::UnknownLanguage { language: asked.to_owned() })?;
    if !specials.multilingual {
        return match code {
            "en" => Ok(Some(code.to_owned())),
            _ => Err(OptionError::EnglishOnly { language: asked.to_owned() }),
        };
    }
    match specials.language_token(code) {
        Some(_) => Ok(Some(code.to_owned())),
        None => Err(OptionError::UnknownLanguage { language: asked.to_owned() }),
    }
}

/// The language whose token is likeliest in the logits at the start of transcript; the first of equals.
pub fn detect(specials: &Specials, logits: &[f32]) -> Option<String> {
    let mut best: Option<(&str, f32)> = None;
    for (code, token) in &specials.languages {
        let logit = logits[*token as usize];
        if best.is_none_or(|(_, highest)| logit > highest) {
            best = Some((code, logit));
        }
    }
    best.map(|(code, _)| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::config::GenerationConfig;
    use super::super::specials::tests::{SMALL_VOCAB, small};
    use super::*;

    fn multilingual() -> Specials {
        Specials::new(&small(), SMALL_VOCAB).unwrap()
    }

    fn english() -> Specials {
        let config = GenerationConfig { is_multilingual: false, lang_to_id: Default::default(), ..small() };
        Specials::new(&config, SMALL_VOCAB).unwrap()
    }

    #[test]
    fn given_languages() {
        assert_eq!(given(&multilingual(), None), Ok(None));
        assert_eq!(given(&english(), None), Ok(Some("en".into())));
        assert_eq!(given(&multilingual(), Some("German")), Ok(Some("de".into())));
        assert_eq!(given(&english(), Some("English")), Ok(Some("en".into())));
        assert_eq!(given(&english(), Some("de")), Err(OptionError::EnglishOnly { language: "de".into() }));
        assert_eq!(given(&multilingual(), Some("fr")), Err(OptionError::UnknownLanguage { language: "fr".into() }));
        assert_eq!(given(&multilingual(), Some("xx")), Err(OptionError::UnknownLanguage { language: "xx".into() }));
    }

    #[test]
    fn detects_the_likeliest() {
        let mut logits = vec![5.0; SMALL_VOCAB];
        logits[52] = 1.0;
        logits[53] = 2.0;
        assert_eq!(detect(&multilingual(), &logits).as_deref(), Some("de"));
        assert_eq!(detect(&english(), &logits), None);
    }
}
