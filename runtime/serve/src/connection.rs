//! A byte stream whose every wait ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// Standard input and output, whose other end has every right to be slow.
    Stdio,
}

/// A connection. Reads and writes fail with [`ErrorKind::TimedOut`] when nothing moves for the idle time, or after the deadline.
pub(crate) struct Connection {
    stream: Stream,
    idle: Duration,
    deadline: Option<Instant>,
}

/// What is known of the other end without waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It may yet say something.
    Open,
    /// It says no more, and may still listen.
    Finished,
    /// It is gone.
    Gone,
}

impl Connection {
    pub(crate) fn tcp(stream: TcpStream, idle: Duration) -> io::Result<Self> {
        // Answers are small and wanted at once.
        stream.set_nodelay(true)?;
        Ok(Self { stream: Stream::Tcp(stream), idle, deadline: None })
    }

    #[cfg(unix)]
    pub(crate) fn unix(stream: UnixStream, idle: Duration) -> Self {
        Self { stream: Stream::Unix(stream), idle, deadline: None }
    }

    pub(crate) fn stdio(idle: Duration) -> Self {
        Self { stream: Stream::Stdio, idle, deadline: None }
    }

    /// From now on every wait ends after `time` in all; without it, only idleness counts.
    pub(crate) fn within(&mut self, time: Option<Duration>) {
        self.deadline = time.map(|time| Instant::now() + time);
    }

    /// How long the next wait may be.
    fn patience(&self) -> io::Result<Duration> {
        let left = self.deadline.map_or(self.idle, |deadline| deadline.saturating_duration_since(Instant::now()).min(self.idle));
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn nonblocking(&self, on: bool) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_nonblocking(on),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_nonblocking(on),
            Stream::Stdio => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Says that no more will be written, then throws away what still comes, for a moment: a client that is sending would otherwise lose
    /// the answer to the reset that unread bytes cause.
    pub(crate) fn linger(&mut self) {
        const MOMENT: Duration = Duration::from_secs(2);
        let shut = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Stdio => return,
        };
        self.within(Some(MOMENT));
        let mut waste = [0; 16 << 10];
        while shut.is_ok() && matches!(self.read(&mut waste), Ok(1..)) {}
    }
}

/// Whether the other end of a buffered connection is still there; whatever it has said meanwhile stays in the buffer. Ends the deadline: who
/// waits for an answer is not slow, and a deadline that has passed would hide that the other end has left.
pub(crate) fn liveness(reader: &mut io::BufReader<Connection>) -> Liveness {
    use std::io::BufRead;
    reader.get_mut().within(None);
    if !reader.buffer().is_empty() || reader.get_ref().nonblocking(true).is_err() {
        return Liveness::Open;
    }
    let filled = match reader.fill_buf() {
        Ok([]) => Liveness::Finished,
        Ok(_) => Liveness::Open,
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Liveness::Open,
        Err(_) => Liveness::Gone,
    };
    match reader.get_ref().nonblocking(false) {
        Ok(()) => filled,
        Err(_) => Liveness::Gone,
    }
}

/// Unix calls a wait that ended "would block".
fn named(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl Read for Connection {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let patience = Some(self.patience()?);
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(patience).and_then(|()| stream.read(out)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_read_timeout(patience).and_then(|()| stream.read(out)),
            Stream::Stdio => io::stdin().lock().read(out),
        };
        read.map_err(named)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let patience = Some(self.patience()?);
        let written = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(patience).and_then(|()| stream.write(bytes)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_write_timeout(patience).and_then(|()| stream.write(bytes)),
            Stream::Stdio => io::stdout().lock().write(bytes),
        };
        written.map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        if matches!(self.stream, Stream::Stdio) { io::stdout().lock().flush() } else { Ok(()) }
    }
}
