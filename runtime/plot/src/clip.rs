//! The sound that a page plays.

use std::io::{self, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use ossicle::audio::SAMPLE_RATE;

/// Longest sound that is kept, in seconds: ten minutes, a page of 26 MB.
pub const MOST_SECONDS: usize = 600;

/// What was heard, as 16-bit samples at 16 kHz; nothing once it is too long.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    samples: Vec<i16>,
    too_long: bool,
}

impl Clip {
    /// Takes samples; full scale is 1.
    pub fn push(&mut self, samples: &[f32]) {
        self.too_long |= self.samples.len() + samples.len() > MOST_SECONDS * SAMPLE_RATE as usize;
        if self.too_long {
            self.samples = vec![];
        } else {
            self.samples.extend(samples.iter().map(|x| (x * 32768.0).round_ties_even().clamp(-32768.0, 32767.0) as i16));
        }
    }

    /// Whether there was more than [`MOST_SECONDS`].
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// A wav file in base64.
    pub(crate) fn write_base64(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut encoder = EncoderWriter::new(out, &STANDARD);
        let bytes = 2 * self.samples.len() as u32;
        for part in [&b"RIFF"[..], &(36 + bytes).to_le_bytes(), b"WAVEfmt ", &16u32.to_le_bytes(), &[1, 0, 1, 0]] {
            encoder.write_all(part)?;
        }
        for part in [&SAMPLE_RATE.to_le_bytes()[..], &(2 * SAMPLE_RATE).to_le_bytes(), &[2, 0, 16, 0], b"data", &bytes.to_le_bytes()] {
            encoder.write_all(part)?;
        }
        for block in self.samples.chunks(4096) {
            encoder.write_all(&block.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>())?;
        }
        encoder.finish()?;
        Ok(())
    }
}
