//! Lists: values, ranges of numbers and free text, and all that is said for them.

use super::{Body, MAX_EXPRS, Resolver};
use crate::error::{Error, Fault};
use crate::expr::{Expr, ExprId};
use crate::numbers::Number;
use crate::schema::{Fractions, ListKind, Range, Unit};
use crate::value::Value;

impl Resolver<'_> {
    pub(super) fn list(&mut self, list: usize, slot: u32) -> Result<ExprId, Error> {
        if let Some(&expr) = self.list_slots.get(&(list, slot)) {
            return Ok(expr);
        }
        let bodies = self.list_bodies(list)?;
        if self.exprs.len() + bodies.len() > MAX_EXPRS {
            return Err(self.too_many(self.file.lists[list].mark));
        }
        let mut choices: Vec<ExprId> = Vec::with_capacity(bodies.len());
        for (value, body) in bodies {
            choices.push(self.exprs.push(Expr::Slot { slot, value, body }));
        }
        let expr = if choices.len() == 1 { choices[0] } else { self.exprs.push(Expr::Choice(choices)) };
        self.list_slots.insert((list, slot), expr);
        Ok(expr)
    }

    pub(super) fn list_bodies(&mut self, list: usize) -> Result<Vec<Body>, Error> {
        if let Some(bodies) = &self.lists[list] {
            return Ok(bodies.clone());
        }
        let file = self.file;
        if self.exprs.len() >= MAX_EXPRS {
            return Err(self.too_many(file.lists[list].mark));
        }
        let bodies = match &file.lists[list].kind {
            ListKind::Wildcard { max_tokens } => vec![(None, self.exprs.push(Expr::Any { max_tokens: *max_tokens }))],
            ListKind::Range(range) => self.range(*range),
            ListKind::Values(values) => {
                let templates = std::mem::take(&mut self.list_templates[list]);
                self.in_list = true;
                let mut bodies = Vec::with_capacity(values.len());
                for (value, parts) in values.iter().zip(&templates) {
                    let body = self.sequence(&value.input, parts)?;
                    if self.exprs.has_slot(body) {
                        let found = "a slot inside a list's value";
                        return Err(self.error(
                            &value.input,
                            0,
                            Fault::Template,
                            found,
                            "values hold text, [ ], ( ) and rules without slots",
                        ));
                    }
                    let text = || Value::Text(value.input.text.split_whitespace().collect::<Vec<_>>().join(" "));
                    let output = value.output.clone().unwrap_or_else(text);
                    bodies.push((Some(self.value(output)), body));
                }
                self.in_list = false;
                self.list_templates[list] = templates;
                bodies
            }
        };
        self.lists[list] = Some(bodies.clone());
        Ok(bodies)
    }

    fn range(&mut self, range: Range) -> Vec<Body> {
        let unit = match range.unit {
            Unit::Number => None,
            Unit::Percentage => Some(vec!["percent"]),
            Unit::Temperature => Some(vec!["degrees", "degree"]),
        };
        let unit = unit.map(|names| {
            let names = names.into_iter().map(|name| self.exprs.push(Expr::Word(self.lexicon.intern(name)))).collect();
            let nothing = self.exprs.push(Expr::Sequence(Vec::new()));
            let names = self.exprs.push(Expr::Choice(names));
            self.exprs.push(Expr::Spellings(vec![names, nothing]))
        });
        let mut bodies = Vec::new();
        for number in numbers_of(range) {
            let number_expr = self.spellings(number, Vec::new());
            let body = match unit {
                Some(unit) => self.exprs.push(Expr::Sequence(vec![number_expr, unit])),
                None => number_expr,
            };
            let value = self.value(Value::Number(number.value() * range.multiplier));
            bodies.push((Some(value), body));
        }
        bodies
    }

    /// All ways to say `number`, `first` foremost.
    pub(super) fn spellings(&mut self, number: Number, first: Vec<u32>) -> ExprId {
        let mut ways: Vec<Vec<u32>> = if first.is_empty() { Vec::new() } else { vec![first] };
        for way in number.spellings(self.english) {
            let way: Vec<u32> = way.iter().map(|word| self.lexicon.intern(word)).collect();
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let ways = ways.into_iter().map(|way| {
            let words: Vec<ExprId> = way.into_iter().map(|word| self.exprs.push(Expr::Word(word))).collect();
            if words.len() == 1 { words[0] } else { self.exprs.push(Expr::Sequence(words)) }
        });
        let ways = ways.collect();
        self.exprs.push(Expr::Spellings(ways))
    }
}

/// The numbers of a range.
pub(super) fn numbers_of(range: Range) -> impl Iterator<Item = Number> {
    let parts: &[i64] = match range.fractions {
        Fractions::None => &[0],
        Fractions::Halves => &[0, 5],
        Fractions::Tenths => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    };
    let wholes = (range.from..=range.to).step_by(range.step as usize);
    wholes
        .flat_map(move |whole| parts.iter().map(move |part| Number { tenths: whole * 10 + part }))
        .filter(move |n| n.tenths <= range.to * 10)
}
