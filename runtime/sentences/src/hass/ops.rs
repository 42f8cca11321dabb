//! What sentences are made of.

pub(super) type Part32 = u32;

#[derive(Debug)]
pub(super) enum Op {
    /// A word in lower case with the blanks around it.
    Text(Box<[char]>),
    Sequence(Box<[Part32]>),
    Choice(Box<[Part32]>),
    Permutation(Box<[Part32]>),
    List {
        list: u32,
        slot: u32,
        capture: bool,
        ends_word: bool,
    },
}

/// A text without the blanks at its ends.
pub(super) fn trimmed(text: &[char]) -> &[char] {
    let start = text.iter().position(|c| !c.is_whitespace()).unwrap_or(text.len());
    let end = text.iter().rposition(|c| !c.is_whitespace()).map_or(start, |last| last + 1);
    &text[start..end]
}
