//! Parts of speech by an averaged perceptron (Collins 2002) from left to right.

use crate::pack::Pack;

impl Pack {
    /// The part of speech of each word and mark of a sentence.
    pub(crate) fn tags(&self, words: &[&str]) -> Vec<&str> {
        let tags = &self.head.tags;
        let known: Vec<String> = words.iter().map(|word| self.class(word)).collect();
        let mut scores = vec![0i32; tags.len()];
        let mut out: Vec<&str> = Vec::with_capacity(words.len());
        let mut feature = String::new();
        for (i, word) in words.iter().enumerate() {
            if let Some(&[tag]) = self.tag_of_word().get(word.as_bytes())
                && let Some(tag) = tags.get(usize::from(tag))
            {
                out.push(tag);
                continue;
            }
            scores.fill(0);
            let before = |n: usize| i.checked_sub(n).map_or(if i + 1 == n { "-START-" } else { "-START2-" }, |at| known[at].as_str());
            let after = |n: usize| known.get(i + n).map_or(if i + n == words.len() { "-END-" } else { "-END2-" }, String::as_str);
            let tag = |n: usize| i.checked_sub(n).map_or(if i + 1 == n { "-START-" } else { "-START2-" }, |at| out[at]);
            let (t1, t2) = (tag(1), tag(2));
            let mut count = |parts: &[&str]| {
                feature.clear();
                parts.iter().for_each(|part| feature.push_str(part));
                let weights = self.tag_weights().get(feature.as_bytes()).unwrap_or_default();
                for &[tag, low, high] in weights.as_chunks().0 {
                    if let Some(score) = scores.get_mut(usize::from(tag)) {
                        *score += i32::from(i16::from_le_bytes([low, high]));
                    }
                }
            };
            let first = word.chars().next().map(String::from).unwrap_or_default();
            count(&["b"]);
            count(&[if i == 0 { "i0" } else { "i+" }]);
            count(&["w=", &known[i]]);
            count(&["s3=", last_three(word)]);
            count(&["p1=", &first]);
            count(&["sh=", &shape(word)]);
            count(&["t-1=", t1]);
            count(&["t-2=", t2]);
            count(&["t-12=", t1, ",", t2]);
            count(&["w-1=", before(1)]);
            count(&["w-2=", before(2)]);
            count(&["w+1=", after(1)]);
            count(&["w+2=", after(2)]);
            count(&["s3-1=", last_three(before(1))]);
            count(&["s3+1=", last_three(after(1))]);
            // Of equals the first.
            let best = (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
            out.push(tags.get(best).map_or("", String::as_str));
        }
        out
    }

    /// A word as its neighbours see it: in small letters if it is common, else what it looks like.
    fn class(&self, word: &str) -> String {
        let lower = word.to_lowercase();
        if word.contains('-') && !word.starts_with('-') {
            return "!HYPHEN".to_owned();
        }
        let digits = word.chars().all(|c| c.is_ascii_digit());
        if digits && word.len() == 4 {
            return "!YEAR".to_owned();
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return "!DIGITS".to_owned();
        }
        if self.tag_weights().get(format!("w={lower}").as_bytes()).is_some()
            || self.tag_weights().get(format!("w+1={lower}").as_bytes()).is_some()
        {
            return lower;
        }
        format!("<{}>", shape(word))
    }
}

fn last_three(word: &str) -> &str {
    let at = word.char_indices().rev().nth(2).map_or(0, |(at, _)| at);
    &word[at..]
}

/// How a word is written: `x`, `Xx`, `XX`, `X1`, `xX`; of others the first four characters, letters as x and digits as d.
fn shape(word: &str) -> String {
    if !word.is_empty() && word.chars().all(char::is_alphabetic) {
        let capitals = word.chars().filter(|c| c.is_uppercase()).count();
        let first = word.chars().next().is_some_and(char::is_uppercase);
        let shape = match capitals {
            0 => "x",
            1 if first && word.chars().nth(1).is_none() => "X1",
            1 if first => "Xx",
            _ if capitals == word.chars().count() => "XX",
            _ => "xX",
        };
        return shape.to_owned();
    }
    word.chars()
        .take(4)
        .map(|c| {
            if c.is_alphabetic() {
                'x'
            } else if c.is_numeric() {
                'd'
            } else {
                c
            }
        })
        .collect()
}
