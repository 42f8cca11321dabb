//! How a speech recogniser may write a word.

use crate::lexicon::Entry;
use crate::words::{self, ALIASES};

/// Contractions and their spelling, for templates that leave the apostrophe out.
const CONTRACTIONS: [(&str, &str); 24] = [
    ("arent", "aren't"),
    ("cant", "can't"),
    ("couldnt", "couldn't"),
    ("didnt", "didn't"),
    ("doesnt", "doesn't"),
    ("dont", "don't"),
    ("hows", "how's"),
    ("im", "I'm"),
    ("isnt", "isn't"),
    ("ive", "I've"),
    ("lets", "let's"),
    ("shouldnt", "shouldn't"),
    ("thats", "that's"),
    ("theres", "there's"),
    ("theyre", "they're"),
    ("wasnt", "wasn't"),
    ("whats", "what's"),
    ("whens", "when's"),
    ("wheres", "where's"),
    ("whos", "who's"),
    ("wont", "won't"),
    ("wouldnt", "wouldn't"),
    ("youre", "you're"),
    ("oclock", "o'clock"),
];

/// Signs written directly behind the word before.
const SIGNS: [(&str, &str); 2] = [("percent", "%"), ("degrees", "°")];

/// The sign that can stand for `word` directly behind the word before it.
pub(crate) fn sign(word: &str) -> Option<&'static str> {
    SIGNS.iter().find(|sign| sign.0 == word).map(|sign| sign.1)
}

/// All forms of a word, each once: as templates give it, in lower case, with a capital, in capitals where it is an abbreviation, with
/// and without apostrophes, in other spellings. Each of them reads as this word and no other.
pub(crate) fn forms(entry: &Entry) -> Vec<String> {
    let word = entry.text.as_str();
    let mut forms: Vec<String> = entry.given.clone();
    forms.push(word.to_owned());
    forms.extend(ALIASES.iter().filter(|alias| alias.1 == word).map(|alias| alias.0.to_owned()));
    forms.extend(CONTRACTIONS.iter().filter(|contraction| contraction.0 == word).map(|contraction| contraction.1.to_owned()));
    if matches!(word, "am" | "pm") {
        forms.push(format!("{}.m.", &word[..1]));
    }
    if is_abbreviation(entry) {
        forms.push(word.to_uppercase());
    }
    forms.extend(grouped(word));
    for i in 0..forms.len() {
        let lower = forms[i].to_lowercase();
        forms.extend([capitalised(&lower), lower]);
    }
    let mut seen = std::collections::HashSet::new();
    forms.retain(|form| seen.insert(form.clone()) && reads_as(form, word));
    forms
}

fn reads_as(form: &str, word: &str) -> bool {
    matches!(&words::split(form)[..], [only] if only.text == word)
}

fn capitalised(form: &str) -> String {
    let mut chars = form.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `TV`, `PM`, `OK`: given in capitals, or too few letters to be a word.
fn is_abbreviation(entry: &Entry) -> bool {
    let capitals = entry.given.iter().any(|form| form.len() > 1 && form.chars().all(char::is_uppercase));
    let short = (2..=4).contains(&entry.text.len()) && entry.text.bytes().all(|b| b.is_ascii_lowercase() && !b"aeiouy".contains(&b));
    capitals || short || matches!(entry.text.as_str(), "ok" | "am")
}

/// `1,000` for `1000`.
fn grouped(word: &str) -> Option<String> {
    if word.len() < 4 || !word.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let head = word.len() % 3;
    let mut text = word[..head].to_owned();
    for (i, group) in word.as_bytes()[head..].chunks(3).enumerate() {
        if i > 0 || head > 0 {
            text.push(',');
        }
        text.extend(group.iter().map(|&b| char::from(b)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_forms() {
        for (text, given, expected) in [
            ("light", &["light"][..], &["light", "Light"][..]),
            ("tv", &["TV"], &["TV", "tv", "Tv"]),
            ("whats", &["whats"], &["whats", "what's", "Whats", "What's"]),
            ("whats", &["what's"], &["what's", "whats", "What's", "Whats"]),
            ("color", &["colour"], &["colour", "color", "Colour", "Color"]),
            ("ok", &["okay"], &["okay", "ok", "OK", "Okay", "Ok"]),
            ("pm", &["pm"], &["pm", "p.m.", "PM", "Pm", "P.m."]),
            ("1000", &[], &["1000", "1,000"]),
            ("123456", &[], &["123456", "123,456"]),
            ("20.5", &[], &["20.5"]),
            ("mcdonalds", &["McDonald's"], &["McDonald's", "mcdonalds", "Mcdonald's", "mcdonald's", "Mcdonalds"]),
        ] {
            let entry = Entry { text: text.to_owned(), given: given.iter().map(|&form| form.to_owned()).collect(), hyphen: false };
            assert_eq!(forms(&entry), expected, "{text}");
        }
    }
}
