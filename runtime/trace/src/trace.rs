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
    /// Bytes that came after the last checksum and are left out: what a run that broke off was about to write.
    pub cut_bytes: u64,
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
    /// Its values, where they were asked for.
    pub values: Option<Owned>,
}

impl Trace {
    /// Reads a trace to its end, or to the last checksum if it ends early.
    ///
    /// # Errors
    /// If it is no trace, damaged or altered.
    pub fn read(read: impl Read, key: Option<&Key>) -> Result<Self, TraceError> {
        let mut reader = Reader::new(read, key)?;
        let (mut steps, mut records): (Vec<StepRecord>, Vec<Record>) = (Vec::new(), Vec::new());
        let (mut checked_steps, mut checked_records, mut checked_bytes) = (0, 0, reader.offset());
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Step { stage, at, count } => steps.push(StepRecord { stage, at, count, first: records.len() }),
                Event::Tensor { descriptor, digest } => records.push(Record { descriptor, digest, values: None }),
                Event::Values(values) => {
                    if let Some(record) = records.last_mut() {
                        record.values = Some(values);
                    }
                }
                Event::Check | Event::End => {
                    (checked_steps, checked_records, checked_bytes) = (steps.len(), records.len(), reader.offset());
                }
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
            cut_bytes: reader.offset() - checked_bytes,
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
