//! The CTranslate2 `model.bin` container: a bounds-checked reader that borrows the file's bytes.
//!
//! The layout is little-endian and unaligned: binary version, spec name, spec revision, variables
//! (name, dims, type, bytes), aliases. Nothing is trusted: every length is checked against what is
//! left of the file before it is used, and nothing may follow the last alias.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The only container version this reader knows.
pub const BINARY_VERSION: u32 = 6;
/// The only revision of the Whisper spec this reader knows.
pub const SPEC_REVISION: u32 = 3;
/// Highest rank a variable may have; Whisper's own go up to 3.
pub const MAX_RANK: u8 = 4;

/// Element type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
}

impl Dtype {
    fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::I8,
            2 => Self::I16,
            3 => Self::I32,
            4 => Self::F16,
            5 => Self::Bf16,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

/// One variable: shape, type and where its bytes lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Dimensions, outermost first; empty for a scalar.
    pub dims: Vec<usize>,
    /// Element type.
    pub dtype: Dtype,
    /// Byte range in the file; its length is the product of `dims` times the element size.
    pub bytes: Range<usize>,
}

/// A parsed file: variables by name and aliases to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// Alias name to the name of an existing variable.
    pub aliases: BTreeMap<String, String>,
}

/// What is wrong in a `model.bin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends inside a field.
    Truncated {
        /// Bytes the field needs.
        need: usize,
        /// Bytes left in the file.
        have: usize,
    },
    /// The container version is not [`BINARY_VERSION`].
    BinaryVersion(u32),
    /// The file holds another kind of model than `WhisperSpec`.
    Spec(String),
    /// The spec revision is not [`SPEC_REVISION`].
    Revision(u32),
    /// A string is not NUL-terminated UTF-8.
    BadString,
    /// A variable has more dimensions than [`MAX_RANK`].
    Rank(u8),
    /// A type id this format does not define.
    UnknownDtype(u8),
    /// The byte count of a variable does not follow from its dimensions and type.
    ByteCount {
        /// Bytes its dimensions ask for; none when that number does not fit.
        expected: Option<usize>,
        /// Bytes the file states.
        found: usize,
    },
    /// Two variables or aliases share a name.
    Duplicate(String),
    /// An alias points at a variable that does not exist.
    DanglingAlias(String),
    /// Bytes follow the last alias.
    TrailingBytes(usize),
}

/// A [`Fault`] and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Byte offset of the field in the file.
    pub offset: usize,
    /// The field being read, for example `variable 3 (encoder/conv1/bias): byte count`.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}, {}: ", self.offset, self.field)?;
        match &self.fault {
            Fault::Truncated { need, have } => {
                write!(f, "the file ends here: {need} bytes needed, {have} left")
            }
            Fault::BinaryVersion(v) => write!(f, "version {v}; this reader knows version {BINARY_VERSION} only"),
            Fault::Spec(name) => write!(f, "holds a {name:?} model, expected \"WhisperSpec\""),
            Fault::Revision(v) => write!(f, "revision {v}; this reader knows revision {SPEC_REVISION} only"),
            Fault::BadString => f.write_str("not a NUL-terminated UTF-8 string"),
            Fault::Rank(rank) => write!(f, "rank {rank}, at most {MAX_RANK} expected"),
            Fault::UnknownDtype(id) => write!(f, "unknown type id {id}, expected 0 to 5"),
            Fault::ByteCount { expected: Some(expected), found } => {
                write!(f, "{found} bytes stated, shape and type need {expected}")
            }
            Fault::ByteCount { expected: None, found } => {
                write!(f, "{found} bytes stated, shape and type need more than can be addressed")
            }
            Fault::Duplicate(name) => write!(f, "{name} appears twice"),
            Fault::DanglingAlias(target) => write!(f, "points at {target}, which does not exist"),
            Fault::TrailingBytes(n) => write!(f, "{n} bytes follow the last alias, expected none"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Reads the table of contents of a `model.bin`. Payloads are not copied.
///
/// # Errors
/// Any byte that breaks the format, with its offset.
pub fn parse(file: &[u8]) -> Result<Container, ParseError> {
    let mut r = Reader { file, at: 0 };
    let at = r.at;
    let version = r.u32("binary version")?;
    if version != BINARY_VERSION {
        return Err(fault(at, "binary version", Fault::BinaryVersion(version)));
    }
    let at = r.at;
    let spec = r.string("spec name")?;
    if spec != "WhisperSpec" {
        return Err(fault(at, "spec name", Fault::Spec(spec.to_owned())));
    }
    let at = r.at;
    let revision = r.u32("spec revision")?;
    if revision != SPEC_REVISION {
        return Err(fault(at, "spec revision", Fault::Revision(revision)));
    }

    let mut container = Container::default();
    let count = r.u32("variable count")?;
    for i in 0..count {
        let at = r.at;
        let name = r.string(&format!("variable {i}: name"))?.to_owned();
        let variable = r.variable(i, &name)?;
        if container.variables.contains_key(&name) {
            return Err(fault(at, &format!("variable {i}"), Fault::Duplicate(name)));
        }
        container.variables.insert(name, variable);
    }

    let count = r.u32("alias count")?;
    for i in 0..count {
        let field = format!("alias {i}");
        let at = r.at;
        let name = r.string(&field)?.to_owned();
        let target = r.string(&field)?.to_owned();
        if !container.variables.contains_key(&target) {
            return Err(fault(at, &format!("{field} ({name})"), Fault::DanglingAlias(target)));
        }
        if container.variables.contains_key(&name) || container.aliases.contains_key(&name) {
            return Err(fault(at, &field, Fault::Duplicate(name)));
        }
        container.aliases.insert(name, target);
    }
    match file.len() - r.at {
        0 => Ok(container),
        left => Err(fault(r.at, "end", Fault::TrailingBytes(left))),
    }
}

fn fault(offset: usize, field: &str, fault: Fault) -> ParseError {
    ParseError { offset, field: field.to_owned(), fault }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, need: usize, field: &str) -> Result<&'a [u8], ParseError> {
        let rest = &self.file[self.at..];
        let Some(bytes) = rest.get(..need) else {
            return Err(fault(self.at, field, Fault::Truncated { need, have: rest.len() }));
        };
        self.at += need;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], ParseError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, field)?);
        Ok(out)
    }

    fn u32(&mut self, field: &str) -> Result<u32, ParseError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// A u16 length that counts the trailing NUL, then the bytes.
    fn string(&mut self, field: &str) -> Result<&'a str, ParseError> {
        let at = self.at;
        let len = u16::from_le_bytes(self.array(field)?);
        match self.take(usize::from(len), field)?.split_last() {
            Some((0, text)) if !text.contains(&0) => std::str::from_utf8(text).map_err(|_| fault(at, field, Fault::BadString)),
            _ => Err(fault(at, field, Fault::BadString)),
        }
    }

    fn variable(&mut self, i: u32, name: &str) -> Result<Variable, ParseError> {
        let field = |part: &str| format!("variable {i} ({name}): {part}");
        let at = self.at;
        let [rank] = self.array(&field("rank"))?;
        if rank > MAX_RANK {
            return Err(fault(at, &field("rank"), Fault::Rank(rank)));
        }
        let mut dims = Vec::with_capacity(usize::from(rank));
        for _ in 0..rank {
            dims.push(self.u32(&field("dimensions"))? as usize);
        }
        let at = self.at;
        let [id] = self.array(&field("type"))?;
        let dtype = Dtype::from_id(id).ok_or_else(|| fault(at, &field("type"), Fault::UnknownDtype(id)))?;
        let at = self.at;
        let found = self.u32(&field("byte count"))? as usize;
        let expected = dims.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d));
        if expected != Some(found) {
            return Err(fault(at, &field("byte count"), Fault::ByteCount { expected, found }));
        }
        let start = self.at;
        self.take(found, &field("data"))?;
        Ok(Variable { dims, dtype, bytes: start..self.at })
    }
}
