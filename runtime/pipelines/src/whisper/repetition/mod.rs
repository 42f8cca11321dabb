//! Texts that repeat themselves: how repetitive they are, and whether a copy was said or made up.

mod copies;
mod judge;

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params};

/// The longest phrase, in tokens, that counts as a loop when repeated.
const MAX_PERIOD: usize = 32;
/// A loop has at least this many rounds of its phrase ...
const MIN_ROUNDS: usize = 5;
/// ... and at least this many tokens.
const MIN_LOOP_TOKENS: usize = 24;

/// A zlib compressor that says how well texts compress; its memory, 0.3 MB, is taken once.
///
/// It is pure Rust, so the figure is the same everywhere; openai-whisper uses zlib itself, whose figure differs by a few per cent.
pub struct Compressor(Box<CompressorOxide>);

impl Default for Compressor {
    fn default() -> Self {
        const LEVEL: i32 = 6;
        const WITH_ZLIB_HEADER: i32 = 1;
        Self(Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, WITH_ZLIB_HEADER, 0))))
    }
}

impl Compressor {
    /// Bytes of `text` divided by its bytes after compression; repeated phrases compress well. 0 for an empty text.
    pub fn ratio(&mut self, text: &str) -> f32 {
        self.0.reset();
        let mut compressed = 0;
        compress_to_output(&mut self.0, text.as_bytes(), TDEFLFlush::Finish, |bytes| {
            compressed += bytes.len();
            true
        });
        text.len() as f32 / compressed as f32
    }
}

/// Whether `tokens` (text only) end in the same phrase over and over. Such a text never ends by itself.
///
/// Five rounds and 24 tokens put the compression ratio of the text above its usual threshold too, so stopping here only saves time.
pub fn ends_in_loop(tokens: &[u32]) -> bool {
    (1..=MAX_PERIOD).any(|period| {
        let needed = (period * MIN_ROUNDS).max(MIN_LOOP_TOKENS);
        let Some(start) = tokens.len().checked_sub(needed) else { return false };
        let tail = &tokens[start..];
        tail[period..] == tail[..tail.len() - period]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_compress_and_speech_does_not() {
        let speech = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.";
        let mut compressor = Compressor::default();
        assert!(compressor.ratio(speech) < 1.7, "{}", compressor.ratio(speech));
        assert!(compressor.ratio(&"I don't know. ".repeat(12)) > 2.4);
        assert!(compressor.ratio(&"you ".repeat(24)) > 2.4);
        assert_eq!(compressor.ratio(""), 0.0);
        for text in [speech, &speech[..7], &speech.repeat(1000)] {
            let whole = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
            assert_eq!(compressor.ratio(text), text.len() as f32 / whole.len() as f32, "a used compressor is as good as a new one");
        }
    }

    #[test]
    fn finds_loops_of_any_period_and_nothing_else() {
        for period in 1..=MAX_PERIOD as u32 {
            let rounds = (MIN_LOOP_TOKENS as u32).div_ceil(period).max(MIN_ROUNDS as u32);
            let tokens: Vec<u32> = (0..40).map(|i| 1000 + i).chain((0..rounds).flat_map(|_| 0..period)).collect();
            assert!(ends_in_loop(&tokens), "{period}");
            assert!(!ends_in_loop(&tokens[..tokens.len() - period as usize]) || period < 5, "{period}");
        }
        assert!(!ends_in_loop(&(0..200).collect::<Vec<_>>()));
        assert!(!ends_in_loop(&[]));
        // Spoken digits: "three three three three three".
        assert!(!ends_in_loop(&[3; 12]));
    }
}
