//! Texts that are said for clients, a sentence at a time.

use std::collections::VecDeque;
use std::fmt;

use ossicle::speak::{Pronounced, Sentences, Settings, SpeakError, Voice, to_pcm};

use crate::job_error::JobError;
use crate::limits::Limits;
use crate::slots::Peer;
use crate::worker::{Step, Ticket, Worker};

/// What says texts.
pub trait Speaker: Send {
    /// How a text is said.
    ///
    /// # Errors
    /// If it cannot be.
    fn pronounce(&self, text: &str) -> Result<Pronounced, SpeakError>;

    /// Says a line of phonemes as it is said behind so many clauses of the same text, while `hear` gives true; gives how many they are then.
    ///
    /// # Errors
    /// If it cannot be said.
    fn say(&mut self, line: &str, settings: Settings, clauses: u32, hear: &mut dyn FnMut(&[f32]) -> bool) -> Result<u32, SpeakError>;
}

impl Speaker for Voice {
    fn pronounce(&self, text: &str) -> Result<Pronounced, SpeakError> {
        Self::pronounce(self, text)
    }

    fn say(&mut self, line: &str, settings: Settings, clauses: u32, hear: &mut dyn FnMut(&[f32]) -> bool) -> Result<u32, SpeakError> {
        let mut speech = self.speak_phonemes(line, settings)?.after(clauses);
        while let Some(samples) = speech.next_chunk()? {
            if !hear(samples) {
                break;
            }
        }
        Ok(speech.clauses())
    }
}

/// What clients are told about a voice.
#[derive(Clone, Debug)]
pub struct VoiceCard {
    /// Its name, by which clients may ask for it.
    pub name: String,
    /// Tags of the languages it speaks, such as `en-US`.
    pub languages: Vec<String>,
    /// One line for people.
    pub description: String,
    /// Who made it, and where to find them.
    pub attribution: (String, String),
    /// Samples a second of what it says.
    pub rate: u32,
    /// Names of the voices of a model that has several, by which clients may ask for them too.
    pub voices: Vec<String>,
}

impl VoiceCard {
    /// The card of a voice of the kind `hibari`.
    pub fn hibari(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            languages: vec!["en-US".into()],
            description: "American English, 24 kHz, 8 bits".into(),
            attribution: ("Maureese Williams".into(), "https://github.com/MMWilliams/hibari".into()),
            rate: 24_000,
            voices: vec![],
        }
    }

    /// The card of a model of the kind `kokoro` with these voices.
    pub fn kokoro(name: &str, voices: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            languages: vec!["en-US".into()],
            description: "a voice of Kokoro's, 24 kHz, 8 bits".into(),
            attribution: ("hexgrad".into(), "https://huggingface.co/hexgrad/Kokoro-82M".into()),
            rate: 24_000,
            voices: voices.to_vec(),
        }
    }

    /// The card of one of Piper's voices, in a language where that is known.
    pub fn piper(name: &str, language: Option<&str>, rate: u32) -> Self {
        Self {
            name: name.to_owned(),
            languages: language.into_iter().map(str::to_owned).collect(),
            description: format!("a voice of Piper's, {rate} Hz, 8 bits"),
            attribution: ("Piper".into(), "https://github.com/OHF-Voice/piper1-gpl".into()),
            rate,
            voices: vec![],
        }
    }

    /// How the one of this name is asked for; none if there is none.
    pub(crate) fn named(&self, name: &str) -> Option<Settings> {
        let voice = self.voices.iter().position(|voice| voice == name).and_then(|at| u16::try_from(at).ok());
        (name == self.name || voice.is_some()).then(|| Settings { voice, ..Settings::default() })
    }

    /// Names that clients may ask for, for people.
    pub(crate) fn names(&self) -> String {
        [&self.name].into_iter().chain(&self.voices).map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether this voice is meant by a language tag, by its first part.
    pub(crate) fn speaks(&self, tag: &str) -> bool {
        let first = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        self.languages.iter().any(|language| first(language) == first(tag))
    }
}

/// Why a text is not said.
#[derive(Debug)]
pub(crate) enum SpeechError {
    Job(JobError),
    Speak(SpeakError),
    /// Longer than this many bytes.
    TooLong(usize),
    /// It has no word that can be said.
    Nothing,
}

impl fmt::Display for SpeechError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(error) => error.fmt(f),
            Self::Speak(error) => error.fmt(f),
            Self::TooLong(most) => write!(f, "the text is longer than {most} bytes: send it in parts"),
            Self::Nothing => f.write_str("no word in the text can be said: give a text in the voice's language"),
        }
    }
}

impl From<JobError> for SpeechError {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<SpeakError> for SpeechError {
    fn from(error: SpeakError) -> Self {
        Self::Speak(error)
    }
}

/// A voice that clients take turns with.
pub(crate) struct Voices {
    pub(crate) card: VoiceCard,
    worker: Worker<Box<dyn Speaker>>,
    most_bytes: usize,
}

impl Voices {
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(card: VoiceCard, speaker: Box<dyn Speaker>, limits: &Limits) -> std::io::Result<Self> {
        Ok(Self { card, worker: Worker::start(speaker, limits.wait)?, most_bytes: limits.text_bytes })
    }

    pub(crate) fn worker(&self) -> &Worker<Box<dyn Speaker>> {
        &self.worker
    }

    /// Nothing to say yet, for a peer.
    pub(crate) fn saying(&self, peer: Peer, settings: Settings) -> Saying {
        Saying {
            worker: self.worker.clone(),
            peer,
            settings,
            most_bytes: self.most_bytes,
            bytes: 0,
            sentences: Sentences::default(),
            lines: VecDeque::new(),
            clauses: 0,
            line: None,
            left_out: Vec::new(),
            samples: 0,
        }
    }
}

type Lines = (Sentences, Option<Result<Pronounced, SpeakError>>);

/// A text that is being said: what waits of it, and how far it is.
pub(crate) struct Saying {
    worker: Worker<Box<dyn Speaker>>,
    peer: Peer,
    settings: Settings,
    most_bytes: usize,
    /// Bytes of text so far.
    bytes: usize,
    sentences: Sentences,
    /// Phonemes that wait.
    lines: VecDeque<String>,
    clauses: u32,
    line: Option<Ticket<Vec<u8>, Result<u32, SpeakError>>>,
    left_out: Vec<String>,
    samples: u64,
}

impl Saying {
    /// Appends text.
    ///
    /// # Errors
    /// If there would be more than is said for one request.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), SpeechError> {
        self.bytes += text.len();
        if self.bytes > self.most_bytes {
            return Err(SpeechError::TooLong(self.most_bytes));
        }
        self.sentences.push(text);
        Ok(())
    }

    /// The next samples, signed 16 bits, little-endian, at most 1.2 s of them; none where more text has to come first, or, of a text that is
    /// `whole`, behind the last. A text that is whole from the start is said as `ossicle speak` says it, bit for bit.
    ///
    /// # Errors
    /// If the service is busy or stops, `alive` does not hold any more, the voice fails, or there is nothing to say in the whole text.
    pub(crate) fn next(&mut self, whole: bool, alive: &mut dyn FnMut() -> bool) -> Result<Option<Vec<u8>>, SpeechError> {
        loop {
            if let Some(line) = &mut self.line {
                match line.next(alive)? {
                    Step::Part(samples) => {
                        self.samples += samples.len() as u64 / 2;
                        return Ok(Some(samples));
                    }
                    Step::Done(clauses) => self.clauses = clauses?,
                }
                self.line = None;
            }
            if let Some(line) = self.lines.pop_front() {
                let (settings, clauses) = (self.settings, self.clauses);
                let say = move |speaker: &mut Box<dyn Speaker>, tell: &mut dyn FnMut(Vec<u8>) -> bool| {
                    speaker.say(&line, settings, clauses, &mut |samples| {
                        let mut bytes = Vec::with_capacity(2 * samples.len());
                        to_pcm(samples, &mut bytes);
                        tell(bytes)
                    })
                };
                self.line = Some(self.worker.submit(self.peer, say));
                continue;
            }
            if !self.pronounce(whole, alive)? {
                return if whole && self.samples == 0 { Err(SpeechError::Nothing) } else { Ok(None) };
            }
        }
    }

    /// Looks up what waits, a sentence of it or all; whether there was one.
    fn pronounce(&mut self, whole: bool, alive: &mut dyn FnMut() -> bool) -> Result<bool, SpeechError> {
        if self.sentences.is_empty() {
            return Ok(false);
        }
        let mut sentences = std::mem::take(&mut self.sentences);
        let look_up = move |speaker: &mut Box<dyn Speaker>, _: &mut dyn FnMut(()) -> bool| -> Lines {
            let text = match whole {
                true => Ok(Some(sentences.rest())),
                false => sentences.next(|text| speaker.pronounce(text).map(|pronounced| pronounced.phonemes)),
            };
            let pronounced = text.map(|text| text.map(|text| speaker.pronounce(&text)));
            (sentences, pronounced.unwrap_or_else(|error| Some(Err(error))))
        };
        let mut ticket = self.worker.submit(self.peer, look_up);
        let (sentences, pronounced) = loop {
            if let Step::Done(done) = ticket.next(alive)? {
                break done;
            }
        };
        self.sentences = sentences;
        let Some(pronounced) = pronounced else { return Ok(false) };
        let Pronounced { phonemes, left_out } = pronounced?;
        self.lines.extend(phonemes.lines().map(str::to_owned));
        self.left_out.extend(left_out);
        Ok(true)
    }

    /// Words so far that cannot be said.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }
}
