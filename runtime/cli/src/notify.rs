//! Telling systemd that a service is ready, alive or stopping, and what it does (sd_notify(3)): a datagram to the socket named in the environment.

use std::env;
use std::time::{Duration, Instant};

#[cfg(unix)]
use std::os::unix::net::UnixDatagram;

/// Where to tell it; nowhere when no supervisor asked.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    #[cfg(unix)]
    socket: Option<UnixDatagram>,
    /// Half of what the supervisor waits for a sign of life.
    period: Option<Duration>,
    last: Option<Instant>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.
    pub(crate) fn from_environment() -> Self {
        let microseconds = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self {
            #[cfg(unix)]
            socket: env::var_os("NOTIFY_SOCKET").and_then(|name| connect(&name)),
            period: microseconds.map(|us| Duration::from_micros(us) / 2),
            last: None,
        }
    }

    /// The model is loaded; what is done now, in one line.
    pub(crate) fn ready(&mut self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// What is being done, in one line.
    pub(crate) fn status(&mut self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// The work is over, and the program ends.
    pub(crate) fn stopping(&mut self) {
        self.send("STOPPING=1");
    }

    /// Work goes on; says so no more often than needed.
    pub(crate) fn alive(&mut self) {
        let Some(period) = self.period else { return };
        if self.last.is_none_or(|last| last.elapsed() >= period) {
            self.send("WATCHDOG=1");
            self.last = Some(Instant::now());
        }
    }

    /// A supervisor that does not listen is no reason to stop.
    #[cfg(unix)]
    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(text.as_bytes());
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _: &str) {}
}

/// A socket connected to a path, or to a name in Linux's abstract name space, which begins with `@`.
#[cfg(unix)]
fn connect(name: &std::ffi::OsStr) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.to_str().and_then(|name| name.strip_prefix('@')) {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).ok()?;
        socket.connect_addr(&address).ok()?;
        return Some(socket);
    }
    socket.connect(name).ok()?;
    Some(socket)
}
