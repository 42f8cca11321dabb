//! A model with the sentences that it listens for.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use ossicle_models::Options;
use ossicle_sentences::{CompileError, Grammar, MAX_FILE_BYTES, pack};

use super::recogniser::{CommandOptions, Recogniser, Recognition};
use super::set::{CommandSet, Intent};
use crate::audio::SAMPLE_RATE;
use crate::source::{SampleSource, SourceError, filled};
use crate::whisper::error::TranscribeError;
use crate::whisper::transcriber::{OpenError, Transcriber};

/// Most samples of a recording: 30 s.
const MOST_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

/// Why no command can be recognised.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandsError {
    /// The model cannot be opened.
    Model(OpenError),
    /// The file of sentences cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than 1 MiB or no text.
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// It holds no sentences as they have to be written.
    Sentences(ossicle_sentences::Error),
    /// There are too many sentences for the model.
    Compile(CompileError),
    /// The recording cannot be read on.
    Source(SourceError),
    /// The recording is longer than 30 s.
    TooLong,
    /// The model fails, or an option does not fit it.
    Transcribe(TranscribeError),
}

impl fmt::Display for CommandsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NoText { path } => write!(f, "{}: not a text of at most {MAX_FILE_BYTES} bytes", path.display()),
            Self::Sentences(error) => error.fmt(f),
            Self::Compile(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::TooLong => f.write_str("longer than 30 s"),
            Self::Transcribe(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommandsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            // The text of what lies below is this error's.
            Self::Model(error) => error.source(),
            Self::Sentences(error) => error.source(),
            Self::Compile(error) => error.source(),
            Self::Source(error) => error.source(),
            Self::Transcribe(error) => error.source(),
            Self::NoText { .. } | Self::TooLong => None,
        }
    }
}

/// Recognises which of a closed set of sentences was said, if any.
///
/// ```
/// use ossicle::{Audio, Commands, Options};
///
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// let mut commands = Commands::open("whisper-tiny.en", "home", Options::default())?;
/// let recognition = commands.recognise(&mut Audio::open("samples/lights.wav")?)?;
/// let command = recognition.command.expect("a command of the pack");
/// assert_eq!(command.meaning.name, "HassTurnOff");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Commands {
    model: Transcriber,
    recogniser: Recogniser<CommandSet>,
    options: CommandOptions,
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("model", &self.model.name()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Commands {
    /// Opens the model called `model` (or at that path) for the sentences of a file, or of a pack that comes with the library, such as `home`.
    ///
    /// # Errors
    /// [`CommandsError`] if one of them cannot be used.
    pub fn open(model: &str, sentences: &str, options: Options) -> Result<Self, CommandsError> {
        // A fault in the sentences is found before a model is loaded.
        let grammar = match pack(sentences) {
            Some(pack) => Grammar::parse(sentences, pack.text),
            None => Grammar::parse(sentences, &text(sentences.into())?),
        };
        let grammar = grammar.map_err(CommandsError::Sentences)?;
        let mut model = Transcriber::open(model, options).map_err(CommandsError::Model)?;
        let pipeline = model.pipeline();
        let eot = pipeline.specials().eot;
        let tokenizer = pipeline.tokenizer().map_err(CommandsError::Transcribe)?;
        let set = CommandSet::new(grammar, tokenizer, eot).map_err(CommandsError::Compile)?;
        let mut options = CommandOptions::default();
        if model.is_multilingual() {
            options.transcribe.language = Some(set.language().to_owned());
        }
        Ok(Self { model, recogniser: Recogniser::new(set), options })
    }

    /// How to recognise: the threshold, the number of alternatives and more.
    pub fn options_mut(&mut self) -> &mut CommandOptions {
        &mut self.options
    }

    /// The command in a recording of at most 30 s, readings that are about as sure, and what was heard.
    ///
    /// # Errors
    /// [`CommandsError`] if the recording is too long or cannot be read, an option does not fit the model, or the network fails.
    pub fn recognise(&mut self, source: &mut dyn SampleSource) -> Result<Recognition<Intent>, CommandsError> {
        let mut samples = vec![0.0; MOST_SAMPLES + 1];
        let length = filled(source, &mut samples).map_err(CommandsError::Source)?;
        if length > MOST_SAMPLES {
            return Err(CommandsError::TooLong);
        }
        let recognition = self.recogniser.recognise(self.model.pipeline(), &samples[..length], &self.options);
        recognition.map_err(CommandsError::Transcribe)
    }
}

fn text(path: PathBuf) -> Result<String, CommandsError> {
    let mut bytes = vec![];
    let read = File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes));
    if let Err(source) = read {
        return Err(CommandsError::Read { path, source });
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.len() <= MAX_FILE_BYTES => Ok(text),
        _ => Err(CommandsError::NoText { path }),
    }
}
