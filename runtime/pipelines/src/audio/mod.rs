//! Recordings and live streams as mono 16 kHz samples.
//!
//! Memory is bounded whatever the length: a source is pulled, block after block. The format is told by content, never by name. Nothing here
//! panics on any bytes; whatever is wrong becomes an [`AudioError`] that says what, where and, by [`AudioError::remedy`], what would be right.
//!
//! | container | encodings | through |
//! |---|---|---|
//! | wav | 8-bit unsigned, 16, 24 and 32-bit integer, 32-bit float | hound |
//! | wav | 64-bit float, A-law, mu-law | symphonia |
//! | aiff, caf, au | the same, and big-endian | hound, symphonia |
//! | flac | flac | symphonia |
//! | mp3 | MPEG layers I to III | symphonia |
//! | aac | AAC-LC with ADTS headers | symphonia |
//! | m4a, mp4, mov | AAC-LC, ALAC, opus, flac, mp3; in mov the same as wav and aiff | symphonia, ropus |
//! | ogg | vorbis, flac, opus | symphonia, ropus |
//! | webm, mkv | opus, vorbis, flac, AAC-LC, ALAC, mp3, integers, 32-bit float | symphonia, ropus |
//! | raw | signed 16, 24 and 32-bit, 32-bit float, little-endian; unsigned 8-bit; A-law, mu-law | hound, symphonia |
//!
//! A recording from which something is missing is read as far as it goes; [`AudioReader::damage`] then says what is missing. Where ogg, flac,
//! webm and mkv say how long a gap is, silence takes its place. Tags, pictures and comments are passed over unread, and the index of an m4a
//! file is read as it is needed.
//!
//! Channels are averaged, unless two of them cancel each other out: then the first is taken. Opus is decoded at 16 kHz by the codec; any other rate goes through the front end's resampler.
//!
//! ```
//! use ossicle::audio::AudioReader;
//! use ossicle_kernels::simd::Isa;
//!
//! let raw: Vec<u8> = [0i16, 8192, -8192].iter().flat_map(|s| s.to_le_bytes()).collect();
//! let mut source = AudioReader::raw(std::io::Cursor::new(raw), 16_000, Isa::detect())?;
//! let mut samples = [0.0; 8];
//! assert_eq!(source.read(&mut samples)?, 3);
//! assert_eq!(samples[..3], [0.0, 0.25, -0.25]);
//! assert_eq!(source.read(&mut samples)?, 0);
//! # Ok::<(), ossicle::audio::AudioError>(())
//! ```

mod bytes;
mod codec;
mod compressed;
mod counting;
mod damage;
mod decoder;
mod ebml;
mod error;
mod flac;
mod format;
mod head;
mod matroska;
mod matroska_track;
mod mix;
mod mp3;
mod mp4;
mod mpeg;
mod ogg;
mod ogg_pages;
mod ogg_stream;
#[cfg(feature = "opus")]
mod opus;
mod opus_head;
mod pcm;
mod pcm_decoder;
mod pcm_headers;
mod reader;
mod riff;
mod riff_tail;
mod silence;
mod sniff;
mod vorbis_bits;
mod vorbis_books;

pub use damage::Damage;
pub use error::AudioError;
pub use pcm::{Encoding, Pcm};
pub use reader::{AudioInfo, AudioReader};
pub use sniff::Container;

/// What the names of recordings end with that are read here, without the point.
pub const ENDINGS: [&str; 29] = [
    "wav", "wave", "bwf", "bw64", "rf64", "w64", "flac", "mp3", "mp2", "mpga", "ogg", "oga", "opus", "m4a", "m4b", "mp4", "m4v", "mov",
    "aac", "webm", "weba", "mkv", "mka", "aif", "aiff", "aifc", "caf", "au", "snd",
];

/// Whether a file's name ends like a recording's.
pub fn has_audio_ending(path: &std::path::Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Rate of everything a source gives, in samples per second.
pub const SAMPLE_RATE: u32 = ossicle_frontend::SAMPLE_RATE;
/// Lowest rate of a recording.
pub const MIN_RATE_HZ: u32 = ossicle_frontend::resample::MIN_RATE;
/// Highest rate of a recording.
pub const MAX_RATE_HZ: u32 = ossicle_frontend::resample::MAX_RATE;
/// Most channels of a recording.
pub const MAX_CHANNELS: usize = 32;
/// Largest magnitude of a floating-point sample; full scale is 1.
pub const MAX_AMPLITUDE: f32 = ossicle_frontend::samples::MAX_MAGNITUDE;
