//! Uncompressed samples: those of WAVE and its like, and raw ones, decoded by hound; what it lacks, by symphonia.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use hound::{SampleFormat, WavReader, WavSpec};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::format::Format;
use super::pcm_headers::{self, PcmHeader};
use super::riff::{WavHeader, is_chunk_id, read_header};
use super::riff_tail::{self, Tail};
use super::{AudioError, Container, Pcm};

/// Frames decoded at a time.
const BLOCK_FRAMES: usize = 4096;
/// Stands for as much as there is.
const UNKNOWN: u64 = u64::MAX;
/// Bytes read from a file at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Uncompressed samples after their header, if they have one.
pub(super) struct PcmDecoder<R> {
    stream: R,
    container: Container,
    format: Format,
    /// Frames the header promises; unknown for a stream.
    promised: Option<u64>,
    decoded: u64,
    /// Bytes of the promised samples, and at most how many follow them: 0 for those that nothing is looked for behind.
    data_bytes: u64,
    beyond: u64,
    /// Bytes that were looked at, and are samples.
    ahead: Vec<u8>,
    /// The promise that samples went on behind, and whether one of them is not 0, with which some writers fill up their files.
    outdated: Option<(u64, bool)>,
    bytes: Vec<u8>,
    damages: Damages,
}

impl<R: Read + Send> PcmDecoder<BufReader<R>> {
    /// Reads a WAVE header. `file_bytes` is the length of the whole file where there is one: a promise beyond it is known at once.
    pub(super) fn wav(reader: R, file_bytes: Option<u64>) -> Result<Self, AudioError> {
        let mut stream = BufReader::with_capacity(BUFFER_BYTES, reader);
        let WavHeader { format, data_bytes, claimed_bytes, header_bytes } = read_header(&mut stream)?;
        // A length that could as well be a stream's placeholder is one if the file is shorter.
        let holds_claim = file_bytes.is_some_and(|bytes| header_bytes.saturating_add(claimed_bytes) <= bytes);
        let mut data_bytes = if holds_claim { Some(claimed_bytes) } else { data_bytes };
        let frame_bytes = format.frame_bytes() as u64;
        let rest = file_bytes.map(|bytes| bytes.saturating_sub(header_bytes));
        let mut damages = Damages::default();
        if data_bytes == Some(0) && !is_chunk(stream.fill_buf().map_err(AudioError::Io)?, rest) {
            // A writer that could not go back, or did not get to it.
            data_bytes = rest;
            if rest.is_some_and(|rest| rest >= frame_bytes) {
                damages.add(Damage::NoLength);
            }
        }
        let mut decoder = Self::after_header(stream, Container::Wav, format, data_bytes, rest, damages);
        if let Some(data_bytes) = data_bytes {
            // Of a stream nobody knows how much follows.
            (decoder.data_bytes, decoder.beyond) = (data_bytes, rest.map_or(UNKNOWN, |rest| rest.saturating_sub(data_bytes)));
        }
        Ok(decoder)
    }

    /// Reads the header of an AIFF, CAF or AU file.
    pub(super) fn described(reader: R, container: Container, file_bytes: Option<u64>) -> Result<Self, AudioError> {
        let mut stream = BufReader::with_capacity(BUFFER_BYTES, reader);
        let PcmHeader { format, mut data_bytes, header_bytes } = pcm_headers::read_header(container, &mut stream)?;
        let rest = file_bytes.map(|bytes| bytes.saturating_sub(header_bytes));
        let mut damages = Damages::default();
        if data_bytes == Some(0) {
            // A writer that could not go back, or did not get to it.
            data_bytes = rest;
            if rest.is_some_and(|rest| rest >= format.frame_bytes() as u64) {
                damages.add(Damage::NoLength);
            }
        }
        Ok(Self::after_header(stream, container, format, data_bytes, rest, damages))
    }

    /// Samples of which `data_bytes` are promised, and `rest` are there at most.
    fn after_header(
        stream: BufReader<R>,
        container: Container,
        format: Format,
        data_bytes: Option<u64>,
        rest: Option<u64>,
        mut damages: Damages,
    ) -> Self {
        let frame_bytes = format.frame_bytes() as u64;
        let mut promised = data_bytes.map(|bytes| bytes / frame_bytes);
        if let (Some(frames), Some(rest)) = (promised, rest) {
            let found = rest / frame_bytes;
            if 0 < found && found < frames {
                damages.add(Damage::Short { promised: frames, found, rate: format.rate });
            }
            promised = Some(frames.min(found));
        }
        let (ahead, outdated, bytes) = (Vec::new(), None, Vec::new());
        Self { stream, container, format, promised, decoded: 0, data_bytes: 0, beyond: 0, ahead, outdated, bytes, damages }
    }
}

/// Whether these bytes, of so many left in the file, begin another chunk rather than samples.
fn is_chunk(bytes: &[u8], rest: Option<u64>) -> bool {
    let Some((head, _)) = bytes.split_first_chunk::<8>() else { return bytes.is_empty() };
    let [a, b, c, d, length @ ..] = *head;
    let fits = rest.is_some_and(|rest| 8 + u64::from(u32::from_le_bytes(length)) <= rest);
    is_chunk_id([a, b, c, d]) && fits
}

impl<R: Read + Send> PcmDecoder<R> {
    /// Samples without a header, up to the end of the stream; at least one channel.
    pub(super) fn raw(stream: R, pcm: Pcm) -> Self {
        let (container, format, damages) = (Container::Raw, Format::raw(pcm), Damages::default());
        let (ahead, outdated, bytes) = (Vec::new(), None, Vec::new());
        Self { stream, container, format, promised: None, decoded: 0, data_bytes: 0, beyond: 0, ahead, outdated, bytes, damages }
    }

    /// Looks for more samples behind those that were promised; false if there are none.
    fn go_on(&mut self) -> Result<bool, AudioError> {
        let (before, rate, frame_bytes) = (self.decoded, self.format.rate, self.format.frame_bytes() as u64);
        io::copy(&mut (&mut self.stream).take(self.data_bytes % frame_bytes), &mut io::sink()).map_err(AudioError::Io)?;
        let (tail, mut left) = riff_tail::next(&mut self.stream, self.beyond, self.data_bytes % 2 == 1)?;
        let bytes = match tail {
            Tail::End => 0,
            Tail::Other => {
                let skipped = io::copy(&mut self.stream, &mut io::sink()).map_err(AudioError::Io)?;
                let at = before as f64 / f64::from(rate.max(1));
                self.damages.add(Damage::Skipped { at, bytes: skipped, places: 1 });
                0
            }
            Tail::Data(bytes) => self.at_most(bytes, left),
            Tail::File(header) => {
                self.format = header.format;
                header.data_bytes.map_or(left, |bytes| self.at_most(bytes, left))
            }
            Tail::Samples(mut ahead) => {
                // Less than a quarter of a second is what some writers leave behind.
                let least = (u64::from(rate) / 4 * frame_bytes).min(BUFFER_BYTES as u64);
                let more = (&mut self.stream).take(least).read_to_end(&mut ahead).map_err(AudioError::Io)?;
                if (more as u64) < least {
                    return Ok(false);
                }
                left = left.saturating_add(ahead.len() as u64 - more as u64);
                self.ahead = ahead;
                self.outdated = Some((before, false));
                left
            }
        };
        (self.data_bytes, self.beyond) = (bytes, left.saturating_sub(bytes));
        self.promised = if bytes >= UNKNOWN / 2 { None } else { Some(before + bytes / self.format.frame_bytes() as u64) };
        Ok(self.promised != Some(before))
    }

    /// How many of these promised bytes are there, of the `left` of the file.
    fn at_most(&mut self, bytes: u64, left: u64) -> u64 {
        let (frame_bytes, rate) = (self.format.frame_bytes() as u64, self.format.rate);
        let frames = |bytes| self.decoded + bytes / frame_bytes;
        if bytes > left {
            self.damages.add(Damage::Short { promised: frames(bytes), found: frames(left), rate });
        }
        if bytes == 0 { left } else { bytes.min(left) }
    }

    /// The end: what only it tells.
    fn finish(&mut self) -> bool {
        if let Some((promised, true)) = self.outdated.take() {
            self.damages.add(Damage::Longer { promised, found: self.decoded, rate: self.format.rate });
        }
        false
    }

    /// What was looked at already, and then the stream.
    fn read(&mut self, from: usize) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.stream.read(&mut self.bytes[from..]);
        }
        let count = self.ahead.len().min(self.bytes.len() - from);
        self.bytes[from..from + count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
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

    fn bytes_per_second(&self) -> Option<f64> {
        Some(self.format.frame_bytes() as f64 * f64::from(self.format.rate))
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        if self.beyond > 0 && self.promised == Some(self.decoded) && !self.go_on()? {
            return Ok(self.finish());
        }
        let frame_bytes = self.format.frame_bytes();
        let left = self.promised.map_or(u64::MAX, |promised| promised - self.decoded);
        let frames = left.min(BLOCK_FRAMES as u64) as usize;
        if frames == 0 {
            return Ok(self.finish());
        }
        self.bytes.resize(frames * frame_bytes, 0);
        let mut filled = 0usize;
        // A live stream hands over what it has: whole frames go on at once instead of waiting for a full block.
        while filled == 0 || !filled.is_multiple_of(frame_bytes) {
            match self.read(filled) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Io(error)),
            }
        }
        let whole = filled / frame_bytes;
        let block = &self.bytes[..whole * frame_bytes];
        if let Some((_, heard)) = &mut self.outdated {
            *heard |= block.iter().any(|&byte| byte != 0);
        }
        let decoded = match self.format.symphonia() {
            None => by_hound(&self.format, block, out).map_err(|error| error.to_string()),
            Some(codec) => by_symphonia(codec, &self.format, block, out).map_err(|error| error.to_string()),
        };
        let (container, frames) = (self.container, self.decoded);
        decoded.map_err(|detail| AudioError::Malformed { container, detail, frames })?;
        self.decoded += whole as u64;
        if let Some(promised) = self.promised.filter(|_| whole == 0 && self.decoded > 0) {
            // Of a stream, which tells its length only here.
            self.damages.add(Damage::Short { promised, found: self.decoded, rate: self.format.rate });
        }
        Ok(whole != 0 || self.finish())
    }

    fn damage(&self) -> &[Damage] {
        self.damages.list()
    }
}

/// Appends the samples of a block, integers as -1..1 by their width: a header makes a small wav file of it, which is hound's to read.
fn by_hound(format: &Format, block: &[u8], out: &mut Vec<f32>) -> Result<(), hound::Error> {
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

/// Appends the samples of a block in an encoding that only symphonia has. Its decoders keep nothing from packet to packet.
fn by_symphonia(codec: AudioCodecId, format: &Format, block: &[u8], out: &mut Vec<f32>) -> Result<(), Error> {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(codec).with_sample_rate(format.rate).with_channels(Channels::Discrete(format.channels));
    let mut decoder = symphonia::default::codecs::PcmDecoder::try_new(&parameters, &AudioDecoderOptions::default())?;
    let frames = Duration::from((block.len() / format.frame_bytes()) as u64);
    let decoded = decoder.decode_ref(&PacketRef::new(0, Timestamp::ZERO, frames, block))?;
    let start = out.len();
    out.resize(start + decoded.samples_interleaved(), 0.0);
    decoded.copy_to_slice_interleaved(&mut out[start..]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_samples_end_with_the_stream() {
        let mut decoder = PcmDecoder::raw(&[0u8, 0x40, 0, 0xc0, 7][..], Pcm::mono(16_000));
        let mut out = Vec::new();
        assert!(decoder.next_block(&mut out).unwrap());
        assert_eq!(out, [0.5, -0.5]);
        assert!(!decoder.next_block(&mut out).unwrap());
    }
}
