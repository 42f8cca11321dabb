//! Ctrl-C and SIGTERM: the first ends the input, so that what was heard is written; the second ends the program.

use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The exit status of a program that Ctrl-C ended before its input did.
const INTERRUPTED: u8 = 130;

/// How long a signal may go unnoticed while nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a pipe holds on Linux: so much may have come before the signal and not have been read yet.
const PIPE_BYTES: usize = 64 << 10;

/// Bytes read from standard input at a time: a quarter of a second of samples.
const BLOCK: usize = 8 << 10;

/// Blocks that wait for their reader.
const WAITING: usize = 2;

static CAME: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on the first signal ends the input.
pub(crate) fn catch() -> Result<()> {
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&CAME)).context("cannot handle signals")?;
        signal_hook::flag::register(signal, Arc::clone(&CAME)).context("cannot handle signals")?;
    }
    Ok(())
}

/// Whether the input is to end.
pub(crate) fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

/// The status of a run that was interrupted.
pub(crate) fn status() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// Standard input, which also ends at a signal: what was written to it before is still read.
///
/// A thread reads it, because a signal does not wake a read that waits.
pub(crate) fn stdin() -> Stdin {
    ending(io::stdin())
}

/// The same of another stream that waits.
pub(crate) fn ending(input: impl Read + Send + 'static) -> Stdin {
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || feed(input, &sender));
    Stdin { blocks: Mutex::new(receiver), block: Vec::new(), taken: 0, after: 0 }
}

fn feed(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let read = match input.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let last = !matches!(read, Ok(1..));
        let block = read.map(|read| {
            block.truncate(read);
            block
        });
        if sender.send(block).is_err() || last {
            return;
        }
    }
}

/// See [`stdin`].
pub(crate) struct Stdin {
    /// Decoders ask for what threads may share.
    blocks: Mutex<Receiver<io::Result<Vec<u8>>>>,
    block: Vec<u8>,
    taken: usize,
    /// Bytes taken since the signal.
    after: usize,
}

impl Stdin {
    /// The next block; empty at the end.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let blocks = self.blocks.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            let stopping = came();
            if stopping && self.after >= PIPE_BYTES + (WAITING + 1) * BLOCK {
                return Ok(Vec::new());
            }
            match blocks.recv_timeout(PATIENCE) {
                Ok(block) => {
                    self.after += if stopping { block.as_ref().map_or(0, Vec::len) } else { 0 };
                    return block;
                }
                Err(RecvTimeoutError::Timeout) if !stopping => {}
                Err(_) => return Ok(Vec::new()),
            }
        }
    }
}

impl Read for Stdin {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            self.block = self.next()?;
            self.taken = 0;
        }
        let read = (&self.block[self.taken..]).read(out)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_handed_on_in_blocks_and_ends_with_its_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let bytes: Vec<u8> = (0..3 * BLOCK + 5).map(|i| (i % 251) as u8).collect();
        let (sender, receiver) = sync_channel(WAITING);
        let input = io::Cursor::new(bytes.clone()).chain(Broken);
        thread::spawn(move || feed(input, &sender));
        let mut stdin = Stdin { blocks: Mutex::new(receiver), block: Vec::new(), taken: 0, after: 0 };
        let mut read = vec![0; bytes.len()];
        stdin.read_exact(&mut read).unwrap();
        assert!(read == bytes);
        assert_eq!(stdin.read(&mut read).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(stdin.read(&mut read).unwrap(), 0, "the thread has ended");
    }
}
