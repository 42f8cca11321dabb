//! Reading a trace frame by frame.

use std::io::{self, BufReader, Read};

use crate::chain::{CHECK_BYTES, Chain, Key};
use crate::error::TraceError;
use crate::frame::{FORMAT_VERSION, MAGIC, MAX_DIMS, MAX_HEADER, MAX_VALUE_BYTES, MAX_VALUES, tag};
use crate::header::Header;
use crate::tap::{Descriptor, Owned};
use crate::writer::dtype;

/// What comes next in a trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step begins.
    Step {
        /// See [`Step::stage`](crate::Step::stage).
        stage: String,
        /// See [`Step::at`](crate::Step::at).
        at: u64,
        /// See [`Step::count`](crate::Step::count).
        count: u32,
    },
    /// A tensor was computed.
    Tensor {
        /// Which one: an index of [`Reader::descriptors`].
        descriptor: u16,
        /// Its [`digest`](crate::digest).
        digest: u64,
    },
    /// The values of the tensor before.
    Values(Owned),
    /// Everything up to here is as it was written (if the trace has no key, or the right one was given).
    Check,
    /// The run ended in order.
    End,
}

/// Reads a trace in memory that does not grow with it, but for single tensors whose values are in it.
pub struct Reader<R> {
    read: BufReader<R>,
    offset: u64,
    /// `None` where a key is needed that was not given.
    chain: Option<Chain>,
    header: Header,
    names: Vec<String>,
    descriptors: Vec<Descriptor>,
    /// The last tensor's descriptor, as long as its values may follow.
    values_of: Option<u16>,
    tensors: u64,
    complete: bool,
}

/// Why a frame cannot be read: it is the last and cut off, or bad.
enum Stop {
    Cut,
    Bad(TraceError),
}

impl From<TraceError> for Stop {
    fn from(error: TraceError) -> Self {
        Self::Bad(error)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header. Without its key, a keyed trace is read unchecked.
    ///
    /// # Errors
    /// If this is no trace of this format, or its header is damaged.
    pub fn new(read: R, key: Option<&Key>) -> Result<Self, TraceError> {
        let mut reader = Self {
            read: BufReader::with_capacity(1 << 16, read),
            offset: 0,
            chain: Some(Chain::new(key)),
            header: Header::default(),
            names: Vec::new(),
            descriptors: Vec::new(),
            values_of: None,
            tensors: 0,
            complete: false,
        };
        match reader.start(key) {
            Ok(()) => Ok(reader),
            Err(Stop::Cut) => Err(if reader.offset < MAGIC.len() as u64 { TraceError::NotATrace } else { TraceError::NoHeader }),
            Err(Stop::Bad(error)) => Err(error),
        }
    }

    fn start(&mut self, key: Option<&Key>) -> Result<(), Stop> {
        if self.array()? != MAGIC {
            return Err(TraceError::NotATrace.into());
        }
        let version = u32::from_le_bytes(self.array()?);
        if version != FORMAT_VERSION {
            return Err(TraceError::Version { found: version }.into());
        }
        let length = u32::from_le_bytes(self.array()?);
        if length > MAX_HEADER {
            return Err(self.malformed("a header of more than 1 MiB"));
        }
        let json = self.bytes(u64::from(length))?;
        self.header = serde_json::from_slice(&json).map_err(TraceError::Header)?;
        if self.header.has_control_characters() {
            return Err(self.malformed("a control character in the header"));
        }
        match (self.header.keyed, key) {
            (false, Some(_)) => return Err(TraceError::NotKeyed.into()),
            (true, None) => self.chain = None,
            _ => {}
        }
        match self.frame()? {
            Event::Check => Ok(()),
            _ => Err(self.malformed("no checksum after the header")),
        }
    }

    /// What the trace says of the run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The tensors seen so far, each once.
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// Whether its end has been read; a trace that ends early is of a run that broke off.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Whether checksums are looked at: not those of a keyed trace without its key.
    pub fn checked(&self) -> bool {
        self.chain.is_some()
    }

    /// The next event; `None` at the end, and where the file ends early.
    ///
    /// # Errors
    /// If the trace is damaged or cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, TraceError> {
        if self.complete {
            let mut byte = [0];
            return match self.read.read(&mut byte) {
                Ok(0) => Ok(None),
                Ok(_) => Err(TraceError::Malformed { offset: self.offset, problem: "something follows its end" }),
                Err(error) => Err(TraceError::Io(error)),
            };
        }
        match self.frame() {
            Ok(event) => Ok(Some(event)),
            Err(Stop::Cut) => Ok(None),
            Err(Stop::Bad(error)) => Err(error),
        }
    }

    fn frame(&mut self) -> Result<Event, Stop> {
        loop {
            let [kind] = self.array()?;
            let values_of = self.values_of.take();
            match kind {
                tag::NAME => self.name()?,
                tag::DESCRIPTOR => self.descriptor()?,
                tag::STEP => {
                    let stage = u16::from_le_bytes(self.array()?);
                    let stage = self.name_of(stage)?;
                    let (at, count) = (u64::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?));
                    return Ok(Event::Step { stage, at, count });
                }
                tag::TENSOR => {
                    let descriptor = u16::from_le_bytes(self.array()?);
                    if usize::from(descriptor) >= self.descriptors.len() {
                        return Err(self.malformed("a tensor of no known kind"));
                    }
                    let digest = u64::from_le_bytes(self.array()?);
                    self.values_of = Some(descriptor);
                    self.tensors += 1;
                    return Ok(Event::Tensor { descriptor, digest });
                }
                tag::VALUES => {
                    let Some(descriptor) = values_of else { return Err(self.malformed("values of no tensor")) };
                    let Descriptor { dtype, .. } = self.descriptors[usize::from(descriptor)];
                    let length = self.descriptors[usize::from(descriptor)].len() as u64 * dtype.size() as u64;
                    if length > MAX_VALUE_BYTES {
                        return Err(self.malformed("a tensor of more than 4 GiB"));
                    }
                    return Ok(Event::Values(Owned::from_le_bytes(dtype, &self.bytes(length)?)));
                }
                tag::CHECK => {
                    self.check()?;
                    return Ok(Event::Check);
                }
                tag::END => {
                    if u64::from_le_bytes(self.array()?) != self.tensors {
                        return Err(self.malformed("another number of tensors than its end says"));
                    }
                    self.check()?;
                    self.complete = true;
                    return Ok(Event::End);
                }
                _ => {
                    self.offset -= 1;
                    return Err(self.malformed("no frame starts with this byte"));
                }
            }
        }
    }

    fn name(&mut self) -> Result<(), Stop> {
        let [length] = self.array()?;
        let bytes = self.bytes(u64::from(length))?;
        let name = String::from_utf8(bytes).map_err(|_| self.malformed("a name that is not UTF-8"))?;
        if name.contains(char::is_control) {
            return Err(self.malformed("a name with a control character"));
        }
        if self.names.len() > usize::from(u16::MAX) {
            return Err(self.malformed("more than 65536 names"));
        }
        self.names.push(name);
        Ok(())
    }

    fn descriptor(&mut self) -> Result<(), Stop> {
        let mut names = [const { String::new() }; 3];
        for name in &mut names {
            let number = u16::from_le_bytes(self.array()?);
            *name = self.name_of(number)?;
        }
        let [code, dims] = self.array()?;
        let dtype = dtype(code).ok_or_else(|| self.malformed("an unknown type"))?;
        if usize::from(dims) > MAX_DIMS {
            return Err(self.malformed("more than 8 dimensions"));
        }
        let mut shape = Vec::with_capacity(usize::from(dims));
        for _ in 0..dims {
            shape.push(u32::from_le_bytes(self.array()?) as usize);
        }
        let values = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if values.is_none_or(|values| values as u64 > MAX_VALUES) {
            return Err(self.malformed("a tensor of more than 2^32 values"));
        }
        if self.descriptors.len() > usize::from(u16::MAX) {
            return Err(self.malformed("more than 65536 kinds of tensors"));
        }
        let [op, kernel, part] = names;
        self.descriptors.push(Descriptor { op, kernel, part, dtype, shape });
        Ok(())
    }

    fn name_of(&self, number: u16) -> Result<String, Stop> {
        self.names.get(usize::from(number)).cloned().ok_or_else(|| self.malformed("an unknown name"))
    }

    /// Reads a checksum and compares it with that of everything before.
    fn check(&mut self) -> Result<(), Stop> {
        let expected = self.chain.clone();
        let offset = self.offset;
        let found: [u8; CHECK_BYTES] = self.array()?;
        match expected {
            Some(chain) if !chain.verify(&found) => Err(TraceError::Altered { offset, keyed: self.header.keyed }.into()),
            _ => Ok(()),
        }
    }

    fn malformed(&self, problem: &'static str) -> Stop {
        Stop::Bad(TraceError::Malformed { offset: self.offset, problem })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        match self.read.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Stop::Cut),
            Err(error) => return Err(TraceError::Io(error).into()),
        }
        self.count(&bytes);
        Ok(bytes)
    }

    /// `length` bytes; the memory for them grows only as they come.
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        (&mut self.read).take(length).read_to_end(&mut bytes).map_err(TraceError::Io)?;
        if (bytes.len() as u64) < length {
            return Err(Stop::Cut);
        }
        self.count(&bytes);
        Ok(bytes)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        if let Some(chain) = &mut self.chain {
            chain.update(bytes);
        }
    }
}
