//! Checksums that cover everything before them, with or without a key.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a checksum.
pub(crate) const CHECK_BYTES: usize = 32;

/// A secret that only those who may write traces know, and those who check them.
#[derive(Clone)]
pub struct Key(Vec<u8>);

/// A key too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// Its bytes.
    pub bytes: usize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of {} bytes, less than {}", self.bytes, Key::MIN_BYTES)
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// Shortest key.
    pub const MIN_BYTES: usize = 16;

    /// A key of these bytes, all of which count.
    ///
    /// # Errors
    /// If there are fewer than [`MIN_BYTES`](Key::MIN_BYTES).
    pub fn new(bytes: Vec<u8>) -> Result<Self, KeyError> {
        if bytes.len() < Self::MIN_BYTES { Err(KeyError { bytes: bytes.len() }) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// SHA-256 over all bytes so far, or HMAC-SHA256 with a key.
#[derive(Clone)]
pub(crate) enum Chain {
    Plain(Sha256),
    Keyed(Hmac<Sha256>),
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain(..)")
    }
}

impl Chain {
    pub(crate) fn new(key: Option<&Key>) -> Self {
        match key {
            None => Self::Plain(Sha256::new()),
            Some(key) => Self::Keyed(Hmac::new_from_slice(&key.0).expect("HMAC takes keys of any length")),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(hasher) => Digest::update(hasher, bytes),
            Self::Keyed(hmac) => hmac.update(bytes),
        }
    }

    /// The checksum of all bytes so far.
    pub(crate) fn check(&self) -> [u8; CHECK_BYTES] {
        match self {
            Self::Plain(hasher) => hasher.clone().finalize().into(),
            Self::Keyed(hmac) => hmac.clone().finalize().into_bytes().into(),
        }
    }

    /// Whether `check` is that, in time that does not depend on where they differ.
    pub(crate) fn verify(&self, check: &[u8; CHECK_BYTES]) -> bool {
        match self {
            Self::Plain(_) => self.check() == *check,
            Self::Keyed(hmac) => hmac.clone().verify_slice(check).is_ok(),
        }
    }
}
