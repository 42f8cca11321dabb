//! What the graphs of all families have in common.

use std::sync::Arc;

use ossicle_engine::MemoryPlan;
use ossicle_engine::work::Work;
use ossicle_trace::Tap;

/// A family's graph, ready to run.
pub trait Graph {
    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>);

    /// Each layer in the order of the run, as the last run was: its name, and how much it computes.
    fn layers(&self) -> Vec<(String, Work)>;

    /// Memory in use.
    fn memory_plan(&self) -> MemoryPlan;
}

/// Names and work of a runner's layers.
pub(crate) fn named<'a>(layers: impl Iterator<Item = (&'a str, &'static str, Work)>) -> Vec<(String, Work)> {
    layers.map(|(name, _, work)| (name.to_owned(), work)).collect()
}

/// Graphs whose own methods have these names.
macro_rules! graphs {
    ($($graph:ty),* $(,)?) => {
        $(impl Graph for $graph {
            fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
                <$graph>::set_tap(self, tap);
            }

            fn layers(&self) -> Vec<(String, Work)> {
                named(<$graph>::layers(self))
            }

            fn memory_plan(&self) -> MemoryPlan {
                <$graph>::memory_plan(self)
            }
        })*
    };
}

graphs! {
    crate::audiogen::AudiogenGraph,
    crate::clip::ImageGraph,
    crate::encodec::EncodecDecoder,
    crate::encodec::EncodecEncoder,
    crate::hibari::HibariGraph,
    crate::kokoro::KokoroGraph,
    crate::minilm::MiniLmGraph,
    crate::network::NetworkGraph,
    crate::spectral::SpectralDecoder,
    crate::spectral::SpectralEncoder,
    crate::t5::T5Graph,
    crate::vits::VitsGraph,
}
