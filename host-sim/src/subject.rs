//! What a trace was made of, found again on this machine.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ossicle::audio::{AudioError, AudioReader};
use ossicle::embed::{self, EmbedError, ImageEncoder};
use ossicle::events::{self, Detector, EncodedEvents, EventsError, Settings};
use ossicle::label::{self, Image, LabelError, Labeller, Reading};
use ossicle::models::{self, ModelError};
use ossicle::source::{SampleSource, SourceError};
use ossicle::trace::{self, DigestError};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::{OpenError, Options, Transcriber};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::NUMERICS_VERSION;
use ossicle_trace::{Header, Tap};
use serde::Deserialize;

/// A recording, a model and the options of one run.
#[derive(Clone, Debug)]
pub struct Subject {
    input: PathBuf,
    raw_rate: Option<u32>,
    model: PathBuf,
    beside: Vec<PathBuf>,
    task: Task,
}

/// What is done with the recording.
#[derive(Clone, Debug)]
pub enum Task {
    /// It is transcribed.
    Transcribe(Box<TranscribeOptions>),
    /// Sounds are detected in it.
    Detect {
        /// Frames of 10 ms from one score to the next.
        hop_frames: usize,
    },
    /// It, or an image, is labelled.
    Label,
    /// An image becomes a vector.
    Embed,
}

/// A detection's settings as traces have them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectSettings {
    hop_frames: usize,
}

impl Task {
    fn of(header: &Header) -> Result<Self, SubjectError> {
        match header.pipeline.as_str() {
            trace::TRANSCRIBE => trace::options(header).map(|options| Self::Transcribe(Box::new(options))),
            trace::DETECT => {
                serde_json::from_value(header.settings.clone()).map(|DetectSettings { hop_frames }| Self::Detect { hop_frames })
            }
            trace::LABEL => Ok(Self::Label),
            trace::EMBED => Ok(Self::Embed),
            other => return Err(SubjectError::Pipeline(other.to_owned())),
        }
        .map_err(SubjectError::Settings)
    }

    /// How many models may run beside its own.
    fn most_beside(&self) -> usize {
        match self {
            Self::Transcribe(_) => 1,
            Self::Detect { .. } => usize::MAX,
            Self::Label | Self::Embed => 0,
        }
    }
}

/// Why a run cannot be repeated.
#[derive(Debug)]
pub enum SubjectError {
    /// A pipeline that is not known here.
    Pipeline(String),
    /// Another numerics contract.
    Numerics(u32),
    /// Options that are not known here.
    Settings(serde_json::Error),
    /// A file cannot be read.
    Digest(DigestError),
    /// The trace names a model by something else than a folder's name.
    ModelName(String),
    /// This is not the traced recording.
    OtherInput {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The traced file's name.
        name: String,
        /// Its SHA-256.
        traced: String,
    },
    /// This is not the traced model.
    OtherModel {
        /// The folder.
        path: PathBuf,
        /// The first file that differs.
        file: String,
        /// The traced model's name.
        name: String,
    },
    /// Not as many models beside the traced one as the trace names.
    Beside {
        /// How many were given.
        given: usize,
        /// The traced ones' names.
        traced: Vec<String>,
    },
    /// More models beside the traced one than its pipeline takes.
    TooManyBeside {
        /// How many the trace names.
        traced: usize,
        /// How many there may be.
        most: usize,
    },
    /// There is no such model.
    Model(ModelError),
    /// The model cannot be opened.
    Open(PathBuf, OpenError),
    /// The recording cannot be read.
    Audio(PathBuf, AudioError),
    /// The run failed.
    Run(TranscribeError),
    /// Sounds cannot be detected with this model.
    Events(PathBuf, EventsError),
    /// Nothing can be labelled with this model.
    Label(PathBuf, LabelError),
    /// Nothing can be encoded with this model.
    Embed(PathBuf, EmbedError),
}

impl std::fmt::Display for SubjectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pipeline(name) => {
                let known = [trace::TRANSCRIBE, trace::DETECT, trace::LABEL, trace::EMBED];
                write!(f, "a trace of {name:?}: this program repeats {known:?}: use the version that wrote it")
            }
            Self::Numerics(version) => {
                write!(
                    f,
                    "computed by numerics version {version}: this program computes by {NUMERICS_VERSION}: use the version that wrote it"
                )
            }
            Self::Settings(error) => write!(f, "settings: {error}: use the version that wrote the trace"),
            Self::ModelName(name) => {
                write!(f, "the trace names a path as its model: {name:?}: name the model's folder with --model or --beside")
            }
            Self::Digest(error) => write!(f, "cannot read: {error}: name a readable file"),
            Self::OtherInput { path, found, name, traced } => {
                let path = path.display();
                write!(f, "another recording than the traced one: {path} has SHA-256 {found}: give {name}, which has {traced}")
            }
            Self::OtherModel { path, file, name } => {
                write!(
                    f,
                    "another model than the traced {name}: {} differs in {file}: give the same folder with --model or --beside",
                    path.display()
                )
            }
            Self::Beside { given, traced } if traced.is_empty() => {
                write!(f, "--beside: the trace has no models beside its own, not {given}: leave --beside out")
            }
            Self::Beside { given, traced } => {
                let one = if traced.len() == 1 { "a model" } else { "models" };
                write!(f, "--beside: {given} given for {one} beside the traced one: give {} in this order", traced.join(", "))
            }
            Self::TooManyBeside { traced, most } => {
                write!(f, "a trace with {traced} models beside its own, where {most} can be: use the version that wrote it")
            }
            Self::Model(error) => write!(f, "{error}: or name the traced model's folder with --model or --beside"),
            Self::Open(path, error) => write!(f, "{}: {error}: fetch or make the model again", path.display()),
            Self::Audio(path, error) => write!(f, "{error}: {}: {}", path.display(), error.remedy()),
            Self::Run(error) => error.fmt(f),
            Self::Events(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Label(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Embed(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for SubjectError {}

impl From<ModelError> for SubjectError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<DigestError> for SubjectError {
    fn from(error: DigestError) -> Self {
        Self::Digest(error)
    }
}

impl From<TranscribeError> for SubjectError {
    fn from(error: TranscribeError) -> Self {
        Self::Run(error)
    }
}

impl Subject {
    /// A recording to be transcribed with the model of that name, or at that path.
    ///
    /// # Errors
    /// [`SubjectError::Model`] if there is none.
    pub fn new(input: &Path, model: &str, options: TranscribeOptions) -> Result<Self, SubjectError> {
        Self::with(input, model, Task::Transcribe(Box::new(options)))
    }

    /// A recording and what to do with it.
    ///
    /// # Errors
    /// As for [`new`](Subject::new).
    pub fn with(input: &Path, model: &str, task: Task) -> Result<Self, SubjectError> {
        Ok(Self { input: input.to_owned(), raw_rate: None, model: models::find(model)?, beside: vec![], task })
    }

    /// The same with models beside it: classes of one's own for a detection, a head on the encoder for a transcription.
    ///
    /// # Errors
    /// [`SubjectError::Model`] if there is none of such a name.
    pub fn beside(mut self, names: &[impl AsRef<str>]) -> Result<Self, SubjectError> {
        self.beside = names.iter().map(|name| models::find(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// What `header` describes, with the recording at `input`, the model at `model`, or the one of the traced name, and likewise those beside it.
    ///
    /// # Errors
    /// If the trace cannot be repeated by this version, or recording or model are not the traced ones.
    pub fn of(header: &Header, input: &Path, model: Option<&str>, beside: &[String]) -> Result<Self, SubjectError> {
        let task = Task::of(header)?;
        if header.numerics != NUMERICS_VERSION {
            return Err(SubjectError::Numerics(header.numerics));
        }
        let found = trace::input(input, None)?.sha256;
        if let (Some(found), Some(traced)) = (found, header.input.sha256.clone())
            && found != traced
        {
            return Err(SubjectError::OtherInput { path: input.to_owned(), found, name: header.input.name.clone(), traced });
        }
        let most = task.most_beside();
        if header.beside.len() > most {
            return Err(SubjectError::TooManyBeside { traced: header.beside.len(), most });
        }
        if !beside.is_empty() && beside.len() != header.beside.len() {
            return Err(SubjectError::Beside {
                given: beside.len(),
                traced: header.beside.iter().map(|model| model.name.clone()).collect(),
            });
        }
        let name = model.map_or_else(|| plain(&header.model.name), Ok)?;
        let others = match beside {
            [] => header.beside.iter().map(|model| plain(&model.name)).collect::<Result<Vec<_>, _>>()?,
            given => given.iter().map(String::as_str).collect(),
        };
        let subject = Self { raw_rate: header.input.raw_rate, ..Self::with(input, name, task)? }.beside(&others)?;
        same(&header.model, &subject.model_files()?, &subject.model)?;
        for ((traced, found), path) in header.beside.iter().zip(subject.beside_files()?).zip(&subject.beside) {
            same(traced, &found, path)?;
        }
        Ok(subject)
    }

    /// The header of a trace of this on an instruction set.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn header(&self, isa: Isa, threads: usize) -> Result<Header, SubjectError> {
        let (input, model, run) = (trace::input(&self.input, self.raw_rate)?, self.model_files()?, Options { isa, threads });
        let header = match &self.task {
            Task::Transcribe(options) => trace::header(input, model, options, run).map_err(SubjectError::Settings)?,
            Task::Detect { hop_frames } => trace::detect_header(input, model, *hop_frames, run),
            Task::Label => trace::label_header(input, model, run),
            Task::Embed => trace::embed_header(input, model, run),
        };
        Ok(Header { beside: self.beside_files()?, ..header })
    }

    fn beside_files(&self) -> Result<Vec<ossicle_trace::Model>, DigestError> {
        self.beside.iter().map(|path| trace::events(path)).collect()
    }

    fn model_files(&self) -> Result<ossicle_trace::Model, DigestError> {
        match self.task {
            Task::Transcribe(_) => trace::model(&self.model),
            Task::Detect { .. } => trace::events(&self.model),
            Task::Label => trace::network(&self.model),
            Task::Embed => trace::image_tower(&self.model),
        }
    }

    /// Does it, handing every tensor to `tap`, until the end or until `stop` says so.
    ///
    /// # Errors
    /// If recording or model cannot be read, or the network fails.
    pub fn run(&self, isa: Isa, threads: usize, tap: Arc<dyn Tap>, stop: &dyn Fn() -> bool) -> Result<(), SubjectError> {
        match &self.task {
            Task::Transcribe(options) => self.transcribe(options, Options { isa, threads }, tap, stop),
            Task::Detect { hop_frames } => self.detect(*hop_frames, Options { isa, threads }, tap, stop),
            Task::Label => self.label(Options { isa, threads }, tap, stop),
            Task::Embed => self.embed(Options { isa, threads }, tap),
        }
    }

    /// The recording.
    fn source<'a>(&self, isa: Isa, stop: &'a dyn Fn() -> bool) -> Result<Until<'a>, SubjectError> {
        let reader = match self.raw_rate {
            None => AudioReader::open(&self.input, isa),
            Some(rate) => File::open(&self.input).map_err(AudioError::Io).and_then(|file| AudioReader::raw(file, rate, isa)),
        };
        Ok(Until { reader: reader.map_err(|error| SubjectError::Audio(self.input.clone(), error))?, stop })
    }

    fn transcribe(
        &self,
        options: &TranscribeOptions,
        run: Options,
        tap: Arc<dyn Tap>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), SubjectError> {
        let mut source = self.source(run.isa, stop)?;
        let model = Transcriber::open_folder(&self.model, run);
        let mut model = model.map_err(|error| SubjectError::Open(self.model.clone(), error))?;
        model.set_tap(Some(tap.clone()));
        match self.beside.first() {
            None => model.transcribe_source(&mut source, options, &mut |_| {})?,
            Some(head) => {
                let one = ossicle_models::Options { isa: run.isa, threads: 1 };
                let events = EncodedEvents::open(head, &self.model, &Settings::default(), &[], one);
                let mut events = events.map_err(|error| SubjectError::Events(head.clone(), error))?;
                events.set_tap(Some(tap));
                model.transcribe_with(&mut source, options, Some(&mut events), &mut |_| {})?
            }
        };
        Ok(())
    }

    fn detect(&self, hop_frames: usize, run: Options, tap: Arc<dyn Tap>, stop: &dyn Fn() -> bool) -> Result<(), SubjectError> {
        let mut source = self.source(run.isa, stop)?;
        let failed = |error| SubjectError::Events(self.model.clone(), error);
        let options = events::Options {
            isa: run.isa,
            threads: run.threads,
            hop_frames: Some(hop_frames),
            add_classes: self.beside.clone(),
            ..events::Options::default()
        };
        let mut detector = Detector::open(&self.model, &Settings::default(), options).map_err(failed)?;
        detector.set_tap(Some(tap));
        let mut block = [0.0; 4096];
        loop {
            match source.read(&mut block).map_err(|error| SubjectError::Run(TranscribeError::Source(error)))? {
                0 => return detector.finish(&mut |_| {}).map_err(failed),
                read => detector.push(&block[..read], &mut |_| {}).map_err(failed)?,
            }
        }
    }

    fn label(&self, run: Options, tap: Arc<dyn Tap>, stop: &dyn Fn() -> bool) -> Result<(), SubjectError> {
        let failed = |error| SubjectError::Label(self.model.clone(), error);
        let options = label::Options { isa: run.isa, threads: run.threads };
        let mut labeller = Labeller::open(&self.model, options).map_err(failed)?;
        labeller.set_tap(Some(tap));
        match labeller.reading() {
            Reading::Images => {
                let image = Image::read(&self.input).map_err(failed)?;
                labeller.image(&image).map(drop).map_err(failed)
            }
            Reading::Recordings => labeller.recording(&mut self.source(run.isa, stop)?).map(drop).map_err(failed),
        }
    }
}

impl Subject {
    fn embed(&self, run: Options, tap: Arc<dyn Tap>) -> Result<(), SubjectError> {
        let failed = |error| SubjectError::Embed(self.model.clone(), error);
        let options = embed::Options { isa: run.isa, threads: run.threads, ..embed::Options::default() };
        let mut encoder = ImageEncoder::open(&self.model, options).map_err(failed)?;
        encoder.set_tap(Some(tap));
        let image = Image::read(&self.input).map_err(|error| SubjectError::Label(self.input.clone(), error))?;
        encoder.encode(&image).map(drop).map_err(failed)
    }
}

/// A folder's name, if it is one: a trace may come from anybody, and must not choose which files are read.
fn plain(name: &str) -> Result<&str, SubjectError> {
    let mut components = Path::new(name).components();
    let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if one && !name.contains(['/', '\\']) { Ok(name) } else { Err(SubjectError::ModelName(name.to_owned())) }
}

/// Refuses a model that is not the traced one.
fn same(traced: &ossicle_trace::Model, found: &ossicle_trace::Model, path: &Path) -> Result<(), SubjectError> {
    match traced.files.keys().chain(found.files.keys()).find(|&name| traced.files.get(name) != found.files.get(name)) {
        Some(file) => Err(SubjectError::OtherModel { path: path.to_owned(), file: file.clone(), name: traced.name.clone() }),
        None => Ok(()),
    }
}

/// A recording that ends when somebody has seen enough.
struct Until<'a> {
    reader: AudioReader,
    stop: &'a dyn Fn() -> bool,
}

impl SampleSource for Until<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        if (self.stop)() { Ok(0) } else { SampleSource::read(&mut self.reader, out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_no_names() {
        assert_eq!(plain("whisper-tiny.en").ok(), Some("whisper-tiny.en"));
        for path in ["", ".", "..", "/", "/etc", "../model", "a/b", "a/", "./a", "a\\b"] {
            assert!(matches!(plain(path), Err(SubjectError::ModelName(name)) if name == path), "{path}");
        }
    }
}
