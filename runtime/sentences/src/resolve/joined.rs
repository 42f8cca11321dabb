//! Parts that touch: every combination is written out as text and then cut into words.

use super::Resolver;
use super::lists::numbers_of;
use crate::error::{Error, Fault};
use crate::expr::{Expr, ExprId};
use crate::schema::ListKind;
use crate::source::Scalar;
use crate::template::Part;
use crate::words::is_word_char;

/// The most combinations of parts that touch.
const MAX_JOINED: usize = 4096;
/// The most that is written out in one file, in bytes of text and in parts, what is copied counted each time.
pub(super) const MAX_WRITTEN: usize = 1 << 25;
/// What a part costs beside its text: making it takes longer than copying a byte. 2^20 parts in all.
const PART_COST: usize = 32;

/// A piece of parts written out.
#[derive(Clone, Debug)]
pub(super) enum Flat {
    Text(String),
    Open { slot: u32, value: u32 },
    Close,
}

/// What one way costs to copy.
fn size(way: &[Flat]) -> usize {
    let text = |flat: &Flat| if let Flat::Text(text) = flat { text.len() } else { 0 };
    1 + way.iter().map(|flat| 1 + text(flat)).sum::<usize>()
}

impl Resolver<'_> {
    /// Parts that touch: every combination, as words.
    pub(super) fn joined(&mut self, scalar: &Scalar, chunk: &[Part]) -> Result<ExprId, Error> {
        let ways = self.write_out(scalar, chunk)?;
        let ways = ways.iter().map(|way| self.written(scalar, way)).collect::<Result<Vec<_>, _>>()?;
        if let [way] = ways[..] { Ok(way) } else { self.push(scalar, Expr::Choice(ways)) }
    }

    pub(super) fn write_out(&mut self, scalar: &Scalar, parts: &[Part]) -> Result<Vec<Vec<Flat>>, Error> {
        let mut ways: Vec<Vec<Flat>> = vec![Vec::new()];
        for part in parts {
            let more = self.write_out_part(scalar, part)?;
            if ways.len() * more.len() > MAX_JOINED {
                let wanted = format!("at most {MAX_JOINED}; put white space between the parts");
                return Err(self.error(scalar, 0, Fault::TooLarge, "too many combinations of parts that touch", wanted));
            }
            let sizes = |ways: &[Vec<Flat>]| ways.iter().map(|way| size(way)).sum::<usize>();
            let cost = sizes(&ways).saturating_mul(more.len()).saturating_add(sizes(&more).saturating_mul(ways.len()));
            self.charge(scalar, cost)?;
            ways = ways.iter().flat_map(|way| more.iter().map(|tail| [way.clone(), tail.clone()].concat())).collect();
        }
        Ok(ways)
    }

    /// Takes what is about to be written out from the budget.
    fn charge(&mut self, scalar: &Scalar, cost: usize) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(cost).ok_or_else(|| {
            let wanted = "put white space between the parts";
            self.error(scalar, 0, Fault::TooLarge, "too much text in parts that touch", wanted)
        })?;
        Ok(())
    }

    fn write_out_part(&mut self, scalar: &Scalar, part: &Part) -> Result<Vec<Vec<Flat>>, Error> {
        self.charge(scalar, PART_COST)?;
        let mut ways = Vec::new();
        match part {
            Part::Text { text, .. } => ways.push(vec![Flat::Text(text.clone())]),
            Part::Group { alternatives } | Part::Optional { alternatives } => {
                for parts in alternatives {
                    ways.extend(self.write_out(scalar, parts)?);
                }
                if matches!(part, Part::Optional { .. }) {
                    ways.push(Vec::new());
                }
            }
            Part::Permutation { .. } => {
                let wanted = "put white space on both sides of ( ; )";
                return Err(self.error(scalar, 0, Fault::Template, "a permutation that touches other text", wanted));
            }
            Part::List { list, slot, at } => {
                let list = self.find_list(scalar, list, *at)?;
                let slot = self.slot(slot);
                ways = self.write_out_list(scalar, *at, list, slot)?;
            }
            Part::Rule { rule, at } => {
                let rule = self.find_rule(scalar, rule, *at)?;
                // Builds it once: this is where recursion is found.
                self.part(scalar, part)?;
                let parts = self.rules[rule].clone();
                let file = self.file;
                ways = self.enter(scalar, rule, *at, |resolver| resolver.write_out(&file.rules[rule].template, &parts))?;
            }
        }
        if ways.len() > MAX_JOINED {
            let wanted = format!("at most {MAX_JOINED}; put white space between the parts");
            return Err(self.error(scalar, 0, Fault::TooLarge, "too many combinations of parts that touch", wanted));
        }
        Ok(ways)
    }

    fn write_out_list(&mut self, scalar: &Scalar, at: usize, list: usize, slot: u32) -> Result<Vec<Vec<Flat>>, Error> {
        let bodies = self.list_bodies(list)?;
        let values: Vec<u32> = bodies.iter().filter_map(|&(value, _)| value).collect();
        let file = self.file;
        let mut ways = Vec::new();
        match &file.lists[list].kind {
            ListKind::Wildcard { .. } => {
                let wanted = format!("put white space around {{{}}}", file.lists[list].name);
                return Err(self.error(scalar, at, Fault::Template, "free text that touches other text", wanted));
            }
            ListKind::Range(range) => {
                for (number, &value) in numbers_of(*range).zip(&values) {
                    let spelled = number.spellings(self.english).into_iter().map(|way| way.join(" "));
                    ways.extend(spelled.map(|text| vec![Flat::Open { slot, value }, Flat::Text(text), Flat::Close]));
                }
            }
            ListKind::Values(items) => {
                let templates = self.list_templates[list].clone();
                for ((item, parts), &value) in items.iter().zip(&templates).zip(&values) {
                    for way in self.write_out(&item.input, parts)? {
                        ways.push([vec![Flat::Open { slot, value }], way, vec![Flat::Close]].concat());
                    }
                }
            }
        }
        Ok(ways)
    }

    /// One combination to words. A word that a slot shares with its surroundings belongs to the slot.
    fn written(&mut self, scalar: &Scalar, way: &[Flat]) -> Result<ExprId, Error> {
        let mut pieces: Vec<(Option<(u32, u32)>, String)> = vec![(None, String::new())];
        for flat in way {
            match flat {
                Flat::Text(text) => pieces.last_mut().expect("never empty").1.push_str(text),
                Flat::Open { slot, value } => pieces.push((Some((*slot, *value)), String::new())),
                Flat::Close => pieces.push((None, String::new())),
            }
        }
        for i in 1..pieces.len() {
            let (left, right) = pieces.split_at_mut(i);
            share(&mut left[i - 1], &mut right[0]);
        }
        let mut exprs = Vec::new();
        for (slot, text) in pieces {
            let words = self.literal(scalar, &text)?;
            match slot {
                Some((slot, value)) => {
                    let body = self.sequence_of(scalar, words)?;
                    exprs.push(self.push(scalar, Expr::Slot { slot, value: Some(value), body })?);
                }
                None => exprs.extend(words),
            }
        }
        self.sequence_of(scalar, exprs)
    }
}

/// Parts in groups: within a group they touch, between groups words end. Text is cut at its white space.
pub(super) fn chunks(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut chunks: Vec<Vec<Part>> = vec![Vec::new()];
    for part in parts {
        let Part::Text { text, at } = part else {
            chunks.last_mut().expect("never empty").push(part.clone());
            continue;
        };
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let word = is_word_char(c);
            let len = rest.find(|c| is_word_char(c) != word).unwrap_or(rest.len());
            let (run, after) = rest.split_at(len);
            let piece = Part::Text { text: run.to_owned(), at: *at };
            if word {
                chunks.last_mut().expect("never empty").push(piece);
            } else {
                chunks.extend([vec![piece], Vec::new()]);
            }
            rest = after;
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// Gives a word that stands across two pieces to one of them: to the one that is a slot, else to the left.
fn share(left: &mut (Option<(u32, u32)>, String), right: &mut (Option<(u32, u32)>, String)) {
    if !(left.1.ends_with(is_word_char) && right.1.starts_with(is_word_char)) {
        return;
    }
    if left.0.is_some() || right.0.is_none() {
        let len = right.1.find(|c| !is_word_char(c)).unwrap_or(right.1.len());
        left.1.extend(right.1.drain(..len));
    } else {
        let start = left.1.char_indices().rev().take_while(|&(_, c)| is_word_char(c)).last().map_or(left.1.len(), |(i, _)| i);
        let head = left.1.split_off(start);
        right.1.insert_str(0, &head);
    }
}
