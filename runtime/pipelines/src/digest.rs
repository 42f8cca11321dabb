//! What a pipeline computed, handed to SHA-256 digests and to traces, to compare two machines without moving the data.

use std::sync::Arc;

use ossicle_trace::{Step, Tap, Tensor, Values, le_bytes};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Lower-case hexadecimal SHA-256 of each stage of a transcription, over all windows and attempts in the order they were computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// Every log-mel window fed to the encoder: f32, little endian, frame after frame.
    pub mel: String,
    /// Every encoder output: f32, little endian, position after position.
    pub encoder: String,
    /// Every row of logits, before any masking: f32, little endian.
    pub logits: String,
    /// Every token chosen, rejected attempts included: u32, little endian.
    pub tokens: String,
    /// Every label's score in every cell of 40 ms, if events are heard: f32, little endian.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
}

/// Collects [`Digests`], and hands a trace what is computed outside the network; does nothing while both are off.
#[derive(Clone, Debug, Default)]
pub struct DigestTaps {
    hashers: Option<Box<Hashers>>,
    trace: Option<Arc<dyn Tap>>,
}

#[derive(Clone, Debug, Default)]
struct Hashers {
    mel: Sha256,
    encoder: Sha256,
    logits: Sha256,
    tokens: Sha256,
}

impl DigestTaps {
    /// Collects if `on`.
    pub fn new(on: bool) -> Self {
        Self { hashers: on.then(Box::default), trace: None }
    }

    /// Also hands everything to `trace`.
    pub fn with_trace(self, trace: Option<Arc<dyn Tap>>) -> Self {
        Self { trace, ..self }
    }

    /// A window of samples begins, at `seek` frames of 10 ms.
    pub fn window(&self, seek: u64, frames: usize, samples: &[f32]) {
        self.step("window", seek, frames);
        self.tensor("audio", "AudioReader", "", &[samples.len()], Values::F32(samples));
    }

    /// Adds a mel window, `[frames][bands]`.
    pub fn mel(&mut self, values: &[f32], bands: usize) {
        if let Some(h) = &mut self.hashers {
            update_f32(&mut h.mel, values);
        }
        let frames = values.len() / bands.max(1);
        self.step("mel", 0, frames);
        self.tensor("mel", "LogMel", "", &[frames, bands], Values::F32(values));
    }

    /// The probability that nobody speaks, after a prompt.
    pub fn no_speech(&self, probability: f32) {
        self.tensor("text.no_speech_prob", "Softmax", "", &[1], Values::F32(&[probability]));
    }

    /// One attempt at a window's text, the end of text left out.
    pub fn attempt(&self, index: usize, tokens: &[u32], logprobs: &[f32], avg_logprob: f32) {
        self.step("text", index as u64, tokens.len());
        self.tensor("text.tokens", "Choice", "", &[tokens.len()], Values::U32(tokens));
        self.tensor("text.logprobs", "LogSumExp", "", &[logprobs.len()], Values::F32(logprobs));
        self.tensor("text.avg_logprob", "LogSumExp", "", &[1], Values::F32(&[avg_logprob]));
    }

    /// The times of a segment and of its words, start and end in units of 10 ms.
    pub fn times(&self, segment: usize, centiseconds: impl Iterator<Item = [i32; 2]>) {
        if self.trace.is_some() {
            let times: Vec<i32> = centiseconds.flatten().collect();
            self.step("segment", segment as u64, times.len() / 2);
            self.tensor("segment.times", "Segments", "", &[times.len() / 2, 2], Values::I32(&times));
        }
    }

    fn step(&self, stage: &str, at: u64, count: usize) {
        if let Some(trace) = &self.trace {
            trace.step(Step { stage, at, count: count as u32 });
        }
    }

    fn tensor(&self, op: &str, kernel: &str, part: &str, shape: &[usize], values: Values<'_>) {
        if let Some(trace) = &self.trace {
            trace.tensor(&Tensor { op, kernel, part, shape, values });
        }
    }

    /// Adds an encoder output.
    pub fn encoder(&mut self, values: &[f32]) {
        if let Some(h) = &mut self.hashers {
            update_f32(&mut h.encoder, values);
        }
    }

    /// Adds rows of logits.
    pub fn logits(&mut self, values: &[f32]) {
        if let Some(h) = &mut self.hashers {
            update_f32(&mut h.logits, values);
        }
    }

    /// Adds a token.
    pub fn token(&mut self, token: u32) {
        if let Some(h) = &mut self.hashers {
            h.tokens.update(token.to_le_bytes());
        }
    }

    /// The digests so far, if collecting.
    pub fn finish(&self) -> Option<Digests> {
        let h = self.hashers.as_deref()?;
        Some(Digests { mel: hex(&h.mel), encoder: hex(&h.encoder), logits: hex(&h.logits), tokens: hex(&h.tokens), events: None })
    }
}

fn update_f32(hasher: &mut Sha256, values: &[f32]) {
    le_bytes(Values::F32(values), |bytes| hasher.update(bytes));
}

fn hex(hasher: &Sha256) -> String {
    ossicle_trace::hex(&hasher.clone().finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let mut taps = DigestTaps::new(true);
        let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        taps.mel(&values[..300], 100);
        taps.mel(&values[300..], 100);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(taps.finish().unwrap().mel, ossicle_trace::sha256_hex(&bytes[..]).unwrap());
        assert_eq!(taps.finish().unwrap().tokens, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn off_gives_nothing() {
        let mut taps = DigestTaps::new(false);
        taps.token(1);
        assert_eq!(taps.finish(), None);
    }
}
