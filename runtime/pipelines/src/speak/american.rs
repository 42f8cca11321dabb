//! American phonemes as misaki's lexicons write them, in the IPA of espeak-ng's voice `en-us`, which Piper's voices know.

/// Sounds of several letters that misaki has one for.
const JOINED: [(char, &str); 11] = [
    ('A', "eɪ"),
    ('I', "aɪ"),
    ('W', "aʊ"),
    ('Y', "ɔɪ"),
    ('O', "oʊ"),
    ('ʤ', "dʒ"),
    ('ʧ', "tʃ"),
    ('T', "ɾ"),
    ('ᵊ', "ə"),
    ('ɑ', "ɑː"),
    ('u', "uː"),
];

const STRESSES: &str = "ˈˌ";
const VOWELS: &str = "AIWYOᵊɑuiɪɛæʌʊɔəɜɐᵻa";
/// What ends a clause, or parts it, as voices know it.
const MARKS: &str = ".,!?;:";
/// Dashes, and brackets, where a speaker pauses.
const PAUSES: &str = "—–()[]";

/// A sentence's phonemes; words are a blank apart in both.
pub(super) fn ipa(phonemes: &str) -> String {
    let mut out = String::with_capacity(phonemes.len() * 2);
    for word in phonemes.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        let syllables = letters.iter().filter(|c| VOWELS.contains(**c)).count();
        let mut said = String::new();
        // Whether `said` ends with a comma for a pause.
        let mut paused = false;
        let mut at = 0;
        while let Some(&letter) = letters.get(at) {
            let stressed = at > 0 && STRESSES.contains(letters[at - 1]);
            let next = letters.get(at + 1).copied();
            // `ɹ` after it is part of such a vowel, unless a vowel follows that.
            let coloured = next == Some('ɹ');
            let open = letters[at + 1..].iter().skip(1).find(|c| !STRESSES.contains(**c)).is_some_and(|c| VOWELS.contains(*c));
            at += 1;
            paused &= "\"“”«»".contains(letter) || MARKS.contains(letter) || PAUSES.contains(letter);
            match letter {
                'ɜ' | 'ə' if coloured => {
                    said += if letter == 'ɜ' { "ɜː" } else { "ɚ" };
                    if !open {
                        at += 1;
                    }
                }
                // Only the second of two stresses is marked so.
                'ˌ' if syllables == 1 => {}
                'ə' if said.is_empty() => said.push('ɐ'),
                'i' if word == "ði" => said.push('ɪ'),
                'i' if stressed || syllables == 1 => said += "iː",
                'ɔ' if stressed || coloured => said += "ɔː",
                '…' => said.push('.'),
                _ if PAUSES.contains(letter) => {
                    let before = said.trim_end().chars().last().or_else(|| out.chars().last());
                    if before.is_some_and(|before| !MARKS.contains(before)) {
                        said.push(',');
                        paused = true;
                        // Unless the word ends with it.
                        if at < letters.len() {
                            said.push(' ');
                        }
                    }
                }
                _ if paused && MARKS.contains(letter) => {
                    said.truncate(said.trim_end_matches([',', ' ']).len());
                    said.push(letter);
                }
                // Quotes are not heard.
                '"' | '“' | '”' | '«' | '»' => {}
                _ => match JOINED.iter().find(|(one, _)| *one == letter) {
                    Some((_, sound)) => said += sound,
                    None => said.push(letter),
                },
            }
        }
        // A mark by itself belongs to the word before it.
        if !out.is_empty() && !said.is_empty() && !said.starts_with(|c| MARKS.contains(c)) {
            out.push(' ');
        }
        out += &said;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::ipa;

    #[test]
    fn phonemes_are_those_of_espeak() {
        for (misaki, wanted) in [
            ("ðə lˈIt ɪz ˈɔn.", "ðə lˈaɪt ɪz ˈɔːn."),
            ("bˈɜɹd ænd hˈɜɹi, kˈʌləɹ", "bˈɜːd ænd hˈɜːɹi, kˈʌlɚ"),
            ("kˈʌvəɹɪŋ θˈɜɹTi ʤˈʌmps", "kˈʌvɚɹɪŋ θˈɜːɾi dʒˈʌmps"),
            ("hi wˈɑnts tʊ sˈi fˈɔɹ ʧˈɪldɹən", "hiː wˈɑːnts tʊ sˈiː fˈɔːɹ tʃˈɪldɹən"),
            ("“jˈɛs” — nˈO…", "jˈɛs, nˈoʊ."),
            ("ˌæt ðə dˈɛθ—! ði əbˈWt", "æt ðə dˈɛθ! ðɪ ɐbˈaʊt"),
            ("— jˈɛs, (nˈO)", "jˈɛs, nˈoʊ,"),
            ("jˈɛs (nˈO) jˈɛs—nˈO", "jˈɛs, nˈoʊ, jˈɛs, nˈoʊ"),
            ("lˈAt)—ðˈɛn", "lˈeɪt, ðˈɛn"),
            ("bˈʌtᵊn ju", "bˈʌtən juː"),
            ("", ""),
        ] {
            assert_eq!(ipa(misaki), wanted);
        }
    }
}
