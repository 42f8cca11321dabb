//! Names of languages.

/// Language codes with their English name, as openai-whisper names them.
#[rustfmt::skip]
const NAMES: &[(&str, &str)] = &[
    ("en", "english"), ("zh", "chinese"), ("de", "german"), ("es", "spanish"), ("ru", "russian"), ("ko", "korean"), ("fr", "french"),
    ("ja", "japanese"), ("pt", "portuguese"), ("tr", "turkish"), ("pl", "polish"), ("ca", "catalan"), ("nl", "dutch"), ("ar", "arabic"),
    ("sv", "swedish"), ("it", "italian"), ("id", "indonesian"), ("hi", "hindi"), ("fi", "finnish"), ("vi", "vietnamese"),
    ("he", "hebrew"), ("uk", "ukrainian"), ("el", "greek"), ("ms", "malay"), ("cs", "czech"), ("ro", "romanian"), ("da", "danish"),
    ("hu", "hungarian"), ("ta", "tamil"), ("no", "norwegian"), ("th", "thai"), ("ur", "urdu"), ("hr", "croatian"), ("bg", "bulgarian"),
    ("lt", "lithuanian"), ("la", "latin"), ("mi", "maori"), ("ml", "malayalam"), ("cy", "welsh"), ("sk", "slovak"), ("te", "telugu"),
    ("fa", "persian"), ("lv", "latvian"), ("bn", "bengali"), ("sr", "serbian"), ("az", "azerbaijani"), ("sl", "slovenian"),
    ("kn", "kannada"), ("et", "estonian"), ("mk", "macedonian"), ("br", "breton"), ("eu", "basque"), ("is", "icelandic"),
    ("hy", "armenian"), ("ne", "nepali"), ("mn", "mongolian"), ("bs", "bosnian"), ("kk", "kazakh"), ("sq", "albanian"), ("sw", "swahili"),
    ("gl", "galician"), ("mr", "marathi"), ("pa", "punjabi"), ("si", "sinhala"), ("km", "khmer"), ("sn", "shona"), ("yo", "yoruba"),
    ("so", "somali"), ("af", "afrikaans"), ("oc", "occitan"), ("ka", "georgian"), ("be", "belarusian"), ("tg", "tajik"), ("sd", "sindhi"),
    ("gu", "gujarati"), ("am", "amharic"), ("yi", "yiddish"), ("lo", "lao"), ("uz", "uzbek"), ("fo", "faroese"),
    ("ht", "haitian creole"), ("ps", "pashto"), ("tk", "turkmen"), ("nn", "nynorsk"), ("mt", "maltese"), ("sa", "sanskrit"),
    ("lb", "luxembourgish"), ("my", "myanmar"), ("bo", "tibetan"), ("tl", "tagalog"), ("mg", "malagasy"), ("as", "assamese"),
    ("tt", "tatar"), ("haw", "hawaiian"), ("ln", "lingala"), ("ha", "hausa"), ("ba", "bashkir"), ("jw", "javanese"), ("su", "sundanese"),
    ("yue", "cantonese"),
];

/// Codes that others use, with Whisper's: Bokmål and Filipino, and how ISO 639 wrote some once or writes them now.
const OTHERS: [(&str, &str); 6] = [("nb", "no"), ("fil", "tl"), ("iw", "he"), ("in", "id"), ("jv", "jw"), ("cmn", "zh")];

/// The code for a code or an English name, in any case: `de` for `de`, `DE` and `German`.
pub fn code(name: &str) -> Option<&'static str> {
    let name = name.trim().to_lowercase();
    NAMES.iter().find(|(code, english)| *code == name || *english == name).map(|&(code, _)| code)
}

/// The code of the language of a tag that may have a region (`en-GB`, `pt_BR`), or of an English name.
pub fn of_tag(tag: &str) -> Option<&'static str> {
    code(tag).or_else(|| {
        let head = tag.trim().split(['-', '_']).next()?.to_lowercase();
        code(&head).or_else(|| OTHERS.iter().find(|(other, _)| *other == head).map(|&(_, code)| code))
    })
}

/// The English name for a code.
pub fn name(code: &str) -> Option<&'static str> {
    NAMES.iter().find(|(c, _)| *c == code).map(|&(_, name)| name)
}

/// Whether words of this language are written without spaces between them.
pub fn is_unspaced(code: &str) -> bool {
    matches!(code, "zh" | "ja" | "th" | "lo" | "my" | "yue")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_in_any_case() {
        assert_eq!(code("German"), Some("de"));
        assert_eq!(code(" DE "), Some("de"));
        assert_eq!(code("klingon"), None);
        assert_eq!(
            [of_tag("en-GB"), of_tag("pt_BR"), of_tag("Haitian Creole"), of_tag("tlh-x")],
            [Some("en"), Some("pt"), Some("ht"), None]
        );
        assert_eq!([of_tag("nb"), of_tag("nb-NO"), of_tag("fil_PH")], [Some("no"), Some("no"), Some("tl")]);
        assert_eq!(name("haw"), Some("hawaiian"));
        assert_eq!(NAMES.len(), 100);
    }
}
