//! The library's errors as one line each, under this program's name, and exit statuses.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use ossicle::audio::AudioError;
use ossicle::classify::ClassifyError;
use ossicle::embed::EmbedError;
use ossicle::events::{EventsError, SETS, SETTINGS_FILE, Set, SettingsError};
use ossicle::families::FamilyError;
use ossicle::label::LabelError;
use ossicle::models::ModelError;
use ossicle::source::SourceError;
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::transcriber::OpenError;
use ossicle_models::GraphError;
use ossicle_models::folder::FolderError;

pub(crate) use ossicle_usage::{BAD_INPUT, Fault, one_line, tell};

/// What to do about a damaged model folder.
const REMAKE: &str = "fetch or make the model again";

/// A recording that cannot be read.
pub(crate) fn audio(place: &str, error: &AudioError) -> Fault {
    Fault::new(error, place, error.remedy())
}

/// A recording that could not be read to its end.
pub(crate) fn source(place: &str, error: &SourceError) -> Fault {
    match error.0.downcast_ref::<AudioError>() {
        Some(error) => audio(place, error),
        None => Fault::new(error, place, "give a recording that can be read"),
    }
}

/// A recording that could not be transcribed to its end.
pub(crate) fn transcription(place: &str, error: TranscribeError) -> anyhow::Error {
    match &error {
        TranscribeError::Source(error) => source(place, error).into(),
        TranscribeError::Option(option) => Fault::line(option).into(),
        _ => anyhow::Error::new(error).context(place.to_owned()),
    }
}

/// Whether a transcription failed by its recording, not by the model or the machine.
pub(crate) fn is_recording_fault(error: &TranscribeError) -> bool {
    match error {
        TranscribeError::Source(error) => !error.0.downcast_ref().is_some_and(is_machine_fault),
        TranscribeError::NotFinite { .. } => true,
        _ => false,
    }
}

/// Whether audio could not be read for want of something that other recordings will want too.
pub(crate) fn is_machine_fault(error: &AudioError) -> bool {
    // Too many open files, in the system and in the process, have no kind.
    const OPEN_FILES: [i32; 2] = [23, 24];
    let AudioError::Io(error) = error else { return false };
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
        || cfg!(unix) && error.raw_os_error().is_some_and(|code| OPEN_FILES.contains(&code))
}

/// A model in the folder `path` that failed while it ran.
pub(crate) fn running(path: &Path, error: TranscribeError) -> Fault {
    Fault::new(error, path.display(), REMAKE)
}

/// A model folder whose files cannot be used.
pub(crate) fn folder(error: FolderError) -> Fault {
    match error {
        FolderError::Read { path, source } if source.kind() == ErrorKind::NotFound => Fault::new("missing file", path.display(), REMAKE),
        FolderError::Read { path, source } => Fault::new(format!("cannot read: {source}"), path.display(), "make it readable"),
        FolderError::Malformed { path, problem } => Fault::new(problem, path.display(), REMAKE),
        FolderError::Tensor { path, name, problem } => Fault::new(format!("tensor {name} {problem}"), path.display(), REMAKE),
        FolderError::Hash { path } => Fault::new("does not match its entry in SHA256SUMS", path.display(), REMAKE),
    }
}

/// A model in the folder `path` whose graphs cannot be built.
pub(crate) fn graph(path: &Path, error: GraphError) -> anyhow::Error {
    match error {
        GraphError::Folder(error) => folder(error).into(),
        error => anyhow::Error::new(error).context(path.display().to_string()),
    }
}

/// A model that is not there, or not one.
pub(crate) fn model(error: ModelError) -> Fault {
    match error {
        ModelError::NotAModel { path } => {
            Fault::new("not a model folder", path.display(), "give one with a config.json, or a name from ossicle models list")
        }
        ModelError::Config { path, reason } => Fault::new(reason, path.display(), REMAKE),
        not_found @ ModelError::NotFound { .. } => Fault::line(not_found),
    }
}

/// A model in the folder `path` that cannot be opened.
pub(crate) fn opening(path: &Path, error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Model(error) => model(error).into(),
        OpenError::Folder(error) => folder(error).into(),
        OpenError::Settings(error) => Fault::new(error, path.display(), REMAKE).into(),
        OpenError::Graph(error) => graph(path, error),
    }
}

/// A YAMNet in the folder `path` that cannot be opened.
pub(crate) fn events(path: &Path, error: EventsError) -> anyhow::Error {
    match error {
        EventsError::Folder(error) => folder(error).into(),
        EventsError::Graph(error) => graph(path, error),
        other => Fault::line(other).into(),
    }
}

/// Settings that cannot be used: those of `file`, or what `--classes` asks of them.
pub(crate) fn settings(file: &Path, error: SettingsError) -> Fault {
    const WHAT: &str = "cannot use the settings";
    match error {
        SettingsError::Read { path, source } if source.kind() == ErrorKind::NotFound => {
            let sets = SETS.map(|set| set.name).join(", ");
            Fault::new("no such settings", path.display(), format!("give a file that exists, or {sets}, which comes with the program"))
        }
        // These name their file.
        SettingsError::Read { .. } | SettingsError::Toml { .. } => Fault::new(WHAT, error, "see ossicle detect --help"),
        SettingsError::Label { .. } => {
            let model = Set::named(file).map_or(String::new(), |set| format!("they are for the model {}: ", set.model));
            Fault::new(WHAT, file.display(), format!("{model}{error}"))
        }
        SettingsError::Near { .. } | SettingsError::Value { .. } => Fault::new(WHAT, file.display(), error),
        SettingsError::Class { .. } => Fault::new(WHAT, "--classes", format!("{error} (ossicle detect --list-classes lists all)")),
        SettingsError::Twice { .. } => Fault::new(WHAT, "--classes", error),
    }
}

/// A detector with the YAMNet in the folder `path` that cannot be opened with the settings of `config`, or those that the model comes with.
pub(crate) fn detector(path: &Path, config: Option<&Path>, error: EventsError) -> anyhow::Error {
    match error {
        EventsError::Settings(error) => {
            let of_model = path.join(SETTINGS_FILE);
            settings(config.unwrap_or(&of_model), error).into()
        }
        other => events(path, other),
    }
}

/// A file that cannot be labelled, or a network in the folder `path` that cannot be opened.
pub(crate) fn label(path: &Path, error: LabelError) -> anyhow::Error {
    match error {
        LabelError::Folder(error) => folder(error).into(),
        LabelError::Graph(error @ GraphError::Memory { .. }) => {
            Fault::new(error, path.display(), "allow more with --memory if the machine has it").into()
        }
        LabelError::Graph(error) => graph(path, error),
        LabelError::NotFinite => Fault::new(error, path.display(), "make the model again, and check its float scores first").into(),
        LabelError::Read { path, source } if source.kind() == ErrorKind::NotFound => {
            Fault::new("no such file", path.display(), "give one that exists").into()
        }
        LabelError::Read { path, source } => Fault::new(format!("cannot read: {source}"), path.display(), "make it readable").into(),
        other => Fault::line(other).into(),
    }
}

/// An image or a text that cannot be encoded, or a model in the folder `path` that cannot be opened.
pub(crate) fn embed(path: &Path, error: EmbedError) -> anyhow::Error {
    match error {
        EmbedError::Folder(error) => folder(error).into(),
        EmbedError::Graph(error @ GraphError::Memory { .. }) => {
            Fault::new(error, path.display(), "allow more with --memory if the machine has it").into()
        }
        EmbedError::Graph(error) => graph(path, error),
        EmbedError::Label(error) => label(path, error),
        other => Fault::line(other).into(),
    }
}

/// An image or a recording that gets no scores, or a classifier in the folder `path` that cannot be opened.
pub(crate) fn classify(path: &Path, error: ClassifyError) -> anyhow::Error {
    match error {
        ClassifyError::Label(error) => label(path, error),
        ClassifyError::Embed(error) => embed(path, error),
    }
}

/// A model in the folder `path`, of whatever family, that cannot be described, planned or opened.
pub(crate) fn family(path: &Path, error: FamilyError) -> anyhow::Error {
    match error {
        FamilyError::Model(error) => model(error).into(),
        FamilyError::Folder(error) => folder(error).into(),
        FamilyError::Graph(error @ GraphError::Memory { .. }) => Fault::new(error, path.display(), "use a smaller model").into(),
        FamilyError::Graph(error) => graph(path, error),
        other => Fault::line(other).into(),
    }
}

/// Whether the reader of our output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    ossicle_usage::is_broken_pipe(error.as_ref())
}

/// Prints one line on stderr.
pub(crate) fn complain(message: &str) {
    ossicle_usage::complain("ossicle", message);
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

#[cfg(test)]
mod tests {
    use std::io;

    use ossicle::whisper::engine::EngineError;

    use super::*;

    #[test]
    fn the_model_and_the_machine_are_no_fault_of_a_recording() {
        let read = |error: io::Error| TranscribeError::Source(SourceError(Box::new(AudioError::Io(error))));
        let recordings = [
            TranscribeError::NotFinite { sample: 7 },
            TranscribeError::Source(SourceError(Box::new(AudioError::EmptyFile))),
            read(ErrorKind::PermissionDenied.into()),
            read(ErrorKind::UnexpectedEof.into()),
        ];
        for error in recordings {
            assert!(is_recording_fault(&error), "{error}");
        }
        let others = [
            TranscribeError::Engine(EngineError(Box::new(io::Error::other("weights")))),
            TranscribeError::MelBands { bands: 96 },
            read(ErrorKind::OutOfMemory.into()),
            read(ErrorKind::StorageFull.into()),
            read(io::Error::from_raw_os_error(24)),
        ];
        for error in others {
            assert!(!is_recording_fault(&error), "{error}");
        }
    }
}
