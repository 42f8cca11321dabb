//! A whole trace in memory.

use std::io::Read;

use crate::chain::Key;
use crate::error::TraceError;
use crate::header::Header;
use crate::reader::{Event, Reader};
use crate::tap::{Descriptor, Owned};

/// A trace as far as its checksums reach.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it says of the run.
    pub header: Header,
    /// The tensors that occur, each once.
    pub descriptors: Vec<Descriptor>,
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// All tensors, in the order they were computed.
    pub records: Vec<Record>,
    /// Whether the run ended in order.
    pub complete: bool,
    /// Whether the checksums were looked at: not those of a keyed trace without its key.
    pub checked: bool,
}

/// A step and where its tensors begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// See [`Step::stage`](crate::Step::stage).
    pub stage: String,
    /// See [`Step::at`](crate::Step::at).
    pub at: u64,
    /// See [`Step::count`](crate::Step::count).
    pub count: u32,
    /// Index of its first record.
    pub first: usize,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Index of its descriptor.
    pub descriptor: u16,
    /// Its [`digest`](crate::digest).
    pub digest: u64,
    /// Whether its values are in the trace.
    pub has_values: bool,
    /// They, if they are kept.
    pub values: Option<Owned>,
}

impl Trace {
    /// Reads a trace to its end, or to the last checksum if it ends early.
    ///
    /// # Errors
    /// If it is no trace, damaged or altered.
    pub fn read(read: impl Read, key: Option<&Key>) -> Result<Self, TraceError> {
        Self::collect(read, key, true)
    }

    /// As [`read`](Trace::read), but keeps no values.
    ///
    /// # Errors
    /// As for [`read`](Trace::read).
    pub fn read_digests(read: impl Read, key: Option<&Key>) -> Result<Self, TraceError> {
        Self::collect(read, key, false)
    }

    fn collect(read: impl Read, key: Option<&Key>, keep_values: bool) -> Result<Self, TraceError> {
        let mut reader = Reader::new(read, key)?;
        let (mut steps, mut records): (Vec<StepRecord>, Vec<Record>) = (Vec::new(), Vec::new());
        let (mut checked_steps, mut checked_records) = (0, 0);
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Step { stage, at, count } => steps.push(StepRecord { stage, at, count, first: records.len() }),
                Event::Tensor { descriptor, digest } => records.push(Record { descriptor, digest, has_values: false, values: None }),
                Event::Values(values) => {
                    if let Some(record) = records.last_mut() {
                        record.has_values = true;
                        record.values = keep_values.then_some(values);
                    }
                }
                Event::Check | Event::End => (checked_steps, checked_records) = (steps.len(), records.len()),
            }
        }
        steps.truncate(checked_steps);
        records.truncate(checked_records);
        Ok(Self {
            header: reader.header().clone(),
            descriptors: reader.descriptors().to_vec(),
            steps,
            records,
            complete: reader.complete(),
            checked: reader.checked(),
        })
    }

    /// What a record is of.
    pub fn descriptor(&self, record: &Record) -> &Descriptor {
        &self.descriptors[usize::from(record.descriptor)]
    }

    /// The step that a record belongs to, if one began before it.
    pub fn step_of(&self, record: usize) -> Option<&StepRecord> {
        self.steps[..self.steps.partition_point(|step| step.first <= record)].last()
    }
}
