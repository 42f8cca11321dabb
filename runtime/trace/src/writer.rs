//! A tap that writes a trace.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chain::{Chain, Key};
use crate::digest::{digest, le_bytes};
use crate::frame::{FORMAT_VERSION, MAGIC, MAX_DIMS, MAX_HEADER, MAX_NAME, tag};
use crate::header::Header;
use crate::pattern::Pattern;
use crate::tap::{Descriptor, Dtype, Step, Tap, Tensor};

/// Bytes kept back before they are written; a checksum at the end of each step writes them sooner.
const PENDING_BYTES: usize = 1 << 16;

/// What a trace holds beyond digests.
#[derive(Clone, Debug, Default)]
pub struct WriterOptions {
    /// Makes the checksums with a key.
    pub key: Option<Key>,
    /// Tensors whose values are written as well.
    pub values: Option<Pattern>,
}

/// Writes a trace of the tensors it is handed, in constant memory; allocates only for what it sees for the first time.
///
/// Everything up to the end of the last step is in the file at any time, so a run that is killed leaves a readable trace. Where the writer is
/// dropped before it is [closed](Writer::close), as when a run fails, the tensors of the step that was not finished are vouched for as well.
/// The first error is kept, and nothing is written after it.
#[derive(Debug)]
pub struct Writer<W: Write> {
    inner: Mutex<Inner<W>>,
}

#[derive(Debug)]
struct Inner<W> {
    /// Where it goes; `None` once that was handed back.
    out: Option<W>,
    chain: Chain,
    values: Option<Pattern>,
    pending: Vec<u8>,
    names: HashMap<String, u16>,
    descriptors: Vec<Descriptor>,
    /// Descriptors by a hash of their fields; those that collide are put under the next free number.
    numbers: HashMap<u64, u16>,
    tensors: u64,
    /// Whether anything came after the last checksum.
    unchecked: bool,
    state: io::Result<()>,
    finished: bool,
}

impl<W: Write> Writer<W> {
    /// A trace with this header, which is written at once.
    ///
    /// # Errors
    /// If it cannot be written; [`InvalidInput`](io::ErrorKind::InvalidInput) if the header is longer than 1 MiB or has control characters.
    pub fn new(out: W, header: &Header, options: WriterOptions) -> io::Result<Self> {
        let header = Header { keyed: options.key.is_some(), ..header.clone() };
        if header.has_control_characters() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a control character in the header of a trace"));
        }
        let json = serde_json::to_vec(&header)?;
        let length = u32::try_from(json.len()).ok().filter(|&length| length <= MAX_HEADER);
        let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a header of more than 1 MiB in a trace"))?;
        let mut inner = Inner {
            out: Some(out),
            chain: Chain::new(options.key.as_ref()),
            values: options.values,
            pending: Vec::with_capacity(PENDING_BYTES),
            names: HashMap::new(),
            descriptors: Vec::new(),
            numbers: HashMap::new(),
            tensors: 0,
            unchecked: true,
            state: Ok(()),
            finished: false,
        };
        inner.put(&MAGIC);
        inner.put(&FORMAT_VERSION.to_le_bytes());
        inner.put(&length.to_le_bytes());
        inner.put(&json);
        inner.check();
        inner.state()?;
        Ok(Self { inner: Mutex::new(inner) })
    }

    /// Ends the trace; whatever comes later is not in it.
    ///
    /// # Errors
    /// The first that writing met, each time it is asked for.
    pub fn close(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if !inner.finished {
            inner.put(&[tag::END]);
            let tensors = inner.tensors;
            inner.put(&tensors.to_le_bytes());
            inner.put_check();
            inner.finished = true;
        }
        inner.state()
    }

    /// Ends the trace and hands back where it was written.
    ///
    /// # Errors
    /// As for [`close`](Writer::close).
    pub fn finish(self) -> io::Result<W> {
        self.close()?;
        Ok(self.lock().out.take().expect("nothing else takes it"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<W>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        // A panic may have left half a frame behind, which no checksum may vouch for.
        if let Ok(inner) = self.inner.get_mut()
            && !inner.finished
        {
            inner.check();
        }
    }
}

impl<W: Write> Inner<W> {
    /// The first error, which stays.
    fn state(&self) -> io::Result<()> {
        self.state.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    fn write(&mut self, bytes: &[u8]) {
        if let (Ok(()), Some(out)) = (&self.state, &mut self.out) {
            self.state = out.write_all(bytes);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > PENDING_BYTES {
            self.flush();
            if bytes.len() > PENDING_BYTES {
                self.chain.update(bytes);
                self.write(bytes);
                return;
            }
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Writes what was kept back.
    fn flush(&mut self) {
        let mut pending = mem::take(&mut self.pending);
        self.chain.update(&pending);
        self.write(&pending);
        pending.clear();
        self.pending = pending;
    }

    /// A checksum frame, if there is anything to vouch for.
    fn check(&mut self) {
        if mem::take(&mut self.unchecked) {
            self.put(&[tag::CHECK]);
            self.put_check();
        }
    }

    /// A checksum of all bytes before it; then everything is in the file.
    fn put_check(&mut self) {
        self.flush();
        let check = self.chain.check();
        self.put(&check);
        self.flush();
        if let (Ok(()), Some(out)) = (&self.state, &mut self.out) {
            self.state = out.flush();
        }
    }

    fn refuse(&mut self, problem: &'static str) {
        if self.state.is_ok() {
            self.state = Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
    }

    /// A name's number, after writing its frame if it is new.
    fn name(&mut self, name: &str) -> u16 {
        if let Some(&number) = self.names.get(name) {
            return number;
        }
        let Ok(number) = u16::try_from(self.names.len()) else {
            self.refuse("more than 65536 names in a trace");
            return 0;
        };
        if name.len() > MAX_NAME {
            self.refuse("a name of more than 255 bytes in a trace");
            return 0;
        }
        if name.contains(char::is_control) {
            self.refuse("a name with a control character in a trace");
            return 0;
        }
        self.put(&[tag::NAME, name.len() as u8]);
        self.put(name.as_bytes());
        self.names.insert(name.to_owned(), number);
        number
    }

    /// A descriptor's number, after writing its frame if it is new.
    fn descriptor(&mut self, tensor: &Tensor<'_>) -> u16 {
        let mut hasher = DefaultHasher::new();
        (tensor.op, tensor.part, tensor.kernel, tensor.values.dtype(), tensor.shape).hash(&mut hasher);
        let mut hash = hasher.finish();
        while let Some(&number) = self.numbers.get(&hash) {
            if self.descriptors[usize::from(number)].describes(tensor) {
                return number;
            }
            hash = hash.wrapping_add(1);
        }
        let Ok(number) = u16::try_from(self.descriptors.len()) else {
            self.refuse("more than 65536 kinds of tensors in a trace");
            return 0;
        };
        let names = [tensor.op, tensor.kernel, tensor.part].map(|name| self.name(name));
        if tensor.shape.len() > MAX_DIMS || tensor.shape.iter().any(|&size| u32::try_from(size).is_err()) {
            self.refuse("a tensor of more than 8 dimensions, or 2^32 values in one, in a trace");
            return 0;
        }
        self.put(&[tag::DESCRIPTOR]);
        for name in names {
            self.put(&name.to_le_bytes());
        }
        self.put(&[code(tensor.values.dtype()), tensor.shape.len() as u8]);
        for &size in tensor.shape {
            self.put(&(size as u32).to_le_bytes());
        }
        self.descriptors.push(tensor.into());
        self.numbers.insert(hash, number);
        number
    }
}

impl<W: Write + Send + std::fmt::Debug> Tap for Writer<W> {
    fn step(&self, step: Step<'_>) {
        let mut inner = self.lock();
        if inner.finished || inner.state.is_err() {
            return;
        }
        inner.check();
        let stage = inner.name(step.stage);
        inner.put(&[tag::STEP]);
        inner.put(&stage.to_le_bytes());
        inner.put(&step.at.to_le_bytes());
        inner.put(&step.count.to_le_bytes());
        inner.unchecked = true;
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        let mut inner = self.lock();
        if inner.finished || inner.state.is_err() {
            return;
        }
        debug_assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "{tensor:?}");
        let number = inner.descriptor(tensor);
        inner.put(&[tag::TENSOR]);
        inner.put(&number.to_le_bytes());
        inner.put(&digest(tensor.values).to_le_bytes());
        if inner.values.as_ref().is_some_and(|pattern| pattern.matches(tensor.op, tensor.part)) {
            inner.put(&[tag::VALUES]);
            le_bytes(tensor.values, |bytes| inner.put(bytes));
        }
        inner.tensors += 1;
        inner.unchecked = true;
    }
}

/// A type's number in the format.
pub(crate) fn code(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::I8 => 1,
        Dtype::I32 => 2,
        Dtype::U32 => 3,
    }
}

/// The type of that number.
pub(crate) fn dtype(code: u8) -> Option<Dtype> {
    [Dtype::F32, Dtype::I8, Dtype::I32, Dtype::U32].get(usize::from(code)).copied()
}
