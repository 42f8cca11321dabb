//! Repeating a traced run, on any instruction set of this machine.

use std::sync::Arc;

use ossicle_kernels::simd::Isa;
use ossicle_trace::{Trace, Writer, WriterOptions};

use crate::check::{Check, Outcome, Regain, finding};
use crate::finding::Finding;
use crate::subject::{Subject, SubjectError};

/// What a repetition showed.
#[derive(Debug)]
pub enum Verdict {
    /// Every tensor has the traced digest.
    Identical {
        /// Tensors compared.
        tensors: usize,
        /// Steps they belong to.
        steps: usize,
    },
    /// Not every one.
    Differs {
        /// Where, and by how much.
        finding: Finding,
        /// Where the traced values come from.
        values: ValuesFrom,
    },
}

/// Where the values of the traced run come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesFrom {
    /// The trace holds them.
    Trace,
    /// The traced instruction set, run here, gives what the trace says.
    Repeated,
    /// The traced instruction set, run here, gives something else: the traced machine has a fault of its own.
    NotRepeated,
    /// This machine lacks the traced instruction set.
    NotHere,
}

/// Repeats a trace of `subject` with an instruction set and a number of threads, and compares every tensor.
///
/// Where the first one differs, the traced instruction set is run as well, if this machine has it: its values show how large the
/// difference is and how it spread.
///
/// # Errors
/// If the run cannot be repeated.
pub fn replay(trace: &Arc<Trace>, subject: &Subject, isa: Isa, threads: usize) -> Result<Verdict, SubjectError> {
    let check = Arc::new(Check::new(Arc::clone(trace)));
    subject.run(isa, threads, check.clone(), &|| check.stopped())?;
    let kept = match Arc::into_inner(check).expect("the run is over").finish() {
        Outcome::Identical { tensors, steps } => return Ok(Verdict::Identical { tensors, steps }),
        Outcome::Differs(kept) => Arc::new(kept),
    };
    let in_trace = kept.first.is_none_or(|first| trace.records[first].values.is_some());
    let (regained, values) = match Isa::from_name(&trace.header.isa) {
        _ if in_trace => (Default::default(), ValuesFrom::Trace),
        Err(_) => (Default::default(), ValuesFrom::NotHere),
        // The same run once more would give the same once more.
        Ok(traced) if traced == isa && trace.header.threads == threads => (Default::default(), ValuesFrom::NotRepeated),
        Ok(traced) => {
            let regain = Arc::new(Regain::new(Arc::clone(trace), Arc::clone(&kept)));
            subject.run(traced, trace.header.threads, regain.clone(), &|| regain.stopped())?;
            let regained = Arc::into_inner(regain).expect("the run is over").finish();
            let values = if regained.1.is_some() { ValuesFrom::Repeated } else { ValuesFrom::NotRepeated };
            (regained, values)
        }
    };
    Ok(Verdict::Differs { finding: finding(trace, &kept, regained), values })
}

/// The trace of a run on this machine, in memory.
///
/// # Errors
/// If it cannot be run.
pub fn record(subject: &Subject, isa: Isa, threads: usize) -> Result<Arc<Trace>, SubjectError> {
    let header = subject.header(isa, threads)?;
    let writer = Writer::new(Vec::new(), &header, WriterOptions::default()).expect("memory can be written");
    let writer = Arc::new(writer);
    subject.run(isa, threads, writer.clone(), &|| false)?;
    let bytes = Arc::into_inner(writer).expect("the run is over").finish().expect("memory can be written");
    Ok(Arc::new(Trace::read(&bytes[..], None).expect("what the writer wrote can be read")))
}
