//! Any text, however long or strange, gives phonemes that are known, in bounded time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ossicle_phonemes::{Parts, Phonemizer, Pronunciation, Readings};
use proptest::prelude::*;

const SAID: &str = "atn";

/// A few words, and a network that says something for letters.
fn parts() -> Parts {
    let letters: String = ('a'..='z').collect();
    let floats = 27 * 4 + 24 * 4 + (4 + 4 + 48 + 12 + 16 + 4 + 4 + 4 + 12 + 3 + 12 + 4) + 8 + 32 + 8;
    let one = |said: &str| Pronunciation::One(said.to_owned());
    let mut lexicon: BTreeMap<String, Pronunciation> = ('A'..='Z').map(|letter| (letter.to_string(), one("tˈA"))).collect();
    for word in ["light", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "dollar", "dollars", "point"] {
        lexicon.insert(word.to_owned(), one("lˈIt"));
    }
    let record = [("DEFAULT", "ɹəkˈɔɹd"), ("NOUN", "ɹˈɛkəɹd")].map(|(when, said)| (when.to_owned(), Some(said.to_owned())));
    lexicon.insert("record".to_owned(), Pronunciation::Several(record.into()));
    Parts {
        language: "en-us".to_owned(),
        lexicon,
        tags: vec!["NN".to_owned(), "VB".to_owned()],
        tag_of_word: BTreeMap::from([("light".to_owned(), "NN".to_owned())]),
        tag_weights: BTreeMap::from([
            ("b".to_owned(), BTreeMap::from([("VB".to_owned(), 1.0)])),
            ("w=the".to_owned(), BTreeMap::from([("NN".to_owned(), 0.5)])),
            ("w-1=the".to_owned(), BTreeMap::from([("NN".to_owned(), 3.0)])),
        ]),
        letters,
        said: SAID.to_owned(),
        slots: 2,
        net: [4, 2, 3, 1],
        weights: (0..floats).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 40.0).collect(),
        readings: Readings {
            currency: BTreeMap::from([("$".to_owned(), ["dollar".to_owned(), "dollars".to_owned()])]),
            ..Readings::default()
        },
    }
}

fn phonemizer() -> Phonemizer {
    Phonemizer::from_bytes(parts().write().unwrap()).unwrap()
}

fn said(text: &str) -> String {
    phonemizer().phonemize(text).into_iter().map(|clause| clause.phonemes).collect::<Vec<_>>().join(" | ")
}

fn check(phonemizer: &Phonemizer, text: &str) {
    let known = "æmaAtnlIˈɹəkɔdɛʊðiuɪɐˌʌsz\u{1d7b} .,;:!?…—()";
    for clause in phonemizer.phonemize(text) {
        assert!(clause.phonemes.chars().all(|c| known.contains(c)), "{:?} of {text:?}", clause.phonemes);
        assert!(!(clause.words.is_empty() && clause.left_out.is_empty()));
    }
}

#[test]
fn words_are_said_by_what_stands_around_them() {
    assert_eq!(said("Record the record!"), "ɹəkˈɔɹd ðə ɹˈɛkəɹd!");
    let guessed = ["and", "fifty", "cents"].map(said).join(" ");
    assert_eq!(said("Light $2.50, [light](/nˈIt/); USA."), format!("lˈIt lˈIt lˈIt {guessed}, nˈIt; tˌAtˌAtˈA."));
    assert_eq!(phonemizer().phonemize("Light? No. Light. No. 5.").len(), 4);
    let clauses = phonemizer().phonemize("灯 light. Two lights…");
    assert_eq!(clauses.len(), 2);
    assert_eq!((clauses[0].phonemes.as_str(), &clauses[0].left_out[..]), ("lˈIt.", &["灯".to_owned()][..]));
    assert_eq!(clauses[1].phonemes, "lˈIt lˈIts…");
}

#[test]
fn own_pronunciations_count() {
    let mut phonemizer = phonemizer();
    phonemizer.pronounce("Light", "ˈa");
    assert_eq!(phonemizer.phonemize("LIGHT light lights")[0].phonemes, "ˈa ˈa lˈIts");
    assert_eq!(phonemizer.pronounce_all("# names\n\nlights\tˈat ta\n one tˈa\r\n"), Ok(2));
    assert_eq!(phonemizer.phonemize("Lights one")[0].phonemes, "ˈat ta tˈa");
    assert_eq!(phonemizer.pronounce_all("a b\n\nword\n"), Err(3));
}

#[test]
fn hostile_texts_end_in_time() {
    let phonemizer = phonemizer();
    let blocks: String = (0..0x11_0000u32).step_by(128).filter_map(char::from_u32).flat_map(|c| [c, ' ']).collect();
    let texts = [
        "a".repeat(100_000),
        "7".repeat(10_000),
        "-".repeat(100_000),
        "a.".repeat(50_000),
        "[".repeat(50_000) + &"](/".repeat(1000),
        "'s".repeat(20_000),
        "🙂\u{0}\u{7}\u{202e}".repeat(10_000),
        "I ".repeat(20_000),
        "$".repeat(1000) + &"1,".repeat(10_000),
        blocks,
    ];
    for text in texts {
        let clock = Instant::now();
        check(&phonemizer, &text);
        assert!(clock.elapsed() < Duration::from_secs(20), "{:.20}", text);
    }
}

#[test]
fn damaged_files_are_told_and_never_read_beyond() {
    let bytes = parts().write().unwrap();
    for end in (0..bytes.len()).step_by(7) {
        assert!(Phonemizer::from_bytes(bytes[..end].to_vec()).is_err(), "{end}");
    }
    for at in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(phonemizer) = Phonemizer::from_bytes(damaged) {
            let _ = phonemizer.phonemize("The light records 12 lights at 5:30, Zyx.");
        }
    }
}

proptest! {
    #[test]
    fn any_text_gives_known_phonemes(text in ".{0,60}") {
        check(&phonemizer(), &text);
    }

    #[test]
    fn any_figures_are_read(text in "[0-9:/.,$%°CFkm+x#'-]{1,12}( [a-zA-Z0-9.]{1,6}){0,3}") {
        check(&phonemizer(), &text);
    }
}
