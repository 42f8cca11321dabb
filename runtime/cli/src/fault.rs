//! Errors as one line, and exit statuses.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use ossicle::audio::AudioError;
use ossicle::models::ModelError;
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::transcriber::OpenError;
use ossicle_graph::GraphError;
use ossicle_graph::folder::FolderError;

/// The exit status for bad usage and bad input.
const BAD_INPUT: u8 = 2;

/// What to do about a damaged model folder.
const REMAKE: &str = "fetch or make the model again";

/// Bad input: what is wrong, where, and what would be right.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl Fault {
    /// The three parts, any of which may already hold the next.
    pub(crate) fn new(what: impl fmt::Display, place: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self(format!("{what}: {place}: {remedy}"))
    }

    /// A line that says it all.
    pub(crate) fn line(line: impl fmt::Display) -> Self {
        Self(line.to_string())
    }

    /// A recording that cannot be read.
    pub(crate) fn audio(place: &str, error: &AudioError) -> Self {
        Self::new(error, place, error.remedy())
    }

    /// A recording that could not be transcribed to its end.
    pub(crate) fn transcription(place: &str, error: TranscribeError) -> anyhow::Error {
        match &error {
            TranscribeError::Source(source) => match source.0.downcast_ref::<AudioError>() {
                Some(audio) => Self::audio(place, audio).into(),
                None => Self::new(source, place, "give a recording that can be read").into(),
            },
            TranscribeError::Option(option) => Self::line(option).into(),
            _ => anyhow::Error::new(error).context(place.to_owned()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl From<FolderError> for Fault {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Read { path, source } if source.kind() == ErrorKind::NotFound => Self::new("missing file", path.display(), REMAKE),
            FolderError::Read { path, source } => Self::new(format!("cannot read: {source}"), path.display(), "make it readable"),
            FolderError::Malformed { path, problem } => Self::new(problem, path.display(), REMAKE),
            FolderError::Tensor { path, name, problem } => Self::new(format!("tensor {name} {problem}"), path.display(), REMAKE),
            FolderError::Hash { path } => Self::new("does not match its entry in SHA256SUMS", path.display(), REMAKE),
        }
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::NotAModel { path } => {
                Self::new("not a model folder", path.display(), "give one with a config.json, or a name from ossicle models list")
            }
            ModelError::Config { path, reason } => Self::new(reason, path.display(), REMAKE),
            not_found @ ModelError::NotFound { .. } => Self::line(not_found),
        }
    }
}

/// A model in `folder` that cannot be opened.
pub(crate) fn opening(folder: &Path, error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Model(error) => Fault::from(error).into(),
        OpenError::Folder(error) | OpenError::Graph(GraphError::Folder(error)) => Fault::from(error).into(),
        OpenError::Settings(error) => Fault::new(error, folder.display(), REMAKE).into(),
        OpenError::Graph(error) => anyhow::Error::new(error).context(folder.display().to_string()),
    }
}

/// Whether the reader of our output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe))
}

/// `message` in one line, whatever line ends it has.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints one line on stderr.
pub(crate) fn complain(message: &str) {
    eprintln!("ossicle: {}", one_line(message));
}

/// Reports an error; gives its exit status.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    complain(&format!("{error:#}"));
    if error.is::<Fault>() { ExitCode::from(BAD_INPUT) } else { ExitCode::FAILURE }
}

/// The end of the program.
pub(crate) fn exit(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| report(&error))
}
