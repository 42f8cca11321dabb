//! WAVE files and raw samples.

use std::io::Read;

use super::decoder::{Decoder, Spec};
use super::riff::{Encoding, read_header};
use super::{AudioError, Container};

/// Frames decoded at a time.
const BLOCK_FRAMES: usize = 4096;

/// Uncompressed samples after their header, if they have one.
pub(super) struct PcmDecoder<R> {
    reader: R,
    container: Container,
    encoding: Encoding,
    spec: Spec,
    /// Frames the header promises; unknown for a stream.
    promised: Option<u64>,
    decoded: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Send> PcmDecoder<R> {
    /// Reads a WAVE header. `file_bytes` is the length of the whole file where there is one: a promise beyond it is refused at once.
    pub(super) fn wav(mut reader: R, file_bytes: Option<u64>) -> Result<Self, AudioError> {
        let header = read_header(&mut reader)?;
        let frame_bytes = (header.encoding.bytes() * header.channels) as u64;
        // A stream's writer that could not go back leaves 0.
        let data_bytes = header.data_bytes.filter(|&bytes| bytes > 0 || file_bytes.is_some());
        let promised = data_bytes.map(|bytes| bytes / frame_bytes);
        if let (Some(promised), Some(file_bytes)) = (promised, file_bytes) {
            let found = file_bytes.saturating_sub(header.header_bytes) / frame_bytes;
            if found < promised {
                return Err(AudioError::Truncated { container: Container::Wav, promised, found });
            }
        }
        Ok(Self {
            reader,
            container: Container::Wav,
            encoding: header.encoding,
            spec: Spec { rate: header.rate, channels: header.channels },
            promised,
            decoded: 0,
            bytes: Vec::new(),
        })
    }

    /// Mono signed 16-bit little-endian samples of `rate` Hz, without a header, up to the end of the stream.
    pub(super) fn raw(reader: R, rate: u32) -> Self {
        Self {
            reader,
            container: Container::Raw,
            encoding: Encoding::S16,
            spec: Spec { rate, channels: 1 },
            promised: None,
            decoded: 0,
            bytes: Vec::new(),
        }
    }
}

impl<R: Read + Send> Decoder for PcmDecoder<R> {
    fn container(&self) -> Container {
        self.container
    }

    fn codec(&self) -> &'static str {
        self.encoding.name()
    }

    fn spec(&self) -> Spec {
        self.spec
    }

    fn frames(&self) -> Option<u64> {
        self.promised
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let frame_bytes = self.encoding.bytes() * self.spec.channels;
        let left = self.promised.map_or(u64::MAX, |promised| promised - self.decoded);
        let frames = left.min(BLOCK_FRAMES as u64) as usize;
        if frames == 0 {
            return Ok(false);
        }
        self.bytes.resize(frames * frame_bytes, 0);
        let mut filled = 0usize;
        // A live stream hands over what it has: whole frames go on at once instead of waiting for a full block.
        while filled == 0 || !filled.is_multiple_of(frame_bytes) {
            match self.reader.read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Io(error)),
            }
        }
        let whole = filled / frame_bytes;
        self.encoding.decode(&self.bytes[..whole * frame_bytes], out);
        self.decoded += whole as u64;
        match self.promised {
            Some(promised) if whole == 0 => Err(AudioError::Truncated { container: self.container, promised, found: self.decoded }),
            _ => Ok(whole != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_samples_end_with_the_stream() {
        let mut decoder = PcmDecoder::raw(&[0u8, 0x40, 0, 0xc0, 7][..], 16_000);
        let mut out = Vec::new();
        assert!(decoder.next_block(&mut out).unwrap());
        assert_eq!(out, [0.5, -0.5]);
        assert!(!decoder.next_block(&mut out).unwrap());
    }
}
