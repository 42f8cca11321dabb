//! The marks and limits of the format; docs/trace.md describes it.

/// The format that is written and read.
pub const FORMAT_VERSION: u32 = 1;

/// What every trace starts with; its version follows as u32.
pub(crate) const MAGIC: [u8; 8] = *b"OSSTRACE";

/// Each frame's first byte.
pub(crate) mod tag {
    /// A string; its number is the count of those before it.
    pub(crate) const NAME: u8 = b'N';
    /// A descriptor; numbered in the same way.
    pub(crate) const DESCRIPTOR: u8 = b'D';
    /// A step begins.
    pub(crate) const STEP: u8 = b'S';
    /// A tensor's digest.
    pub(crate) const TENSOR: u8 = b'T';
    /// The values of the tensor before.
    pub(crate) const VALUES: u8 = b'V';
    /// A checksum of everything before.
    pub(crate) const CHECK: u8 = b'C';
    /// The end: the number of tensors, then a checksum.
    pub(crate) const END: u8 = b'E';
}

/// Longest header, in bytes.
pub(crate) const MAX_HEADER: u32 = 1 << 20;
/// Longest name, in bytes.
pub(crate) const MAX_NAME: usize = 255;
/// Most dimensions.
pub(crate) const MAX_DIMS: usize = 8;
/// Most values of one tensor.
pub(crate) const MAX_VALUES: u64 = 1 << 32;
/// Most bytes of one tensor's values, where a trace holds them.
pub(crate) const MAX_VALUE_BYTES: u64 = 1 << 32;
