//! Opus packets, decoded at 16 kHz by the codec itself: no resampler follows.

use ropus::{Channels, DecodeMode, OpusMSDecoder};

use super::opus_head::OpusHead;
use super::{AudioError, Container, SAMPLE_RATE};

/// Longest packet of the format: 120 ms.
const MAX_PACKET_FRAMES: usize = SAMPLE_RATE as usize * 120 / 1000;

/// Opus counts time in 48 kHz.
pub(super) const TICKS_PER_FRAME: u32 = 48_000 / SAMPLE_RATE;

/// One Opus stream.
pub(super) struct OpusPackets {
    decoder: Kind,
    channels: usize,
    /// Frames of the encoder's delay still to be dropped.
    delay: usize,
    pcm: Vec<f32>,
}

enum Kind {
    /// Mono or stereo.
    Plain(Box<ropus::Decoder>),
    /// Several streams in each packet, and a buffer for their integer samples.
    Several(Box<OpusMSDecoder>, Vec<i16>),
}

impl OpusPackets {
    /// A decoder for the stream with this header.
    pub(super) fn new(head: &OpusHead, container: Container) -> Result<Self, AudioError> {
        let malformed = |detail: &str| AudioError::Malformed { container, detail: detail.into(), frames: 0 };
        let invalid = "its opus header is not valid";
        let plain = |layout| {
            let mut decoder = ropus::Decoder::new(SAMPLE_RATE, layout).map_err(|_| malformed(invalid))?;
            decoder.set_gain(head.gain.into()).map_err(|_| malformed("its opus gain is not valid"))?;
            Ok(Kind::Plain(Box::new(decoder)))
        };
        let channels = head.channels();
        let decoder = match (&head.streams, channels) {
            (None, 1) => plain(Channels::Mono)?,
            (None, _) => plain(Channels::Stereo)?,
            (Some(streams), _) => {
                let (count, coupled) = (i32::from(streams.count), i32::from(streams.coupled));
                let mut decoder = OpusMSDecoder::new(SAMPLE_RATE as i32, channels as i32, count, coupled, &streams.mapping)
                    .map_err(|_| malformed(invalid))?;
                if decoder.set_gain(head.gain.into()) != 0 {
                    return Err(malformed("its opus gain is not valid"));
                }
                Kind::Several(Box::new(decoder), vec![0; MAX_PACKET_FRAMES * channels])
            }
        };
        let delay = usize::from(head.delay) / TICKS_PER_FRAME as usize;
        Ok(Self { decoder, channels, delay, pcm: vec![0.0; MAX_PACKET_FRAMES * channels] })
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Appends the packet's interleaved samples, without the encoder's delay; gives its length in frames with it.
    pub(super) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<usize, &'static str> {
        const NOT_DECODED: &str = "an opus packet does not decode";
        // To the decoder an empty packet means one lost on the way.
        if packet.is_empty() {
            return Err("an opus packet is empty");
        }
        let frames = match &mut self.decoder {
            Kind::Plain(decoder) => decoder.decode_float(packet, &mut self.pcm, DecodeMode::Normal).map_err(|_| NOT_DECODED)?,
            Kind::Several(decoder, pcm) => {
                let frames = decoder.decode(Some(packet), packet.len() as i32, pcm, MAX_PACKET_FRAMES as i32, false);
                let frames = frames.ok().and_then(|frames| usize::try_from(frames).ok()).ok_or(NOT_DECODED)?;
                self.pcm.iter_mut().zip(&*pcm).for_each(|(float, &sample)| *float = f32::from(sample) / 32_768.0);
                frames
            }
        };
        let frames = frames.min(MAX_PACKET_FRAMES);
        let start = self.delay.min(frames);
        self.delay -= start;
        out.extend_from_slice(&self.pcm[start * self.channels..frames * self.channels]);
        Ok(frames)
    }
}
