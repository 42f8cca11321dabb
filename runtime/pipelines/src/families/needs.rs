//! What a model needs of memory.

use ossicle_models::MemoryPlan;

/// The part of the program itself, where it is counted.
const PROGRAM: &str = "program";

/// Parts of the memory that a model needs, with their names, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    parts: Vec<(&'static str, usize)>,
    /// Bytes of `parts` that others take over.
    shared: usize,
}

impl Needs {
    /// The sum of `parts`.
    pub fn new(parts: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        Self { parts: parts.into_iter().collect(), shared: 0 }
    }

    /// Parts that are not all there at the same time: no more than `total` bytes ever are.
    pub(super) fn at_most(parts: impl IntoIterator<Item = (&'static str, usize)>, total: usize) -> Self {
        let all = Self::new(parts);
        Self { shared: all.total().saturating_sub(total), ..all }
    }

    /// The same with the program's code and constants.
    #[must_use]
    pub fn with_program(mut self, bytes: usize) -> Self {
        match self.parts.iter_mut().find(|(name, _)| *name == PROGRAM) {
            Some((_, program)) => *program = bytes,
            None => self.parts.push((PROGRAM, bytes)),
        }
        self
    }

    /// Parts with their names.
    pub fn parts(&self) -> &[(&'static str, usize)] {
        &self.parts
    }

    /// All of it.
    pub fn total(&self) -> usize {
        self.parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.1)).saturating_sub(self.shared)
    }
}

impl From<MemoryPlan> for Needs {
    fn from(MemoryPlan { weights, buffers, state }: MemoryPlan) -> Self {
        Self::new([("weights", weights), ("buffers", buffers), ("state", state)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_counted_once() {
        let needs = Needs::new([("weights", 7), ("program", 0), ("allocator", 2)]).with_program(100);
        assert_eq!((needs.total(), needs.parts()[1]), (109, ("program", 100)));
        let needs = Needs::from(MemoryPlan { weights: 7, buffers: 1, state: 0 }).with_program(100).with_program(50);
        assert_eq!((needs.total(), needs.parts().len()), (58, 4));
    }

    #[test]
    fn what_is_let_go_does_not_count_twice() {
        let needs = Needs::at_most([("text", 30), ("model", 50)], 50).with_program(10);
        assert_eq!(needs.total(), 60);
    }
}
