//! What any model needs to run in memory that is planned before the first sample arrives; no model is in here.
//!
//! A [`weights::ModelFolder`] maps a model's weights and knows their names, types and shapes. A model is a graph of [`plan::Layer`]s: each says
//! what it gives ([`outputs`](plan::Layer::outputs)) and what it needs while it runs ([`scratch`](plan::Layer::scratch)), and computes it, split
//! over a [`pool::Pool`] of threads. A [`graph::GraphBuilder`] wires them, and a [`graph::Runner`] runs what it has wired. A [`recorder::Recorder`] hands every tensor to whoever listens.
//!
//! What tract does here: it keeps the graph with its facts (types and shapes of every value), puts the nodes in an order that keeps few values
//! alive, and runs them in it. [`graph::GraphBuilder::finish`] reads from that order how long each value lives, and gives it a buffer for as long. What tract does
//! not do here: it allocates no tensor in a run, has no threads, and computes nothing; all nodes are our layers, and none of its operators runs.

pub mod graph;
pub mod plan;
pub mod pool;
pub mod recorder;
pub mod weights;

mod error;
mod options;
mod verify;

pub use error::{FolderError, GraphError};
pub use options::Options;
pub use pool::{MAX_THREADS, MOST_DEFAULT_THREADS, default_threads};
