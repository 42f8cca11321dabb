//! What a search needs to know of a set of sentences.

use std::sync::Arc;

/// A deterministic automaton over tokens: the paths from the start to an accepting state are the sentences.
pub trait Automaton {
    /// A place on the way; what may follow two texts that lead to equal places is the same.
    type State: Copy + PartialEq;

    /// Where every sentence begins.
    fn start(&self) -> Self::State;

    /// Appends the tokens that may come next, sorted, each with where it leads.
    fn arcs(&self, state: Self::State, out: &mut Vec<(u32, Self::State)>);

    /// Whether a sentence may end here.
    fn accepts(&self, state: Self::State) -> bool;

    /// Whether free text may go on here: tokens without an arc of their own.
    fn allows_text(&self, state: Self::State) -> bool;

    /// Where a token leads, by an arc or as free text, if it may come next.
    fn next(&self, state: Self::State, token: u32) -> Option<Self::State>;
}

/// Shared by several searches.
impl<A: Automaton + ?Sized> Automaton for Arc<A> {
    type State = A::State;

    fn start(&self) -> Self::State {
        (**self).start()
    }

    fn arcs(&self, state: Self::State, out: &mut Vec<(u32, Self::State)>) {
        (**self).arcs(state, out);
    }

    fn accepts(&self, state: Self::State) -> bool {
        (**self).accepts(state)
    }

    fn allows_text(&self, state: Self::State) -> bool {
        (**self).allows_text(state)
    }

    fn next(&self, state: Self::State, token: u32) -> Option<Self::State> {
        (**self).next(state, token)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Some sentences as a tree of tokens; behind one token any text may follow.
    pub(crate) struct Trie {
        nodes: Vec<(Vec<(u32, usize)>, bool)>,
        free: Option<usize>,
    }

    impl Trie {
        pub(crate) fn new(sentences: &[&[u32]], free_after: Option<u32>) -> Self {
            let mut nodes = vec![(vec![], false)];
            for sentence in sentences {
                let mut at = 0;
                for &token in *sentence {
                    let arcs: &Vec<(u32, usize)> = &nodes[at].0;
                    at = match arcs.iter().find(|arc| arc.0 == token) {
                        Some(arc) => arc.1,
                        None => {
                            nodes.push((vec![], false));
                            let new = nodes.len() - 1;
                            nodes[at].0.push((token, new));
                            nodes[at].0.sort_unstable();
                            new
                        }
                    };
                }
                nodes[at].1 = true;
            }
            let free = nodes[0].0.iter().find(|arc| Some(arc.0) == free_after).map(|arc| arc.1);
            Self { nodes, free }
        }
    }

    impl Automaton for Trie {
        type State = usize;

        fn start(&self) -> usize {
            0
        }

        fn arcs(&self, state: usize, out: &mut Vec<(u32, usize)>) {
            out.extend(&self.nodes[state].0);
        }

        fn accepts(&self, state: usize) -> bool {
            self.nodes[state].1
        }

        fn allows_text(&self, state: usize) -> bool {
            Some(state) == self.free
        }

        fn next(&self, state: usize, token: u32) -> Option<usize> {
            let arc = self.nodes[state].0.iter().find(|arc| arc.0 == token).map(|arc| arc.1);
            arc.or_else(|| self.allows_text(state).then_some(state))
        }
    }
}
