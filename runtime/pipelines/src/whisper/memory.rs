//! What a transcription needs of memory, known before anything runs.
//!
//! Each part is an upper bound: weights and program count as if every page of them were touched, texts and windows as if they had their
//! greatest length. Two things are not bounded by it, as they grow with the recording: the index of an m4a that comes as a stream (some
//! 10 KB a minute) and the text of a JSON transcript (some 1 KB a minute); [`Memory::audio`] holds room for five hours of either.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ossicle_frontend::mel::MelScratch;
use ossicle_models::MemoryPlan;
use ossicle_models::folder::{FolderError, ModelFolder, WhisperConfig};
use ossicle_models::whisper::{Options as GraphOptions, WhisperGraph};
use ossicle_models::{GraphError, MAX_THREADS};

use super::config::GenerationConfig;
use super::options::TranscribeOptions;
use super::slider;

/// Mel frames that become one position of the encoder.
const FRAMES_PER_POSITION: usize = 2;

/// Stack that a thread touches: 108 KB were measured on the main thread, less on others.
const STACK_BYTES: usize = 256 << 10;

/// Decoders of compressed audio, blocks of samples, the resampler, and what grows with the recording, see the module.
const READER_BYTES: usize = 3_500_000;

/// tract's bookkeeping for the encoder and up to 20 decoder graphs, tensor names, parsed headers.
const BOOKKEEPING_BYTES: usize = 1_000_000;

/// Bytes that each recording takes more which is transcribed beside others: its samples, and what reads it.
pub const BESIDE_BYTES: usize = 4 * slider::CAPACITY + READER_BYTES;

/// Width of a head.
const HEAD: usize = ossicle_kernels::attention::HEAD;

/// Tokens around the text in an alignment: start, language, task, "no timestamps", end.
pub(super) const ALIGNED_PROMPT: usize = 5;

/// Program and libraries where the system does not say how large they are: 17.1 MB are mapped on x86-64.
const PROGRAM_BYTES: usize = 18_000_000;

/// What to plan for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How the network runs.
    pub options: GraphOptions,
    /// Mel frames of the longest window.
    pub frames: usize,
    /// Whether word times are wanted.
    pub words: bool,
    /// Whether texts are searched among sentences, side by side.
    pub lanes: bool,
    /// What others need in the same process, such as a detector of sound events.
    pub others: usize,
    /// Code and constants, see [`program_bytes`].
    pub program: usize,
}

/// Upper bounds in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, buffers of the graphs, keys and values.
    pub network: MemoryPlan,
    /// The vocabulary while it is read, and logits.
    pub vocabulary: usize,
    /// Samples and features of a window, and decoders of audio files.
    pub audio: usize,
    /// Queries of a window's text, one head's cross-attention weights and their alignment.
    pub words: usize,
    /// Stacks of all threads.
    pub stacks: usize,
    /// What others need in the same process.
    pub others: usize,
    /// Code and constants of the program and its libraries.
    pub program: usize,
    /// What the allocator loses between blocks of changing sizes, and bookkeeping.
    pub allocator: usize,
}

impl Memory {
    /// Plans for the model in `folder`.
    ///
    /// # Errors
    /// If its weights, `generation_config.json` or `tokenizer.json` cannot be used.
    pub fn plan(folder: &Arc<ModelFolder<WhisperConfig>>, request: Request) -> Result<Self, GraphError> {
        let config = folder.config();
        let positions = (request.frames / FRAMES_PER_POSITION).min(config.max_source_positions);
        let mut network = WhisperGraph::memory_plan(folder, request.options, positions)?;
        if request.lanes {
            network.state += WhisperGraph::lane_bytes(folder);
        }
        let tokenizer = folder.file_bytes("tokenizer.json")?;
        let vocabulary = vocabulary_bytes(tokenizer, config.vocab_size);
        let features = 4 * request.frames * config.num_mel_bins + size_of::<MelScratch>();
        // Without word times it serves texts that repeat themselves.
        let words = word_bytes(folder, positions)?;
        let audio = 4 * slider::CAPACITY + features + READER_BYTES;
        // Freed blocks of one window size do not always serve the next: an eighth was never reached in measurements.
        let allocator = BOOKKEEPING_BYTES + (network.buffers + words) / 8;
        let stacks = request.options.threads.clamp(1, MAX_THREADS) * STACK_BYTES;
        let Request { others, program, .. } = request;
        Ok(Self { network, vocabulary, audio, words, stacks, others, program, allocator })
    }

    /// The parts with their names, largest scope first.
    pub fn parts(&self) -> [(&'static str, usize); 10] {
        let Self { network, vocabulary, audio, words, stacks, others, program, allocator } = *self;
        [
            ("weights", network.weights),
            ("buffers", network.buffers),
            ("caches", network.state),
            ("vocabulary", vocabulary),
            ("audio", audio),
            ("words", words),
            ("stacks", stacks),
            ("others", others),
            ("program", program),
            ("allocator", allocator),
        ]
    }

    /// All of it: the peak resident memory is never more.
    pub fn total(&self) -> usize {
        self.parts().iter().map(|part| part.1).sum()
    }
}

/// The file's text, the pieces read from it (a quarter of it is set aside) with their spans, and four vectors of logits.
fn vocabulary_bytes(tokenizer_json: usize, vocab_size: usize) -> usize {
    tokenizer_json + tokenizer_json / 4 + 8 * vocab_size.next_power_of_two() + 4 * 4 * vocab_size
}

/// For each token and position two f32 of the aligner and a byte of its path, for each position two f64; for each head and token of any text a query and its scale.
fn word_bytes(folder: &ModelFolder<WhisperConfig>, positions: usize) -> Result<usize, FolderError> {
    let text = folder.read_text("generation_config.json")?;
    let heads = GenerationConfig::from_json(&text).map_or(0, |config| config.alignment_heads.len());
    let tokens = TranscribeOptions::default().max_new_tokens + ALIGNED_PROMPT;
    Ok(tokens * positions * 9 + 16 * positions + heads * folder.config().max_target_positions * (HEAD + 4))
}

/// Bytes of code and constants mapped into this process, whether or not they have been touched.
pub fn program_bytes() -> usize {
    fs::read_to_string("/proc/self/maps").map_or(PROGRAM_BYTES, |maps| mapped_program(&maps))
}

/// Of the files mapped, those with code.
fn mapped_program(maps: &str) -> usize {
    // A line such as "55d0c0a00000-55d0c0b00000 r-xp 00100000 08:01 1234    /usr/bin/ossicle".
    let mapping = |line: &str| {
        let mut fields = line.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let bytes = usize::from_str_radix(to, 16).ok()?.checked_sub(usize::from_str_radix(from, 16).ok()?)?;
        let executable = fields.next()?.contains('x');
        let path = fields.last()?.trim();
        Path::new(path).is_absolute().then(|| (path.to_owned(), bytes, executable))
    };
    let mappings: Vec<_> = maps.lines().filter_map(mapping).collect();
    let has_code = |path: &str| mappings.iter().any(|(other, _, executable)| *executable && other == path);
    mappings.iter().filter(|(path, ..)| has_code(path)).map(|(_, bytes, _)| bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_every_mapping_of_files_with_code() {
        let maps = "\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 1234                       /usr/bin/my program
55d0c0a01000-55d0c0a04000 r-xp 00001000 08:01 1234                       /usr/bin/my program
55d0c0b00000-55d0c0c00000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000100000 r--s 00000000 08:01 99                         /models/model.safetensors
7f0000200000-7f0000201000 rw-p 00000000 00:00 0
7f0000300000-7f0000302000 r-xp 00000000 00:00 0                          [vdso]
";
        assert_eq!(mapped_program(maps), 0x4000);
        assert_eq!(mapped_program("nonsense\n-\n5-3 r-xp 0 0 0 /x\n"), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_program_has_code() {
        assert!((100_000..1 << 30).contains(&program_bytes()), "{}", program_bytes());
    }
}
