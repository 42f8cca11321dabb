//! What any model needs to run in memory that is planned before the first sample arrives; no model is in here.
//!
//! A [`weights::ModelFolder`] maps a model's weights and knows their names, types and shapes. A model is a graph of [`layer::Layer`]s: each says
//! what it gives ([`outputs`](layer::Layer::outputs)) and what it needs while it runs ([`scratch`](layer::Layer::scratch)), and computes it in
//! a [`Session`]: the weights, the instruction set and a [`pool::Pool`] of threads. A [`graph::GraphBuilder`] wires them, and a [`graph::Runner`] runs what it has wired, in one piece of
//! [`Memory`] that several graphs can share. A [`recorder::Recorder`] hands every tensor to whoever listens.
//!
//! What tract does here: it keeps the graph with its facts (type and shape of every value), puts the nodes in an order that keeps few values
//! alive, and runs them in it. From that order the engine reads how long each value lives, and gives it a place in the memory for as long.
//! What tract does not do here: it allocates no tensor, has no threads and computes nothing. All nodes are layers of ours, none of its
//! operators runs, and what it hands from node to node is a handle: type, shape and place, but no values.

#![deny(unsafe_code)]

pub mod cache;
pub mod graph;
pub mod layer;
pub mod layers;
pub mod pool;
pub mod recorder;
pub mod scratch;
pub mod session;
pub mod weights;
pub mod work;

mod arena;
mod element;
mod error;
mod memory_plan;
mod options;
mod plan;
mod sync;
mod verify;

pub use arena::Memory;
pub use error::{FolderError, GraphError};
pub use memory_plan::MemoryPlan;
pub use options::Options;
pub use pool::{MAX_THREADS, MOST_DEFAULT_THREADS, default_threads};
pub use session::Session;
