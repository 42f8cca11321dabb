//! Where clients connect.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::connection::Connection;
use crate::slots::{self, Peer};

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://HOST:PORT`; port 0 takes a free one.
    Tcp(String),
    /// `unix:///PATH`.
    Unix(PathBuf),
    /// `stdio://`: one client, at standard input and output.
    Stdio,
}

/// A text that is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError;

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give tcp://HOST:PORT, unix:///PATH or stdio://")
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once("://").ok_or(AddressError)? {
            ("tcp", place) => {
                let (host, port) = place.trim_end_matches('/').rsplit_once(':').ok_or(AddressError)?;
                let port: u16 = port.parse().map_err(|_| AddressError)?;
                if host.is_empty() { Err(AddressError) } else { Ok(Self::Tcp(format!("{host}:{port}"))) }
            }
            ("unix", path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            ("stdio", "") => Ok(Self::Stdio),
            _ => Err(AddressError),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Stdio => f.write_str("stdio://"),
        }
    }
}

/// A socket that clients connect to.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Opens the first address that `place` (`HOST:PORT`) stands for; gives also what it became.
    pub(crate) fn tcp(place: &str) -> io::Result<(Self, SocketAddr)> {
        let addresses: Vec<SocketAddr> = place.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(&addresses[..])?;
        let address = listener.local_addr()?;
        Ok((Self::Tcp(listener), address))
    }

    /// Opens a socket file; one that a program left behind is replaced.
    #[cfg(unix)]
    pub(crate) fn unix(path: &std::path::Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let stale = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
            && std::os::unix::net::UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if stale {
            std::fs::remove_file(path)?;
        }
        Ok(Self::Unix(UnixListener::bind(path)?))
    }

    /// Waits for a client.
    pub(crate) fn accept(&self, idle: Duration) -> io::Result<(Connection, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Connection::tcp(stream, idle)?, slots::peer(address.ip())))
            }
            #[cfg(unix)]
            Self::Unix(listener) => Ok((Connection::unix(listener.accept()?.0, idle), None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = ["tcp://127.0.0.1:10300", "tcp://[::1]:0", "unix:///run/ossicle.sock", "unix://relative.sock", "stdio://"];
        for text in good {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for bad in ["", "tcp://", "tcp://:1", "tcp://host", "tcp://host:65536", "unix://", "stdio://x", "http://host:1", "127.0.0.1:10300"]
        {
            assert_eq!(bad.parse::<Address>(), Err(AddressError), "{bad}");
        }
    }
}
