//! WAVE files and raw samples, decoded by hound.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use hound::{SampleFormat, WavReader};
use symphonia::core::io::ReadOnlySource;

use super::compressed::CompressedDecoder;
use super::decoder::{Decoder, Spec};
use super::riff::{Format, read_header};
use super::{AudioError, Container};

/// Frames decoded at a time, at most.
const BLOCK_FRAMES: usize = 4096;
/// Bytes read at a time, at most.
const BUFFER_BYTES: usize = 1 << 16;

/// Reads a WAVE header and chooses the decoder. `file_bytes` is the length of the whole file where there is one: a promise beyond it is
/// refused at once.
pub(super) fn open(reader: impl Read + Send + Sync + 'static, file_bytes: Option<u64>) -> Result<Box<dyn Decoder>, AudioError> {
    let mut stream = BufReader::with_capacity(BUFFER_BYTES, reader);
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
        return Ok(Box::new(PcmDecoder { stream, container: Container::Wav, format, promised, decoded: 0 }));
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
    stream: BufReader<R>,
    container: Container,
    format: Format,
    /// Frames the header promises; unknown for a stream.
    promised: Option<u64>,
    decoded: u64,
}

impl<R: Read + Send> PcmDecoder<R> {
    /// Mono signed 16-bit little-endian samples of `rate` Hz, without a header, up to the end of the stream.
    pub(super) fn raw(reader: R, rate: u32) -> Self {
        let stream = BufReader::with_capacity(BUFFER_BYTES, reader);
        Self { stream, container: Container::Raw, format: Format::raw(rate), promised: None, decoded: 0 }
    }

    /// Appends up to `frames` frames, fewer only at the end of the stream.
    fn decode(&mut self, frames: usize, out: &mut Vec<f32>) -> Result<usize, hound::Error> {
        let start = out.len();
        let header = self.format.header((frames * self.format.frame_bytes()) as u32);
        let mut block = WavReader::new(Block { header: &header, stream: &mut self.stream })?;
        let spec = block.spec();
        match spec.sample_format {
            SampleFormat::Float => append(block.samples(), out)?,
            SampleFormat::Int => {
                // A power of two: exact.
                let scale = 1.0 / (1u64 << (spec.bits_per_sample - 1)) as f32;
                append(block.samples::<i32>().map(|sample| Ok(sample? as f32 * scale)), out)?;
            }
        }
        let whole = (out.len() - start) / usize::from(spec.channels);
        out.truncate(start + whole * usize::from(spec.channels));
        Ok(whole)
    }
}

/// Appends samples up to the stream's end.
fn append(samples: impl Iterator<Item = Result<f32, hound::Error>>, out: &mut Vec<f32>) -> Result<(), hound::Error> {
    for sample in samples {
        match sample {
            Err(hound::Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
            sample => out.push(sample?),
        }
    }
    Ok(())
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
        let left = self.promised.map_or(u64::MAX, |promised| promised - self.decoded);
        if left == 0 {
            return Ok(false);
        }
        // A live stream hands over what it has: whole frames go on at once instead of waiting for a full block.
        let there = loop {
            match self.stream.fill_buf() {
                Ok(bytes) => break bytes.len() / self.format.frame_bytes(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Io(error)),
            }
        };
        let frames = there.clamp(1, BLOCK_FRAMES).min(usize::try_from(left).unwrap_or(usize::MAX));
        let whole = self.decode(frames, out).map_err(|error| match error {
            hound::Error::IoError(error) => AudioError::Io(error),
            other => AudioError::Malformed { container: self.container, detail: other.to_string(), frames: self.decoded },
        })?;
        self.decoded += whole as u64;
        match self.promised {
            Some(promised) if whole == 0 => Err(AudioError::Truncated { container: self.container, promised, found: self.decoded }),
            _ => Ok(whole != 0),
        }
    }
}

/// A small wav file: a header, then as much of the stream as it names. The stream's end is an error of its own, which hound would not tell
/// from others.
struct Block<'a, R> {
    header: &'a [u8],
    stream: &'a mut BufReader<R>,
}

impl<R: Read> Read for Block<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.header.is_empty() {
            return self.header.read(out);
        }
        loop {
            match self.stream.read(out) {
                Ok(0) if !out.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
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
