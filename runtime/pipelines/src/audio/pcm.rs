//! Samples that no header describes.

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Signed 16-bit little-endian integers.
    S16Le,
    /// Signed 24-bit little-endian integers.
    S24Le,
    /// Signed 32-bit little-endian integers.
    S32Le,
    /// Unsigned 8-bit integers, silence at 128.
    U8,
    /// Mu-law (G.711).
    MuLaw,
    /// A-law (G.711).
    ALaw,
    /// 32-bit little-endian floats, full scale 1.
    F32Le,
}

/// What a header would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Frames a second, [`MIN_RATE_HZ`](super::MIN_RATE_HZ) to [`MAX_RATE_HZ`](super::MAX_RATE_HZ).
    pub rate: u32,
    /// Interleaved channels, 1 to [`MAX_CHANNELS`](super::MAX_CHANNELS).
    pub channels: u16,
    /// How one sample is written.
    pub encoding: Encoding,
}

impl Pcm {
    /// Signed 16-bit, one channel.
    pub fn mono(rate: u32) -> Self {
        Self { rate, channels: 1, encoding: Encoding::S16Le }
    }
}
