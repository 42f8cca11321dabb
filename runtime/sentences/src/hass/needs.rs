//! What a text must hold for a sentence to be worth trying: words, in a formula of and and or.

use std::collections::HashMap;

use super::ops::{Op, trimmed};

#[derive(Debug)]
enum Need {
    Word(u32),
    All(Box<[u32]>),
    Any(Box<[u32]>),
}

/// Number 0 is always met.
#[derive(Debug)]
pub(super) struct Needs {
    needs: Vec<Need>,
    words: Vec<Box<[char]>>,
    ids: HashMap<Box<[char]>, u32>,
    /// Words by their first letters.
    firsts: HashMap<char, Vec<u32>>,
    of_part: HashMap<u32, u32>,
}

impl Default for Needs {
    fn default() -> Self {
        let (words, ids, firsts, of_part) = Default::default();
        Self { needs: vec![Need::All([].into())], words, ids, firsts, of_part }
    }
}

/// Joined words are as good as words apart.
pub(super) fn apart(c: char) -> char {
    if matches!(c, '-' | '_') { ' ' } else { c }
}

impl Needs {
    /// What a part needs.
    pub(super) fn of(&mut self, ops: &[Op], part: u32) -> u32 {
        if let Some(&need) = self.of_part.get(&part) {
            return need;
        }
        let need = match &ops[part as usize] {
            Op::Text(text) if trimmed(text).is_empty() => 0,
            Op::Text(text) => {
                let word: Box<[char]> = trimmed(text).iter().copied().map(apart).collect();
                let words = &mut self.words;
                let id = *self.ids.entry(word.clone()).or_insert_with(|| {
                    words.push(word.clone());
                    words.len() as u32 - 1
                });
                if id as usize + 1 == self.words.len() {
                    let of_first = self.firsts.entry(word[0]).or_default();
                    if of_first.last() != Some(&id) {
                        of_first.push(id);
                    }
                }
                self.push(Need::Word(id))
            }
            Op::Sequence(parts) | Op::Permutation(parts) => {
                let mut all: Vec<u32> = parts.iter().map(|&part| self.of(ops, part)).filter(|&need| need != 0).collect();
                all.dedup();
                match all[..] {
                    [] => 0,
                    [only] => only,
                    _ => self.push(Need::All(all.into())),
                }
            }
            Op::Choice(parts) => {
                let any: Vec<u32> = parts.iter().map(|&part| self.of(ops, part)).collect();
                if any.contains(&0) { 0 } else { self.push(Need::Any(any.into())) }
            }
            Op::List { .. } => 0,
        };
        self.of_part.insert(part, need);
        need
    }

    fn push(&mut self, need: Need) -> u32 {
        self.needs.push(need);
        self.needs.len() as u32 - 1
    }

    /// Which needs a text meets; `text` is in lower case with joined words apart.
    pub(super) fn met(&self, text: &[char]) -> Vec<bool> {
        let mut there = vec![false; self.words.len()];
        for (at, first) in text.iter().enumerate() {
            for &word in self.firsts.get(first).into_iter().flatten() {
                if !there[word as usize] && text[at..].starts_with(&self.words[word as usize]) {
                    there[word as usize] = true;
                }
            }
        }
        let mut met = vec![false; self.needs.len()];
        // What a need consists of stands before it.
        for (i, need) in self.needs.iter().enumerate() {
            met[i] = match need {
                Need::Word(word) => there[*word as usize],
                Need::All(all) => all.iter().all(|&need| met[need as usize]),
                Need::Any(any) => any.iter().any(|&need| met[need as usize]),
            };
        }
        met
    }
}
