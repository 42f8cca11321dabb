//! How a word is said: as the lexicon has it, as an inflected form of what it has, spelt, or as the network guesses.

use crate::net;
use crate::pack::{Pack, When};

/// Vowels among the phonemes.
pub(crate) const VOWELS: &str = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";
const PRIMARY: char = 'ˈ';
const SECONDARY: char = 'ˌ';

/// What is known about the place of a word.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Context<'a> {
    /// Its part of speech; empty if nobody knows.
    pub(crate) tag: &'a str,
    /// Whether what comes next begins with a vowel; nothing if the clause ends here.
    pub(crate) next_vowel: Option<bool>,
}

/// How a word is written.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Small,
    /// A capital first.
    Title,
    Capitals,
    Mixed,
}

fn case(word: &str) -> Case {
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    let capitals = letters().filter(|c| c.is_uppercase()).count();
    match capitals {
        0 => Case::Small,
        _ if capitals == letters().count() => {
            if capitals > 1 {
                Case::Capitals
            } else {
                Case::Title
            }
        }
        1 if word.chars().next().is_some_and(char::is_uppercase) => Case::Title,
        _ => Case::Mixed,
    }
}

impl Pack {
    /// How a word is said.
    pub(crate) fn say(&self, word: &str, context: Context<'_>) -> String {
        if let Some(said) = small_word(word, context) {
            return said.to_owned();
        }
        self.known(word, context).or_else(|| self.unknown(word, context)).unwrap_or_default()
    }

    /// How the lexicon says a word, or what it is made of.
    pub(crate) fn known(&self, word: &str, context: Context<'_>) -> Option<String> {
        if let Some(said) = self.entry(word, context) {
            let said = said?;
            return Some(if word.chars().count() == 1 { said } else { stressed(&said, case(word)) });
        }
        let lower = word.to_lowercase();
        let said = self.form(&lower, context)?;
        let said = match case(word) {
            // Capitals are shouted, or stand for the letters' names.
            Case::Capitals if context.tag.starts_with("NNP") && !said.contains(PRIMARY) => return self.spelt(word),
            case => stressed(&said, case),
        };
        Some(said)
    }

    /// A word in small letters, or an inflected form.
    fn form(&self, lower: &str, context: Context<'_>) -> Option<String> {
        if let Some(said) = self.entry(lower, context) {
            return said;
        }
        let title = || {
            let mut chars = lower.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>())
        };
        if let Some(said) = title().and_then(|title| self.entry(&title, context)) {
            return said;
        }
        self.plural(lower, context).or_else(|| self.past(lower, context)).or_else(|| self.gerund(lower, context))
    }

    /// A stem; one of fewer than two letters is none.
    fn stem(&self, stem: &str, context: Context<'_>) -> Option<String> {
        if stem.chars().count() < 2 {
            return None;
        }
        let title = || {
            let mut chars = stem.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>())
        };
        self.entry(stem, context).or_else(|| self.entry(&title()?, context)).flatten()
    }

    fn plural(&self, word: &str, context: Context<'_>) -> Option<String> {
        let stem = word.strip_suffix('s')?;
        let by = |stem: &str| self.stem(stem, context);
        let said = if let Some(owner) = stem.strip_suffix('\'') {
            self.form(owner, context)
        } else if stem.ends_with('s') {
            None
        } else {
            let es = || stem.strip_suffix('e').filter(|stem| stem.len() > 2 && !stem.ends_with('i')).and_then(by);
            let ies = || by(&format!("{}y", stem.strip_suffix("ie").filter(|stem| stem.len() > 1)?));
            by(stem).or_else(es).or_else(ies)
        }?;
        Some(with_s(said))
    }

    fn past(&self, word: &str, context: Context<'_>) -> Option<String> {
        let stem = word.strip_suffix('d').filter(|stem| word.len() > 3 && !stem.ends_with('d'))?;
        let by = |stem: &str| self.stem(stem, context);
        let ed = || stem.strip_suffix('e').and_then(by);
        let ied = || by(&format!("{}y", stem.strip_suffix("ie")?));
        let doubled = || by(undoubled(stem.strip_suffix('e')?)?);
        let said = Some(stem).filter(|stem| stem.ends_with('e')).and_then(by).or_else(ed).or_else(ied).or_else(doubled)?;
        Some(with_ed(said))
    }

    fn gerund(&self, word: &str, context: Context<'_>) -> Option<String> {
        let stem = word.strip_suffix("ing").filter(|stem| stem.len() > 1)?;
        let by = |stem: &str| self.stem(stem, context);
        let said = by(stem).or_else(|| by(&format!("{stem}e"))).or_else(|| by(undoubled(stem)?))?;
        Some(with_ing(said))
    }

    /// The lexicon's own: nothing if it lacks the word, and nothing inside if the word is spelt.
    fn entry(&self, word: &str, context: Context<'_>) -> Option<Option<String>> {
        let mut rest = self.lexicon().get(word.as_bytes())?;
        let wanted = whens(context);
        let mut best: Option<(usize, Option<&[u8]>)> = None;
        while let [when, length, after @ ..] = rest {
            let (said, next) = if *length == u8::MAX {
                (None, after)
            } else {
                let (said, next) = after.split_at_checked((*length).into())?;
                (Some(said), next)
            };
            rest = next;
            if let Some(rank) = wanted.iter().position(|wanted| wanted.is_some_and(|wanted| wanted as u8 == *when))
                && best.is_none_or(|(other, _)| rank < other)
            {
                best = Some((rank, said));
            }
        }
        let (_, said) = best?;
        Some(said.map(|said| said.iter().filter_map(|&place| self.symbols.get(usize::from(place))).collect()))
    }

    /// The names of a word's letters, the last one stressed.
    pub(crate) fn spelt(&self, word: &str) -> Option<String> {
        let names: Vec<String> = word
            .chars()
            .filter(|c| c.is_alphabetic())
            .map(|c| self.entry(&c.to_uppercase().collect::<String>(), Context::default()).flatten())
            .collect::<Option<_>>()?;
        let whole = names.concat().replace(PRIMARY, "\u{2cc}");
        let last = whole.rfind(SECONDARY)?;
        Some(format!("{}{PRIMARY}{}", &whole[..last], &whole[last + SECONDARY.len_utf8()..]))
    }

    fn unknown(&self, word: &str, context: Context<'_>) -> Option<String> {
        if case(word) == Case::Capitals && word.chars().all(|c| c.is_ascii_uppercase()) {
            return self.spelt(word);
        }
        // Several of what is spelt: `DVDs`.
        if let Some(one) = word.strip_suffix('s').filter(|one| one.len() > 1 && one.chars().all(|c| c.is_ascii_uppercase())) {
            return self.spelt(one).map(with_s);
        }
        // What belongs to somebody is said behind the name.
        if let Some(owner) = word.strip_suffix("'s") {
            return Some(with_s(self.say(owner, context)));
        }
        self.guess(word)
    }

    /// What the network says; letter by letter where it knows none of them.
    pub(crate) fn guess(&self, word: &str) -> Option<String> {
        let letters: Vec<usize> =
            word.chars().filter_map(|c| self.head.letters.chars().position(|known| known == c).map(|place| place + 1)).collect();
        if letters.is_empty() {
            return None;
        }
        let said: Vec<char> = self.head.said.chars().collect();
        let mut out = String::new();
        for piece in letters.chunks(net::MAX_LETTERS) {
            let phonemes = net::phonemes(self.head.net, self.net(), piece);
            // Marks of the network's own, which no voice knows, are left out.
            out.extend(phonemes.into_iter().filter_map(|place| said.get(place - 1)).filter(|c| !"()-1".contains(**c)));
        }
        Some(out)
    }
}

/// The few words that are said by what comes next.
fn small_word(word: &str, context: Context<'_>) -> Option<&'static str> {
    let lower = word.to_lowercase();
    Some(match (lower.as_str(), context.next_vowel) {
        ("a", _) if context.tag == "DT" || context.tag.is_empty() => "ɐ",
        ("an", _) => "ɐn",
        ("i", _) if word == "I" => "ˌI",
        ("the", Some(true)) => "ði",
        ("the", _) => "ðə",
        ("to", Some(true)) => "tʊ",
        ("to", Some(false)) => "tə",
        ("to", None) => "tu",
        ("in", Some(_)) => "ɪn",
        ("in", None) => "ˈɪn",
        ("am", Some(_)) if word == "am" => "ɐm",
        ("am", _) if word != "AM" => "æm",
        _ => return None,
    })
}

/// Pronunciations that fit a place, the best first.
fn whens(context: Context<'_>) -> [Option<When>; 4] {
    let (own, kind) = match context.tag {
        "VBD" => (Some(When::Past), Some(When::Verb)),
        "VBN" => (Some(When::Participle), Some(When::Verb)),
        "VBP" => (Some(When::Present), Some(When::Verb)),
        "DT" => (Some(When::Determiner), None),
        tag if tag.starts_with("VB") => (None, Some(When::Verb)),
        tag if tag.starts_with("NN") => (None, Some(When::Noun)),
        tag if tag.starts_with("JJ") => (None, Some(When::Adjective)),
        tag if tag.starts_with("RB") || tag == "ADV" => (None, Some(When::Adverb)),
        _ => (None, None),
    };
    let last = context.next_vowel.is_none().then_some(When::Last);
    [last, own, kind, Some(When::Else)]
}

/// As it is said with capitals: a word that has no stress gets some.
fn stressed(said: &str, case: Case) -> String {
    match case {
        Case::Capitals if !said.contains(PRIMARY) => match said.find(SECONDARY) {
            Some(_) => said.replacen(SECONDARY, "\u{2c8}", 1),
            None => with_stress(said, PRIMARY),
        },
        Case::Title if !said.contains(PRIMARY) && !said.contains(SECONDARY) => with_stress(said, SECONDARY),
        _ => said.to_owned(),
    }
}

/// With a mark before the first vowel.
fn with_stress(said: &str, mark: char) -> String {
    match said.find(|c| VOWELS.contains(c)) {
        Some(at) => format!("{}{mark}{}", &said[..at], &said[at..]),
        None => said.to_owned(),
    }
}

fn undoubled(stem: &str) -> Option<&str> {
    let mut ends = stem.chars().rev();
    let (last, before) = (ends.next()?, ends.next()?);
    (last == before && "bcdgklmnprtvxz".contains(last)).then(|| &stem[..stem.len() - last.len_utf8()])
}

pub(crate) fn with_s(said: String) -> String {
    let end = match said.chars().last() {
        Some('p' | 't' | 'k' | 'f' | 'θ') => "s",
        Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => "ᵻz",
        _ => "z",
    };
    said + end
}

/// The stem with a t that is flapped before a vowel.
fn flapped(said: &str) -> String {
    let mut ends = said.chars().rev();
    match (ends.next(), ends.next()) {
        (Some('t'), Some(before)) if VOWELS.contains(before) || before == 'ɹ' => format!("{}T", &said[..said.len() - 1]),
        _ => said.to_owned(),
    }
}

fn with_ed(said: String) -> String {
    match said.chars().last() {
        Some('p' | 'k' | 'f' | 'θ' | 's' | 'ʃ' | 'ʧ') => said + "t",
        Some('t') => flapped(&said) + "ᵻd",
        Some('d') => said + "ᵻd",
        _ => said + "d",
    }
}

fn with_ing(said: String) -> String {
    flapped(&said) + "ɪŋ"
}
