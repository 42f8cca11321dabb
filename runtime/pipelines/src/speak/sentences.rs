//! Text that comes in parts, as from a language model, cut where sentences end.

/// Most bytes of a sentence; a longer one is cut at a blank.
const LONGEST: usize = 600;

/// Bytes behind a sentence that say whether it ends there.
const BEHIND: usize = 120;

/// Text that is still to be said. A sentence is given out when the next word has come, and only where the whole text would be cut too.
#[derive(Clone, Debug, Default)]
pub struct Sentences {
    text: String,
    /// Up to here no place to cut was found.
    tried: usize,
}

impl Sentences {
    /// Appends what has come.
    pub fn push(&mut self, part: &str) {
        self.text.push_str(part);
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the next sentence, if it is known to be whole. `pronounce` gives a text's phonemes, a line for each sentence.
    ///
    /// # Errors
    /// Those of `pronounce`.
    pub fn next<E>(&mut self, mut pronounce: impl FnMut(&str) -> Result<String, E>) -> Result<Option<String>, E> {
        while let Some(end) = self.end() {
            if end > LONGEST {
                break;
            }
            self.tried = end;
            let until = self.text.ceil_char_boundary(end + BEHIND);
            let (sentence, all) = (&self.text[..end], &self.text[..until]);
            let parts = pronounce(sentence)? + &pronounce(&self.text[end..until])?;
            if pronounce(all)? == parts {
                return Ok(Some(self.take(end)));
            }
        }
        if self.text.len() <= LONGEST {
            return Ok(None);
        }
        let most = self.text.floor_char_boundary(LONGEST);
        let blank = self.text[..most].rfind(char::is_whitespace).filter(|&at| at > 0);
        Ok(Some(self.take(blank.unwrap_or(most))))
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> String {
        self.take(self.text.len())
    }

    fn take(&mut self, end: usize) -> String {
        let rest = self.text.split_off(end);
        self.tried = 0;
        std::mem::replace(&mut self.text, rest)
    }

    /// Behind the next marks that may end a sentence, with a blank, a word and another blank behind them.
    fn end(&self) -> Option<usize> {
        let mut from = self.tried;
        loop {
            let mark = from + self.text[from..].find(['.', '!', '?', '…'])?;
            let marks = |c: char| matches!(c, '.' | '!' | '?' | '…' | '"' | '”' | '’' | '\'' | ')' | ']');
            let end = self.text.len() - self.text[mark..].trim_start_matches(marks).len();
            let behind = &self.text[end..];
            let word = behind.trim_start();
            if word.len() < behind.len() {
                return word.contains(char::is_whitespace).then_some(end);
            }
            from = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Sentences end at a mark before a capital.
    fn pronounce(text: &str) -> Result<String, Infallible> {
        let mut out = String::new();
        let words: Vec<&str> = text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1);
            let ends = word.trim_end_matches('"').ends_with(['.', '!', '?'])
                && *word != "Dr."
                && next.is_none_or(|next| next.starts_with(char::is_uppercase));
            out.push_str(word);
            out.push(if ends || next.is_none() { '\n' } else { ' ' });
        }
        Ok(out)
    }

    fn pieces(text: &str, step: usize) -> Vec<String> {
        let (mut sentences, mut out) = (Sentences::default(), Vec::new());
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(step) {
            sentences.push(&part.iter().collect::<String>());
            while let Ok(Some(sentence)) = sentences.next(pronounce) {
                out.push(sentence);
            }
        }
        out.push(sentences.rest());
        assert!(sentences.is_empty());
        out
    }

    #[test]
    fn sentences_come_as_soon_as_the_next_word_is_there() {
        let text = "It is on. Dr. Who said \"No.\" He left at 3.30 p.m. today! Good bye";
        for step in [1, 3, 100] {
            let all = pieces(text, step);
            assert_eq!(
                all,
                ["It is on.", " Dr. Who said \"No.\"", " He left at 3.30 p.m. today!", " Good bye"].map(String::from),
                "{step}"
            );
        }
        let mut sentences = Sentences::default();
        sentences.push("It is on. It");
        assert_eq!(sentences.next(pronounce), Ok(None));
        sentences.push(" is");
        assert_eq!(sentences.next(pronounce), Ok(Some("It is on.".into())));
    }

    #[test]
    fn nothing_is_lost_and_each_place_is_looked_at_once() {
        for text in ["a. ".repeat(700), "x".repeat(2000), "é".repeat(2000), "e.g. ".repeat(500), " ".repeat(2000), "!?".repeat(1000)] {
            for step in [1, 7, 5000] {
                let all = pieces(&text, step);
                assert_eq!(all.concat(), text);
                assert!(all.iter().all(|piece| piece.len() <= LONGEST), "{step}");
            }
        }
        let (mut sentences, mut asked) = (Sentences::default(), 0);
        for _ in 0..100 {
            sentences.push("e.g. ");
            let next = sentences.next(|text| {
                asked += 1;
                pronounce(text)
            });
            assert_eq!(next, Ok(None));
        }
        assert!(asked <= 300, "{asked}");
    }
}
