//! Expressions to a non-deterministic automaton over words (Thompson's construction), in the shape of a small program.
//!
//! Permutations share what is left to say: n things in any order take 2^n places and not n!.

use crate::expr::{Expr, ExprId, Exprs};
use crate::template::MAX_PERMUTED;

/// The most instructions of one grammar.
pub(crate) const MAX_INSTRUCTIONS: usize = 1 << 21;

/// A place in a program.
pub(crate) type Pc = u32;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Instruction {
    /// Reads a word.
    Word { word: u32, next: Pc },
    /// Reads free text: one or more words, at most so many tokens when decoding.
    Any { max_tokens: u32, next: Pc },
    /// Goes on at each of these places, the first preferred.
    Split { start: u32, len: u32 },
    /// A slot begins.
    Open { slot: u32, next: Pc },
    /// The slot that began last ends, with this value or the text read.
    Close { value: Option<u32>, next: Pc },
    /// A sentence is complete.
    Accept { sentence: u32 },
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) instructions: Vec<Instruction>,
    targets: Vec<Pc>,
    pub(crate) start: Pc,
}

/// The index of the sentence at which the program grew beyond [`MAX_INSTRUCTIONS`].
#[derive(Debug)]
pub(crate) struct TooLarge(pub(crate) usize);

impl Program {
    pub(crate) fn new(exprs: &Exprs, sentences: impl Iterator<Item = ExprId>) -> Result<Self, TooLarge> {
        let mut builder = Builder { exprs, instructions: Vec::new(), targets: Vec::new(), steps: 0 };
        let mut starts = Vec::new();
        for (i, expr) in sentences.enumerate() {
            let accept = builder.push(Instruction::Accept { sentence: i as u32 });
            starts.push(builder.emit(expr, accept).ok_or(TooLarge(i))?);
        }
        let start = builder.split(&starts);
        Ok(Self { instructions: builder.instructions, targets: builder.targets, start })
    }

    pub(crate) fn targets(&self, start: u32, len: u32) -> &[Pc] {
        &self.targets[start as usize..][..len as usize]
    }
}

struct Builder<'a> {
    exprs: &'a Exprs,
    instructions: Vec<Instruction>,
    targets: Vec<Pc>,
    steps: usize,
}

impl Builder<'_> {
    fn push(&mut self, instruction: Instruction) -> Pc {
        self.instructions.push(instruction);
        self.instructions.len() as Pc - 1
    }

    fn split(&mut self, targets: &[Pc]) -> Pc {
        if let [target] = targets {
            return *target;
        }
        let start = self.targets.len() as u32;
        self.targets.extend_from_slice(targets);
        self.push(Instruction::Split { start, len: targets.len() as u32 })
    }

    /// The place where `id` begins, given that `next` follows it; nothing once the program is too large.
    fn emit(&mut self, id: ExprId, next: Pc) -> Option<Pc> {
        self.steps += 1;
        if self.steps > MAX_INSTRUCTIONS || self.instructions.len() > MAX_INSTRUCTIONS || self.targets.len() > MAX_INSTRUCTIONS {
            return None;
        }
        let exprs = self.exprs;
        match exprs.get(id) {
            Expr::Word(word) => Some(self.push(Instruction::Word { word: *word, next })),
            Expr::Any { max_tokens } => Some(self.push(Instruction::Any { max_tokens: *max_tokens, next })),
            Expr::Sequence(parts) => parts.iter().rev().try_fold(next, |next, &part| self.emit(part, next)),
            Expr::Choice(parts) | Expr::Spellings(parts) => {
                let targets = parts.iter().map(|&part| self.emit(part, next)).collect::<Option<Vec<_>>>()?;
                Some(self.split(&targets))
            }
            Expr::Permutation(items) => {
                let all = (1u32 << items.len()) - 1;
                let mut places = [None; 1 << MAX_PERMUTED];
                places[0] = Some(next);
                for left in 1..=all {
                    let mut targets = Vec::new();
                    for (i, &item) in items.iter().enumerate().filter(|(i, _)| left & 1 << i != 0) {
                        let after = places[(left & !(1 << i)) as usize]?;
                        targets.push(self.emit(item, after)?);
                    }
                    places[left as usize] = Some(self.split(&targets));
                }
                places[all as usize]
            }
            Expr::Slot { slot, value, body } => {
                let close = self.push(Instruction::Close { value: *value, next });
                let body = self.emit(*body, close)?;
                Some(self.push(Instruction::Open { slot: *slot, next: body }))
            }
        }
    }
}
