//! A voice, and what it says.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ossicle_models::folder::{MappedFile, ModelConfig, ModelFolder};
use ossicle_models::hibari::{HibariConfig, HibariGraph};
use ossicle_models::kokoro::{KokoroConfig, KokoroGraph};
use ossicle_models::vits::{VitsConfig, VitsGraph};
use ossicle_models::{MemoryPlan, Options};
use ossicle_phonemes::Phonemizer;
use ossicle_trace::Tap;

use super::espeak::Espeak;
use super::kokoro::{Breaks, Kokoro};
use super::synth::{Around, Hibari, Synth, Vits};
use super::{SpeakError, american, clauses};

/// Symbols of Piper's voices around a clause and between its phonemes.
const AROUND: [char; 3] = ['^', '_', '$'];

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How fast, 0.5 to 2; 1 is the voice's own pace.
    pub speed: f32,
    /// Whose noise is in it: the same phonemes, speed and seed give the same samples.
    pub seed: u64,
    /// Which of the model's [`voices`](Voice::voices) says it; none is the one that was chosen last.
    pub voice: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { speed: 1.0, seed: 0, voice: None }
    }
}

/// What knows how text is pronounced.
enum Words {
    /// Nothing: the voice says phonemes only.
    None,
    /// Lexicons and networks, and how the voice writes what they say.
    Lexicon(Box<Phonemizer>, fn(&str) -> String),
    /// The program `espeak-ng`.
    Espeak(Espeak),
}

/// A voice ready to speak.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// let mut voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
/// let mut speech = voice.speak("Hello.", ossicle::speak::Settings::default())?;
/// let mut samples = vec![];
/// while let Some(chunk) = speech.next_chunk()? {
///     samples.extend_from_slice(chunk);
/// }
/// assert!(!samples.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Voice {
    synth: Box<dyn Synth>,
    symbols: HashMap<char, u32>,
    words: Words,
    /// Bytes of lexicons.
    words_bytes: usize,
    language: Option<String>,
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("rate", &self.sample_rate()).field("language", &self.language).finish_non_exhaustive()
    }
}

impl Voice {
    /// Opens a model folder: of the kind `hibari`, `kokoro` or `vits`.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let kind = crate::models::info(path).map(|info| info.kind).unwrap_or_default();
        match kind.as_str() {
            VitsConfig::KIND => Self::vits(path, options, most),
            KokoroConfig::KIND => Self::kokoro(path, options, most),
            _ => Self::hibari(path, options, most),
        }
    }

    fn hibari(path: &Path, options: Options, most: usize) -> Result<Self, SpeakError> {
        let folder: Arc<ModelFolder<HibariConfig>> = ModelFolder::open(path).map_err(SpeakError::Folder)?;
        let symbols = symbols(&folder, folder.config().vocab_size)?;
        let (words, words_bytes) = words(folder.path())?;
        let synth = Box::new(Hibari::new(HibariGraph::new_within(folder, options, most)?, options.isa));
        Ok(Self { synth, symbols, words, words_bytes, language: Some("en-US".into()) })
    }

    fn kokoro(path: &Path, options: Options, most: usize) -> Result<Self, SpeakError> {
        let folder: Arc<ModelFolder<KokoroConfig>> = ModelFolder::open(path).map_err(SpeakError::Folder)?;
        let symbols = symbols(&folder, folder.config().vocab_size)?;
        let (words, words_bytes) = words(folder.path())?;
        let breaks: Breaks = clauses::CUTS.map(|signs| signs.iter().filter_map(|sign| symbols.get(sign).copied()).collect());
        let synth = Box::new(Kokoro::new(KokoroGraph::new_within(folder, options, most)?, breaks));
        Ok(Self { synth, symbols, words, words_bytes, language: Some("en-US".into()) })
    }

    fn vits(path: &Path, options: Options, most: usize) -> Result<Self, SpeakError> {
        let folder: Arc<ModelFolder<VitsConfig>> = ModelFolder::open(path).map_err(SpeakError::Folder)?;
        let config = folder.config();
        let mut symbols = symbols(&folder, config.vocab_size)?;
        let around = AROUND.map(|symbol| symbols.remove(&symbol));
        let [Some(begin), Some(between), Some(end)] = around else {
            let problem = format!("one of {AROUND:?}, which are around clauses, is missing");
            return Err(SpeakError::Symbols { path: path.join(VOCABULARY), problem });
        };
        let (words, words_bytes) = match (phonemizer(folder.path())?, config.espeak_voice.as_deref()) {
            (Some((phonemizer, bytes)), _) => (Words::Lexicon(Box::new(phonemizer), american::ipa), bytes),
            (None, Some(voice)) => (Words::Espeak(Espeak::new(voice)), 0),
            (None, None) => (Words::None, 0),
        };
        let language = config.language.clone();
        let synth = Box::new(Vits::new(VitsGraph::new_within(folder, options, most)?, Around { begin, between, end }));
        Ok(Self { synth, symbols, words, words_bytes, language })
    }

    /// Names of the voices of a model that has several; none of one that has one.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// assert!(voice.voices().is_empty(), "it is one voice only");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn voices(&self) -> &[String] {
        self.synth.voices()
    }

    /// Speaks in another of the model's voices from now on, or in a mixture of them: names with commas between them, each maybe with a colon and how
    /// much of it there is, such as `af_heart:0.7,am_adam:0.3`.
    ///
    /// # Errors
    /// [`SpeakError::Voices`] if the model has no such voices, or no number follows a colon.
    pub fn choose(&mut self, mixture: &str) -> Result<(), SpeakError> {
        let wrong = |problem: String| SpeakError::Voices(problem);
        let parts = mixture.split(',').map(|part| {
            let (name, part) = part.split_once(':').unwrap_or((part, "1"));
            let number = part.parse().ok().filter(|part: &f32| part.is_finite() && *part > 0.0);
            Ok((name, number.ok_or_else(|| wrong(format!("{part:?} of {name}: give a number above 0")))?))
        });
        let parts = parts.collect::<Result<Vec<_>, SpeakError>>()?;
        let voices = self.voices();
        if voices.is_empty() {
            return Err(wrong("this model has one voice: leave the name of a voice out".into()));
        }
        if let Some((name, _)) = parts.iter().find(|(name, _)| !voices.iter().any(|voice| voice == name)) {
            return Err(wrong(format!("no voice {name:?}: give one of {}", voices.join(", "))));
        }
        Ok(self.synth.choose(&parts)?)
    }

    /// Samples a second of what it says.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// assert!(voice.sample_rate() >= 16_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sample_rate(&self) -> u32 {
        self.synth.sample_rate()
    }

    /// The tag of its language, such as `en-US`, where that is known.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// println!("{:?}", voice.language());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Memory in use from the start; what is to be said comes on top. Weights are the network's, and what says how text is pronounced.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// assert!(voice.memory_plan().total() < 200_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_plan(&self) -> MemoryPlan {
        let plan = self.synth.memory_plan();
        MemoryPlan { weights: plan.weights + self.words_bytes, ..plan }
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.synth.set_tap(tap);
    }

    /// How a text is said: a line of phonemes for each of its sentences, and the words that cannot be said. Of an empty text it is only seen whether
    /// texts can be said.
    ///
    /// # Errors
    /// [`SpeakError::NoText`] if the voice says phonemes only, [`SpeakError::Espeak`] if the program that it needs is not there or fails.
    pub fn pronounce(&self, text: &str) -> Result<Pronounced, SpeakError> {
        let mut out = Pronounced::default();
        match &self.words {
            Words::None => return Err(SpeakError::NoText),
            Words::Lexicon(phonemizer, written) => {
                for clause in phonemizer.phonemize(text) {
                    self.line(&written(&clause.phonemes), &mut out);
                    out.left_out.extend(clause.left_out);
                }
            }
            Words::Espeak(espeak) => espeak.pronounce(text)?.iter().for_each(|line| self.line(line, &mut out)),
        }
        Ok(out)
    }

    /// Adds a sentence. What the voice never learned, as in a pronunciation of one's own, is told like a word that nobody can say.
    fn line(&self, phonemes: &str, out: &mut Pronounced) {
        let known = |symbol: &char| self.symbols.contains_key(symbol);
        out.left_out.extend(phonemes.chars().filter(|symbol| !known(symbol)).map(String::from));
        out.phonemes.extend(phonemes.chars().filter(known));
        out.phonemes.push('\n');
    }

    /// Says a text, sentence by sentence. Nothing is computed before samples are asked for.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut voice = ossicle::Voice::open("models-int8/hibari".as_ref(), ossicle::Options::default())?;
    /// let mut speech = voice.speak("Good morning.", ossicle::speak::Settings::default())?;
    /// assert!(speech.next_chunk()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`pronounce`](Self::pronounce) and [`speak_phonemes`](Self::speak_phonemes).
    pub fn speak(&mut self, text: &str, settings: Settings) -> Result<Speech<'_>, SpeakError> {
        let Pronounced { phonemes, .. } = self.pronounce(text)?;
        self.speak_phonemes(&phonemes, settings)
    }

    /// Says phonemes of the voice's alphabet (misaki's; espeak-ng's IPA), stress marks and signs included; each line by itself, lines of more than it
    /// takes (hibari 400, others 510) in several pieces.
    /// Nothing is computed before samples are asked for.
    ///
    /// # Errors
    /// [`SpeakError::Phoneme`] for what the voice does not know, [`SpeakError::Speed`].
    pub fn speak_phonemes(&mut self, text: &str, settings: Settings) -> Result<Speech<'_>, SpeakError> {
        if !(0.5..=2.0).contains(&settings.speed) {
            return Err(SpeakError::Speed(settings.speed));
        }
        if let Some(voice) = settings.voice.filter(|voice| usize::from(*voice) >= self.voices().len()) {
            return Err(SpeakError::Voices(format!("no voice of number {voice}")));
        }
        let unknown = text.chars().enumerate().find(|(_, symbol)| *symbol != '\n' && !self.symbols.contains_key(symbol));
        if let Some((at, symbol)) = unknown {
            return Err(SpeakError::Phoneme { symbol, at });
        }
        let clauses = clauses::split(text, self.synth.most());
        let clauses = clauses.into_iter().map(|range| text[range].chars().map(|symbol| self.symbols[&symbol]).collect());
        Ok(Speech { clauses: clauses.collect::<Vec<_>>().into_iter(), settings, spoken: 0, begun: false, voice: self })
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

/// What the folder knows of words, and the bytes of that.
fn words(folder: &Path) -> Result<(Words, usize), SpeakError> {
    Ok(match phonemizer(folder)? {
        Some((phonemizer, bytes)) => (Words::Lexicon(Box::new(phonemizer), str::to_owned), bytes),
        None => (Words::None, 0),
    })
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

/// The file of phonemes' numbers.
const VOCABULARY: &str = "vocab.json";

/// Numbers of phonemes, below `size`.
fn symbols<C>(folder: &ModelFolder<C>, size: usize) -> Result<HashMap<char, u32>, SpeakError> {
    let malformed = |problem: String| SpeakError::Symbols { path: folder.path().join(VOCABULARY), problem };
    let text = folder.read_text(VOCABULARY).map_err(SpeakError::Folder)?;
    let symbols: HashMap<char, u32> = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
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
    /// Whether the clause begun last may have more to come.
    begun: bool,
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

    /// The next samples, full scale at 1; at most 1.2 s of them. None after the last.
    ///
    /// # Errors
    /// [`SpeakError::Graph`] and [`SpeakError::Vocoder`]: bugs.
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>, SpeakError> {
        while !self.begun || !self.voice.synth.advance()? {
            let Some(clause) = self.clauses.next() else {
                self.begun = false;
                return Ok(None);
            };
            self.voice.synth.begin(&clause, self.settings, self.spoken)?;
            self.spoken = self.spoken.wrapping_add(1);
            self.begun = true;
        }
        self.voice.synth.samples().map(Some)
    }
}

impl Iterator for Speech<'_> {
    type Item = Result<Vec<f32>, SpeakError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_chunk().map(|chunk| chunk.map(<[f32]>::to_vec)).transpose()
    }
}
