//! Traces: what a run computed, tensor by tensor, small enough to be carried from a board to a laptop.
//!
//! Whoever computes hands each tensor to a [`Tap`]. A [`Writer`] is a tap that writes a file of digests (`docs/trace.md` describes the
//! format); [`Reader`] and [`Trace`] read one. Nothing is interpreted here: which operators there are, and what their names mean, is the
//! pipelines' business.
//!
//! ```
//! use ossicle_trace::{Header, Step, Tap, Tensor, Trace, Values, Writer, WriterOptions};
//!
//! let writer = Writer::new(Vec::new(), &Header::default(), WriterOptions::default())?;
//! writer.step(Step { stage: "encoder", at: 0, count: 1 });
//! writer.tensor(&Tensor { op: "encoder.conv", kernel: "ConvStem", part: "", shape: &[1, 2], values: Values::F32(&[0.5, -1.0]) });
//! let bytes = writer.finish()?;
//!
//! let trace = Trace::read(&bytes[..], None)?;
//! assert!(trace.complete);
//! assert_eq!(trace.descriptor(&trace.records[0]).op, "encoder.conv");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod chain;
mod digest;
mod error;
mod frame;
mod header;
mod machine;
mod pattern;
mod reader;
mod tap;
mod trace;
mod writer;

pub use chain::{Key, KeyError};
pub use digest::{digest, hex, le_bytes, sha256_hex};
pub use error::TraceError;
pub use frame::FORMAT_VERSION;
pub use header::{Header, Input, Model};
pub use machine::Machine;
pub use pattern::Pattern;
pub use reader::{Event, Reader};
pub use tap::{Descriptor, Dtype, Owned, Step, Tap, Tensor, Values};
pub use trace::{Record, StepRecord, Trace};
pub use writer::{Writer, WriterOptions};
