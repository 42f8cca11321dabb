//! Opus packets, decoded at 16 kHz by the codec itself: no resampler follows.

use ropus::{Channels, DecodeMode};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet;

use super::{AudioError, Container, SAMPLE_RATE};

/// Longest packet of the format: 120 ms.
const MAX_PACKET_FRAMES: usize = SAMPLE_RATE as usize * 120 / 1000;

/// Opus counts time in 48 kHz.
const TICKS_PER_FRAME: usize = 48_000 / SAMPLE_RATE as usize;

/// Where the identification header keeps the output gain (RFC 7845, section 5.1).
const GAIN_BYTES: std::ops::Range<usize> = 16..18;

/// One mono or stereo Opus stream.
pub(super) struct OpusPackets {
    decoder: ropus::Decoder,
    channels: usize,
    /// Frames of the encoder's delay still to be dropped.
    delay: usize,
    pcm: Vec<f32>,
}

impl OpusPackets {
    /// A decoder for the stream whose identification header is in `params`; its first `delay` ticks are not part of the recording.
    pub(super) fn new(params: &AudioCodecParameters, delay: u32, container: Container) -> Result<Self, AudioError> {
        let channels = params.channels.as_ref().map_or(0, |channels| channels.count());
        let layout = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            n => return Err(AudioError::Unsupported { container, feature: format!("opus with {n} channels") }),
        };
        let malformed = |detail: &str| AudioError::Malformed { container, detail: detail.into(), frames: 0 };
        let mut decoder = ropus::Decoder::new(SAMPLE_RATE, layout).map_err(|_| malformed("its opus header is not valid"))?;
        if let Some(&[low, high]) = params.extra_data.as_deref().and_then(|head| head.get(GAIN_BYTES)) {
            let gain = i16::from_le_bytes([low, high]);
            decoder.set_gain(gain.into()).map_err(|_| malformed("its opus gain is not valid"))?;
        }
        let delay = delay as usize / TICKS_PER_FRAME;
        Ok(Self { decoder, channels, delay, pcm: vec![0.0; MAX_PACKET_FRAMES * channels] })
    }

    /// Appends the packet's interleaved samples, without encoder delay and padding.
    pub(super) fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), &'static str> {
        // To the decoder an empty packet means one lost on the way.
        if packet.data.is_empty() {
            return Err("an opus packet is empty");
        }
        let frames = self
            .decoder
            .decode_float(&packet.data, &mut self.pcm, DecodeMode::Normal)
            .map_err(|_| "an opus packet does not decode")?
            .min(MAX_PACKET_FRAMES);
        let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX) / TICKS_PER_FRAME;
        let start = self.delay.min(frames);
        self.delay -= start;
        let end = frames.saturating_sub(padding);
        if start < end {
            out.extend_from_slice(&self.pcm[start * self.channels..end * self.channels]);
        }
        Ok(())
    }
}
