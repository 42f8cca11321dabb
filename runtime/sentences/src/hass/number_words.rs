//! Numbers in words, in the languages that are known here; others have figures only.

/// The ways to say a number given in tenths.
pub(super) fn spellings(language: &str, tenths: i64) -> Vec<String> {
    let language = language.split(['-', '_']).next().unwrap_or(language);
    match language {
        "en" => crate::numbers::Number { tenths }.spellings(true).into_iter().skip(1).map(|way| way.join(" ")).collect(),
        _ => Vec::new(),
    }
}
