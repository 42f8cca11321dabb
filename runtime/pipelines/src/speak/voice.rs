//! A voice, and what it says.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ossicle_frontend::vocoder::{BATCH, FRAME_VALUES, HOP_SAMPLES, Vocoder};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::{MappedFile, ModelFolder};
use ossicle_models::hibari::{CHUNK, HibariConfig, HibariGraph};
use ossicle_models::{MemoryPlan, Options};
use ossicle_phonemes::Phonemizer;
use ossicle_trace::{Tap, Tensor, Values};

use super::{SpeakError, clauses};

pub use ossicle_frontend::vocoder::SAMPLE_RATE;

/// The phoneme around each clause.
const PAD: u32 = 0;

/// Frames that come at once at most: a chunk's, and the two that the vocoder is late by.
const FRAMES: usize = 2 * CHUNK + 2;

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How fast, 0.5 to 2; 1 is the voice's own pace.
    pub speed: f32,
    /// Whose noise is in it: the same phonemes, speed and seed give the same samples.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { speed: 1.0, seed: 0 }
    }
}

/// A voice ready to speak.
pub struct Voice {
    graph: HibariGraph,
    vocoder: Box<Vocoder>,
    symbols: HashMap<char, u32>,
    phonemizer: Option<Phonemizer>,
    phonemizer_bytes: usize,
    isa: Isa,
    phonemes: Vec<u32>,
    samples: Vec<f32>,
    tap: Option<Arc<dyn Tap>>,
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl Voice {
    /// Opens a model folder.
    ///
    /// # Errors
    /// [`SpeakError`] if it is no voice, or a damaged one.
    pub fn open(path: &Path, options: Options) -> Result<Self, SpeakError> {
        Self::open_within(path, options, 1 << 30)
    }

    /// As [`open`](Self::open), refusing what needs more than `most` bytes of buffers before any is allocated.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_within(path: &Path, options: Options, most: usize) -> Result<Self, SpeakError> {
        let folder: Arc<ModelFolder<HibariConfig>> = ModelFolder::open(path).map_err(SpeakError::Folder)?;
        let symbols = symbols(&folder)?;
        let (phonemizer, phonemizer_bytes) = phonemizer(folder.path())?.map_or((None, 0), |(one, bytes)| (Some(one), bytes));
        let graph = HibariGraph::new_within(folder, options, most)?;
        let tokens = graph.config().max_tokens;
        let samples = vec![0.0; FRAMES * HOP_SAMPLES];
        Ok(Self {
            graph,
            vocoder: Box::new(Vocoder::new()),
            symbols,
            phonemizer,
            phonemizer_bytes,
            isa: options.isa,
            phonemes: Vec::with_capacity(tokens),
            samples,
            tap: None,
        })
    }

    /// Memory in use from the start; what is to be said comes on top. Weights are the network's, and what says how text is pronounced.
    pub fn memory_plan(&self) -> MemoryPlan {
        let plan = self.graph.memory_plan();
        let plan = MemoryPlan { weights: plan.weights + self.phonemizer_bytes, ..plan };
        let own = size_of::<Vocoder>() + self.samples.len() * size_of::<f32>() + self.phonemes.capacity() * size_of::<u32>();
        MemoryPlan { state: plan.state + own, ..plan }
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }

    /// How a text is said: a line of phonemes for each of its sentences, and the words that cannot be said.
    ///
    /// # Errors
    /// [`SpeakError::NoText`] if the voice says phonemes only.
    pub fn pronounce(&self, text: &str) -> Result<Pronounced, SpeakError> {
        let phonemizer = self.phonemizer.as_ref().ok_or(SpeakError::NoText)?;
        let mut out = Pronounced::default();
        for clause in phonemizer.phonemize(text) {
            let known = |symbol: &char| self.symbols.contains_key(symbol);
            // What the voice never learned, as in a pronunciation of one's own, is told like a word that nobody can say.
            out.left_out.extend(clause.phonemes.chars().filter(|symbol| !known(symbol)).map(String::from));
            out.phonemes.extend(clause.phonemes.chars().filter(known));
            out.phonemes.push('\n');
            out.left_out.extend(clause.left_out);
        }
        Ok(out)
    }

    /// Says a text, sentence by sentence. Nothing is computed before samples are asked for.
    ///
    /// # Errors
    /// As [`pronounce`](Self::pronounce) and [`speak_phonemes`](Self::speak_phonemes).
    pub fn speak(&mut self, text: &str, settings: Settings) -> Result<Speech<'_>, SpeakError> {
        let Pronounced { phonemes, .. } = self.pronounce(text)?;
        self.speak_phonemes(&phonemes, settings)
    }

    /// Says phonemes, misaki's alphabet, stress marks and signs included; each line by itself, lines of more than 400 in several pieces.
    /// Nothing is computed before samples are asked for.
    ///
    /// # Errors
    /// [`SpeakError::Phoneme`] for what the voice does not know, [`SpeakError::Speed`].
    pub fn speak_phonemes(&mut self, text: &str, settings: Settings) -> Result<Speech<'_>, SpeakError> {
        if !(0.5..=2.0).contains(&settings.speed) {
            return Err(SpeakError::Speed(settings.speed));
        }
        let unknown = text.chars().enumerate().find(|(_, symbol)| *symbol != '\n' && !self.symbols.contains_key(symbol));
        if let Some((at, symbol)) = unknown {
            return Err(SpeakError::Phoneme { symbol, at });
        }
        // The two around them are not among them.
        let clauses = clauses::split(text, self.graph.config().max_tokens - 2);
        let clauses = clauses.into_iter().map(|range| text[range].chars().map(|symbol| self.symbols[&symbol]).collect());
        Ok(Speech { clauses: clauses.collect::<Vec<_>>().into_iter(), settings, spoken: 0, left: 0, voice: self })
    }
}

/// How a text is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pronounced {
    /// A line for each sentence.
    pub phonemes: String,
    /// Words whose letters are not known, such as Chinese ones, and phonemes that the voice does not know.
    pub left_out: Vec<String>,
}

/// How text is pronounced, if the folder says so, and the bytes of that.
fn phonemizer(folder: &Path) -> Result<Option<(Phonemizer, usize)>, SpeakError> {
    let path = folder.join("phonemes.bin");
    if !path.is_file() {
        return Ok(None);
    }
    let wrong = |problem: String| SpeakError::Phonemes { path: path.clone(), problem };
    let bytes = MappedFile::open(&path).map_err(SpeakError::Folder)?;
    let length = bytes.len();
    Phonemizer::from_bytes(bytes).map(|phonemizer| Some((phonemizer, length))).map_err(|error| wrong(error.to_string()))
}

/// Numbers of phonemes, from `vocab.json`.
fn symbols(folder: &ModelFolder<HibariConfig>) -> Result<HashMap<char, u32>, SpeakError> {
    const FILE: &str = "vocab.json";
    let malformed = |problem: String| SpeakError::Symbols { path: folder.path().join(FILE), problem };
    let text = folder.read_text(FILE).map_err(SpeakError::Folder)?;
    let symbols: HashMap<char, u32> = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let size = folder.config().vocab_size;
    match symbols.iter().find(|(_, number)| **number as usize >= size) {
        Some((symbol, number)) => Err(malformed(format!("{symbol:?} is {number}, beyond the vocabulary of {size}"))),
        None => Ok(symbols),
    }
}

/// What a voice says, chunk by chunk: [`next_chunk`](Self::next_chunk) without copies, or as an iterator. All chunks together are the same
/// samples whatever the machine and the number of threads.
#[derive(Debug)]
pub struct Speech<'v> {
    voice: &'v mut Voice,
    clauses: std::vec::IntoIter<Vec<u32>>,
    settings: Settings,
    /// Clauses begun.
    spoken: u32,
    /// Frames of the clause that are still to come.
    left: usize,
}

impl Speech<'_> {
    /// The same, with the noise of a text of which so many clauses have been said already: a text that is said line by line has the samples of
    /// one that is said at once.
    #[must_use]
    pub fn after(self, clauses: u32) -> Self {
        Self { spoken: clauses, ..self }
    }

    /// Clauses begun so far, those before it included.
    pub fn clauses(&self) -> u32 {
        self.spoken
    }

    /// The next samples, 24 kHz, full scale at 1; at most 1.2 s of them. None behind the last.
    ///
    /// # Errors
    /// [`SpeakError::Graph`] and [`SpeakError::Vocoder`]: bugs.
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>, SpeakError> {
        let voice = &mut *self.voice;
        loop {
            if self.left == 0 {
                let Some(clause) = self.clauses.next() else { return Ok(None) };
                voice.phonemes.clear();
                voice.phonemes.extend(std::iter::once(PAD).chain(clause).chain(std::iter::once(PAD)));
                self.left = voice.graph.begin(&voice.phonemes, self.settings.speed)?;
                voice.vocoder.start(self.left, self.settings.seed, self.spoken)?;
                self.spoken = self.spoken.wrapping_add(1);
            }
            let Some(chunk) = voice.graph.next_chunk()? else {
                self.left = 0;
                continue;
            };
            voice.vocoder.push_pitch(chunk.pitch)?;
            let mut count = 0;
            for batch in chunk.spectra.chunks(BATCH * FRAME_VALUES) {
                count += voice.vocoder.run(voice.isa, batch, &mut voice.samples[count..])?;
            }
            self.left = voice.vocoder.left();
            if count > 0 {
                if let Some(tap) = &voice.tap {
                    let values = Values::F32(&voice.samples[..count]);
                    tap.tensor(&Tensor { op: "hibari.samples", kernel: "Vocoder", part: "", shape: &[count], values });
                }
                return Ok(Some(&voice.samples[..count]));
            }
        }
    }
}

impl Iterator for Speech<'_> {
    type Item = Result<Vec<f32>, SpeakError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_chunk().map(|chunk| chunk.map(<[f32]>::to_vec)).transpose()
    }
}
