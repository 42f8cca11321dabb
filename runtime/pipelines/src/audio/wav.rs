//! WAVE files and raw samples, decoded by hound.

use std::io::{self, BufReader, ErrorKind, Read};

use hound::{SampleFormat, WavReader, WavSpec};
use symphonia::core::io::ReadOnlySource;

use super::compressed::CompressedDecoder;
use super::decoder::{Decoder, Spec};
use super::riff::{Format, read_header};
use super::{AudioError, Container};

/// Frames decoded at a time.
const BLOCK_FRAMES: usize = 4096;

/// Reads a WAVE header and chooses the decoder. `file_bytes` is the length of the whole file where there is one: a promise beyond it is
/// refused at once.
pub(super) fn open(reader: impl Read + Send + Sync + 'static, file_bytes: Option<u64>) -> Result<Box<dyn Decoder>, AudioError> {
    let mut stream = BufReader::with_capacity(1 << 16, reader);
    let header = read_header(&mut stream)?;
    let (format, frame_bytes) = (header.format, header.format.frame_bytes() as u64);
    // A stream's writer that could not go back leaves 0.
    let data_bytes = header.data_bytes.filter(|&bytes| bytes > 0 || file_bytes.is_some());
    let promised = data_bytes.map(|bytes| bytes / frame_bytes);
    if let (Some(promised), Some(file_bytes)) = (promised, file_bytes) {
        let found = file_bytes.saturating_sub(header.header_bytes) / frame_bytes;
        if found < promised {
            return Err(AudioError::Truncated { container: Container::Wav, promised, found });
        }
    }
    if format.is_of_hound() {
        return Ok(Box::new(PcmDecoder::new(stream, Container::Wav, format, promised)));
    }
    // symphonia reads whole packets only: without a length it would lose the last one.
    let Some(bytes) = promised.and_then(|frames| u32::try_from(frames * frame_bytes).ok()) else {
        return Err(AudioError::Unsupported { container: Container::Wav, feature: format!("{} of unknown length", format.name()) });
    };
    let file = io::Cursor::new(format.header(bytes)).chain(stream);
    Ok(Box::new(CompressedDecoder::new(Box::new(ReadOnlySource::new(file)), Container::Wav)?))
}

/// Uncompressed samples after their header, if they have one.
pub(super) struct PcmDecoder<R> {
    stream: R,
    container: Container,
    format: Format,
    /// Frames the header promises; unknown for a stream.
    promised: Option<u64>,
    decoded: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Send> PcmDecoder<R> {
    fn new(stream: R, container: Container, format: Format, promised: Option<u64>) -> Self {
        Self { stream, container, format, promised, decoded: 0, bytes: Vec::new() }
    }

    /// Mono signed 16-bit little-endian samples of `rate` Hz, without a header, up to the end of the stream.
    pub(super) fn raw(stream: R, rate: u32) -> Self {
        Self::new(stream, Container::Raw, Format::raw(rate), None)
    }
}

impl<R: Read + Send> Decoder for PcmDecoder<R> {
    fn container(&self) -> Container {
        self.container
    }

    fn codec(&self) -> &'static str {
        self.format.name()
    }

    fn spec(&self) -> Spec {
        Spec { rate: self.format.rate, channels: self.format.channels.into() }
    }

    fn frames(&self) -> Option<u64> {
        self.promised
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let frame_bytes = self.format.frame_bytes();
        let left = self.promised.map_or(u64::MAX, |promised| promised - self.decoded);
        let frames = left.min(BLOCK_FRAMES as u64) as usize;
        if frames == 0 {
            return Ok(false);
        }
        self.bytes.resize(frames * frame_bytes, 0);
        let mut filled = 0usize;
        // A live stream hands over what it has: whole frames go on at once instead of waiting for a full block.
        while filled == 0 || !filled.is_multiple_of(frame_bytes) {
            match self.stream.read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Io(error)),
            }
        }
        let whole = filled / frame_bytes;
        decode(&self.format, &self.bytes[..whole * frame_bytes], out).map_err(|error| AudioError::Malformed {
            container: self.container,
            detail: error.to_string(),
            frames: self.decoded,
        })?;
        self.decoded += whole as u64;
        match self.promised {
            Some(promised) if whole == 0 => Err(AudioError::Truncated { container: self.container, promised, found: self.decoded }),
            _ => Ok(whole != 0),
        }
    }
}

/// Appends the samples of a block, integers as -1..1 by their width: a header makes a small wav file of it, which is hound's to read.
fn decode(format: &Format, block: &[u8], out: &mut Vec<f32>) -> Result<(), hound::Error> {
    let header = format.header(block.len() as u32);
    let mut wav = WavReader::new(header.chain(block))?;
    let WavSpec { sample_format, bits_per_sample, .. } = wav.spec();
    out.reserve(wav.len() as usize);
    match sample_format {
        SampleFormat::Float => wav.samples().try_for_each(|sample| sample.map(|sample: f32| out.push(sample))),
        SampleFormat::Int => {
            // A power of two: exact.
            let scale = 1.0 / (1u64 << (bits_per_sample - 1)) as f32;
            wav.samples().try_for_each(|sample| sample.map(|sample: i32| out.push(sample as f32 * scale)))
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
