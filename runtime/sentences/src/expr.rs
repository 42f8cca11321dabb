//! Sentences as expressions over words, and how many sentences they stand for.

/// An expression, by its place in [`Exprs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExprId(pub(crate) u32);

#[derive(Debug)]
pub(crate) enum Expr {
    /// A word of the lexicon.
    Word(u32),
    /// Free text of at most so many tokens.
    Any { max_tokens: u32 },
    /// One after the other; nothing when empty.
    Sequence(Vec<ExprId>),
    /// One of these, the first preferred.
    Choice(Vec<ExprId>),
    /// Ways to write the same thing.
    Spellings(Vec<ExprId>),
    /// All of these in any order.
    Permutation(Vec<ExprId>),
    /// What a slot holds; without a value, the text that was said.
    Slot { slot: u32, value: Option<u32>, body: ExprId },
}

#[derive(Debug, Default)]
pub(crate) struct Exprs {
    nodes: Vec<Expr>,
    /// Whether each node holds a slot.
    slots: Vec<bool>,
    /// How deep each node is: a word is 1 deep.
    depths: Vec<u32>,
}

impl Exprs {
    pub(crate) fn push(&mut self, expr: Expr) -> ExprId {
        let slot = match &expr {
            Expr::Word(_) => false,
            Expr::Any { .. } | Expr::Slot { .. } => true,
            Expr::Sequence(parts) | Expr::Choice(parts) | Expr::Spellings(parts) | Expr::Permutation(parts) => {
                parts.iter().any(|&part| self.has_slot(part))
            }
        };
        self.slots.push(slot);
        self.depths.push(self.depth(&expr));
        self.nodes.push(expr);
        ExprId(self.nodes.len() as u32 - 1)
    }

    /// How deep `expr` is, whose parts are here: what walks down expressions needs so much stack.
    pub(crate) fn depth(&self, expr: &Expr) -> u32 {
        let of = |id: &ExprId| self.depths[id.0 as usize];
        1 + match expr {
            Expr::Word(_) | Expr::Any { .. } => 0,
            Expr::Sequence(parts) | Expr::Choice(parts) | Expr::Spellings(parts) | Expr::Permutation(parts) => {
                parts.iter().map(of).max().unwrap_or(0)
            }
            Expr::Slot { body, .. } => of(body),
        }
    }

    pub(crate) fn get(&self, id: ExprId) -> &Expr {
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// One value for each expression, from those of its parts, which come before it.
    fn fold<T>(&self, of: impl Fn(&Expr, &[T]) -> T) -> Vec<T> {
        let mut values = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = of(node, &values);
            values.push(value);
        }
        values
    }

    /// How many sentences each expression stands for; spellings of one number and all free texts count once. Stops at the largest number.
    pub(crate) fn counts(&self) -> Vec<u128> {
        self.fold(|expr, counts: &[u128]| {
            let of = |id: &ExprId| counts[id.0 as usize];
            match expr {
                Expr::Word(_) | Expr::Any { .. } | Expr::Spellings(_) => 1,
                Expr::Sequence(parts) => parts.iter().map(of).fold(1, u128::saturating_mul),
                Expr::Choice(parts) => parts.iter().map(of).fold(0, u128::saturating_add),
                Expr::Permutation(parts) => {
                    let orders = (1..=parts.len() as u128).product();
                    parts.iter().map(of).fold(orders, u128::saturating_mul)
                }
                Expr::Slot { body, .. } => of(body),
            }
        })
    }

    /// Whether each expression can be nothing at all.
    pub(crate) fn nullable(&self) -> Vec<bool> {
        self.fold(|expr, nullable: &[bool]| {
            let of = |id: &ExprId| nullable[id.0 as usize];
            match expr {
                Expr::Word(_) | Expr::Any { .. } => false,
                Expr::Sequence(parts) | Expr::Permutation(parts) => parts.iter().all(of),
                Expr::Choice(parts) | Expr::Spellings(parts) => parts.iter().any(of),
                Expr::Slot { body, .. } => of(body),
            }
        })
    }

    /// Whether a slot or free text stands anywhere in `id`.
    pub(crate) fn has_slot(&self, id: ExprId) -> bool {
        self.slots[id.0 as usize]
    }
}
