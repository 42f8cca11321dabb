//! Which words of a growing text stay (local agreement: Liu, Spanakis and Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and
//! Translation by Partial Hypothesis Selection", Interspeech 2020): those that two passes in a row agree upon.

/// The words agreed upon so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    agreed: Vec<String>,
    last: Vec<String>,
}

impl Agreement {
    /// Starts another utterance.
    pub(super) fn clear(&mut self) {
        self.agreed.clear();
        self.last.clear();
    }

    /// Takes the text of one more pass; returns it with the words agreed upon before in place of its own first ones, and how many characters
    /// at its beginning stay.
    pub(super) fn push(&mut self, text: &str) -> (String, usize) {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let kept = self.agreed.len();
        let agreeing = self.last.iter().skip(kept).zip(words.iter().skip(kept)).take_while(|(before, now)| before == now);
        self.agreed.extend(agreeing.map(|(_, word)| word.clone()).collect::<Vec<_>>());
        let stable = characters(&self.agreed);
        let all: Vec<&str> = self.agreed.iter().chain(words.iter().skip(self.agreed.len())).map(String::as_str).collect();
        let text = all.join(" ");
        self.last = words;
        (text, stable)
    }
}

/// Characters of the words with a space between any two.
fn characters(words: &[String]) -> usize {
    words.iter().map(|word| word.chars().count()).sum::<usize>() + words.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_once_two_passes_agree() {
        let mut agreement = Agreement::default();
        assert_eq!(agreement.push("Turn of"), ("Turn of".into(), 0));
        assert_eq!(agreement.push("Turn off the"), ("Turn off the".into(), 4));
        assert_eq!(agreement.push("Turn off the lights"), ("Turn off the lights".into(), 12));
        // Later passes may change their mind; what was shown as stable stays.
        assert_eq!(agreement.push("Burn all the lights"), ("Turn off the lights".into(), 19));
        assert_eq!(agreement.push(""), ("Turn off the lights".into(), 19));
        agreement.clear();
        assert_eq!(agreement.push("Fünf"), ("Fünf".into(), 0));
        assert_eq!(agreement.push("Fünf Uhr"), ("Fünf Uhr".into(), 4));
    }
}
