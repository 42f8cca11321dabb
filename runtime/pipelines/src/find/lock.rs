//! One process writes an index at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::IndexError;

/// The right to write an index; given back when it is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, for the index at `path`.
    ///
    /// # Errors
    /// [`IndexError::Locked`] if another process has it.
    pub fn take(path: &Path) -> Result<Self, IndexError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let io = |source| IndexError::Io { path: lock.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}
