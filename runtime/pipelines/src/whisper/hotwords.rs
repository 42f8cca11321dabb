//! Words that may well be said: a bounded bias on the logits of their tokens.
//!
//! The tokens of all hotwords form a tree. At each step the first tokens get a small bonus, and behind a text that ends in the beginning of
//! a hotword its next tokens get a larger one (shallow fusion, see Zhao et al., "Shallow-Fusion End-to-End Contextual Biasing", 2019). A
//! bonus decides between readings that sound alike; it does not put in words that nobody said.

use super::encode_text::TextEncoder;
use super::error::OptionError;

/// Most hotwords.
pub const MAX_HOTWORDS: usize = 256;

/// Most characters of a hotword; a name of several words is one.
pub const MAX_CHARS: usize = 64;

/// What a hotword's first token gains.
const FIRST_BONUS: f32 = 0.5;

/// What each further token gains.
const NEXT_BONUS: f32 = 4.0;

/// The tree; node 0 is where every hotword begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hotwords {
    /// Of each node, its tokens, sorted, with the nodes they lead to.
    nodes: Vec<Vec<(u32, usize)>>,
    /// Tokens of the longest hotword.
    longest: usize,
}

impl Hotwords {
    /// The tree of `words`, each as it is written and with its first letter capital.
    ///
    /// # Errors
    /// [`OptionError::Hotwords`] if they are too many, [`OptionError::LongHotword`] if one is too long.
    pub fn new(words: &[String], encoder: &TextEncoder<'_>) -> Result<Self, OptionError> {
        let mut hotwords = Self { nodes: vec![vec![]], longest: 0 };
        if words.len() > MAX_HOTWORDS {
            return Err(OptionError::Hotwords { words: words.len(), most: MAX_HOTWORDS });
        }
        for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
            if word.chars().nth(MAX_CHARS).is_some() {
                return Err(OptionError::LongHotword { begins: word.chars().take(16).collect(), most: MAX_CHARS });
            }
            let mut rest = word.chars();
            let capital: String = rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).collect();
            for spelling in [word, &capital] {
                hotwords.add(&encoder.encode(&format!(" {spelling}")));
            }
        }
        Ok(hotwords)
    }

    fn add(&mut self, tokens: &[u32]) {
        let mut at = 0;
        for &token in tokens {
            at = match self.nodes[at].binary_search_by_key(&token, |child| child.0) {
                Ok(place) => self.nodes[at][place].1,
                Err(place) => {
                    let new = self.nodes.len();
                    self.nodes.push(vec![]);
                    self.nodes[at].insert(place, (token, new));
                    new
                }
            };
        }
        self.longest = self.longest.max(tokens.len());
    }

    /// Adds the bonuses after `produced`; a masked logit stays masked. A token gains once, however many hotwords it belongs to.
    pub fn apply(&self, logits: &mut [f32], produced: &[u32]) {
        let Some(root) = self.nodes.first() else { return };
        // The longest match alone: "New York" is not also the beginning of "York Street".
        let longest = self.longest.saturating_sub(1).min(produced.len());
        let inside = (1..=longest).rev().find_map(|len| self.walk(&produced[produced.len() - len..]));
        let next = inside.map_or(&[][..], |node| &self.nodes[node]);
        for &(token, _) in next {
            logits[token as usize] += NEXT_BONUS;
        }
        for &(token, _) in root.iter().filter(|child| next.binary_search_by_key(&child.0, |next| next.0).is_err()) {
            logits[token as usize] += FIRST_BONUS;
        }
    }

    /// The node that the tokens lead to, if it goes on.
    fn walk(&self, tokens: &[u32]) -> Option<usize> {
        let mut at = 0;
        for token in tokens {
            let place = self.nodes[at].binary_search_by_key(token, |child| child.0).ok()?;
            at = self.nodes[at][place].1;
        }
        (!self.nodes[at].is_empty()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::of_pieces;
    use super::*;

    const EOT: u32 = 20;

    fn hotwords(words: &[&str]) -> Result<Hotwords, OptionError> {
        let pieces: [(u32, &[u8]); 8] = [(0, b" "), (1, b" a"), (2, b"b"), (3, b"c"), (4, b" A"), (5, b" d"), (6, b" D"), (7, b"a")];
        let tokenizer = of_pieces(&pieces);
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Hotwords::new(&words, &TextEncoder::new(&tokenizer, EOT))
    }

    fn gains(hotwords: &Hotwords, produced: &[u32]) -> Vec<f32> {
        let mut logits = vec![0.0; 8];
        logits[3] = f32::NEG_INFINITY;
        hotwords.apply(&mut logits, produced);
        logits
    }

    #[test]
    fn a_word_gains_as_it_goes_on() {
        let hotwords = hotwords(&["abb", " d "]).unwrap();
        let masked = f32::NEG_INFINITY;
        let (first, next) = (FIRST_BONUS, NEXT_BONUS);
        assert_eq!(gains(&hotwords, &[]), [0.0, first, 0.0, masked, first, first, first, 0.0]);
        assert_eq!(gains(&hotwords, &[5, 1]), [0.0, first, next, masked, first, first, first, 0.0]);
        assert_eq!(gains(&hotwords, &[4, 2]), [0.0, first, next, masked, first, first, first, 0.0]);
        assert_eq!(gains(&hotwords, &[1, 2, 2]), gains(&hotwords, &[]), "the word is complete");
        assert_eq!(gains(&hotwords, &[2]), gains(&hotwords, &[]), "not its beginning");
        assert_eq!(gains(&Hotwords::default(), &[1]), [0.0, 0.0, 0.0, masked, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn there_are_only_so_many() {
        let many = vec!["a"; MAX_HOTWORDS + 1];
        assert_eq!(hotwords(&many).unwrap_err(), OptionError::Hotwords { words: MAX_HOTWORDS + 1, most: MAX_HOTWORDS });
        assert!(hotwords(&many[1..]).is_ok());
        let most = "a".repeat(MAX_CHARS);
        assert!(hotwords(&[&format!(" {most} ")]).is_ok());
        let error = OptionError::LongHotword { begins: "a".repeat(16), most: MAX_CHARS };
        assert_eq!(hotwords(&["d", &(most + "a")]).unwrap_err(), error);
        assert_eq!(error.to_string(), "hotwords: \"aaaaaaaaaaaaaaaa\"... is too long: give words or names of at most 64 characters");
    }
}
