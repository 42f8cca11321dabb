//! How much is taken from clients.

use std::time::Duration;

/// Bounds on what clients may send, hold and wait for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address; all Unix sockets together count as one.
    pub connections_per_peer: usize,
    /// Jobs waiting for a model, those begun not counted.
    pub queue: usize,
    /// Of these, the most from one address.
    pub queue_per_peer: usize,
    /// How long a job waits for the model before its client is told that the service is busy.
    pub wait: Duration,
    /// How long a job may take once it is begun, others' turns not counted; looked at between windows.
    pub work: Duration,
    /// Seconds of audio in one request.
    pub audio_seconds: u32,
    /// Bytes of a recording as sent.
    pub upload_bytes: u64,
    /// Bytes of all recordings together, from their first byte until they are transcribed.
    pub held_bytes: u64,
    /// Of these, the most from one address.
    pub held_bytes_per_peer: u64,
    /// Bytes of a text that is to be said.
    pub text_bytes: usize,
    /// How long a connection may give or take nothing.
    pub idle: Duration,
    /// How long one request may take to arrive, and one answer to be taken; a recording that is sent while it is made, over Wyoming, has
    /// `audio_seconds` more.
    pub transfer: Duration,
}

/// Bytes of a recording that stay in memory; more goes to a temporary file. Half a minute of 16 kHz speech.
pub(crate) const MEMORY_BYTES: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            connections_per_peer: 16,
            queue: 16,
            queue_per_peer: 8,
            wait: Duration::from_secs(30),
            work: Duration::from_secs(600),
            audio_seconds: 1800,
            upload_bytes: 100_000_000,
            held_bytes: 256_000_000,
            held_bytes_per_peer: 128_000_000,
            text_bytes: 16_000,
            idle: Duration::from_secs(30),
            transfer: Duration::from_secs(300),
        }
    }
}
