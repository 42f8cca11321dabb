//! Graphs that run by themselves.

use ossicle_models::{Graph, GraphError};

use super::FamilyError;

/// A graph with values that stand for its input, to be run again and again. No layer's time depends on the values.
pub trait Exercise {
    /// The graph.
    fn graph(&self) -> &dyn Graph;

    /// The graph, to listen to.
    fn graph_mut(&mut self) -> &mut dyn Graph;

    /// Runs it once.
    ///
    /// # Errors
    /// The graph does not take the input: a text is too long for it, or this is a bug of ours.
    fn run(&mut self) -> Result<(), GraphError>;
}

struct Run<G, F> {
    graph: G,
    run: F,
}

impl<G: Graph, F: FnMut(&mut G) -> Result<(), GraphError>> Exercise for Run<G, F> {
    fn graph(&self) -> &dyn Graph {
        &self.graph
    }

    fn graph_mut(&mut self) -> &mut dyn Graph {
        &mut self.graph
    }

    fn run(&mut self) -> Result<(), GraphError> {
        (self.run)(&mut self.graph)
    }
}

/// A graph that `run` runs once.
pub(super) fn exercise<G: Graph + 'static, T>(
    graph: G,
    mut run: impl FnMut(&mut G) -> Result<T, GraphError> + 'static,
) -> Result<Box<dyn Exercise>, FamilyError> {
    Ok(Box::new(Run { graph, run: move |graph: &mut G| run(graph).map(drop) }))
}

/// Values in place of an input, between -2 and 2.
pub(super) fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 4096) as f32 / 1024.0 - 2.0).collect()
}

/// Tokens in place of a text, of a vocabulary of `known`.
pub(super) fn tokens(count: usize, known: usize) -> Vec<u32> {
    (0..count).map(|i| u32::try_from((i * 7919 + 1) % known).unwrap_or(0)).collect()
}
