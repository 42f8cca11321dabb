//! A model folder, opened and ready.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ossicle_models::GraphError;
use ossicle_models::MemoryPlan;
use ossicle_models::folder::{FolderError, ModelFolder, WhisperConfig};
use ossicle_models::whisper::WhisperGraph;
use ossicle_trace::Tap;

use super::error::TranscribeError;
use super::options::TranscribeOptions;
use super::pipeline::Pipeline;
use super::transcript::{Segment, Summary, Told};
use super::transcription::Transcription;
use crate::events::EncodedEvents;
use crate::models::{self, ModelError};
use crate::source::SampleSource;

pub use ossicle_models::Options;

/// Why a model cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no such model.
    Model(ModelError),
    /// The folder cannot be read.
    Folder(FolderError),
    /// The network cannot be built.
    Graph(GraphError),
    /// The model's settings cannot be used.
    Settings(TranscribeError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Folder(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::Settings(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Their texts are this error's.
        match self {
            Self::Model(error) => error.source(),
            Self::Folder(error) => error.source(),
            Self::Graph(error) => error.source(),
            Self::Settings(error) => error.source(),
        }
    }
}

impl From<ModelError> for OpenError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<FolderError> for OpenError {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl From<GraphError> for OpenError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<TranscribeError> for OpenError {
    fn from(error: TranscribeError) -> Self {
        Self::Settings(error)
    }
}

/// Whisper on a model folder.
///
/// ```
/// use ossicle::{Audio, Options, TranscribeOptions, Transcriber};
///
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// let mut transcriber = Transcriber::open("whisper-tiny.en", Options::default())?;
/// for segment in transcriber.segments(&mut Audio::open("samples/kitchen.wav")?, &TranscribeOptions::default())? {
///     println!("{}", segment?.text);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transcriber {
    pipeline: Pipeline<WhisperGraph>,
    name: String,
    memory: MemoryPlan,
    load_seconds: f64,
}

impl Transcriber {
    /// Opens the model called `model`, or at that path (see [`models::find`]).
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// assert!(ossicle::Transcriber::open("no-such-model", ossicle::Options::default()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such model, or it is damaged.
    pub fn open(model: &str, options: Options) -> Result<Self, OpenError> {
        Self::open_folder(&models::find(model)?, options)
    }

    /// Opens the model in a folder: everything but the weights of 8 bits is read and checked.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let folder = "models-int8/whisper-tiny.en".as_ref();
    /// let transcriber = ossicle::Transcriber::open_folder(folder, ossicle::Options::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open_folder(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_weights(path, ModelFolder::open(path)?, options)
    }

    /// Opens the model in a folder so many times, to transcribe several recordings side by side. All have the same weights in memory once.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let folder = "models-int8/whisper-tiny.en".as_ref();
    /// let both = ossicle::Transcriber::open_several(folder, ossicle::Options::default(), 2)?;
    /// assert_eq!(both.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open_several(path: &Path, options: Options, count: usize) -> Result<Vec<Self>, OpenError> {
        let folder = ModelFolder::open(path)?;
        (0..count).map(|_| Self::open_weights(path, Arc::clone(&folder), options)).collect()
    }

    fn open_weights(path: &Path, folder: Arc<ModelFolder<WhisperConfig>>, options: Options) -> Result<Self, OpenError> {
        let clock = Instant::now();
        let generation_config = folder.read_text("generation_config.json")?;
        let tokenizer_json = folder.read_text("tokenizer.json")?;
        let graph_options = options.threads(options.threads.max(1));
        let memory = WhisperGraph::memory_plan(&folder, graph_options, folder.config().max_source_positions)?;
        let graph = WhisperGraph::new(folder, graph_options)?;
        let pipeline = Pipeline::new(graph, &generation_config, tokenizer_json)?;
        // Now, for a damaged one would be found with the first text only.
        pipeline.tokenizer()?.check_texts(pipeline.specials().eot).map_err(TranscribeError::from)?;
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { pipeline, name, memory, load_seconds: clock.elapsed().as_secs_f64() })
    }

    /// The folder's name.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// assert_eq!(transcriber.name(), "whisper-tiny.en");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes the network needs for the longest window.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// assert!(transcriber.memory_plan().total() < 100_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_plan(&self) -> MemoryPlan {
        self.memory
    }

    /// Seconds that opening took.
    pub fn load_seconds(&self) -> f64 {
        self.load_seconds
    }

    /// The pipeline.
    pub fn pipeline(&mut self) -> &mut Pipeline<WhisperGraph> {
        &mut self.pipeline
    }

    /// Hands every tensor of the transcriptions from now on to `tap`, in the order they are computed; `None` ends that.
    ///
    /// Of the same samples and options every instruction set and number of threads gives the same steps and the same tensors, bit for bit.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.pipeline.engine_mut().set_tap(tap.clone());
        self.pipeline.set_trace(tap);
    }

    /// Whether the model knows languages other than English.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// assert!(!transcriber.is_multilingual());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_multilingual(&self) -> bool {
        self.pipeline.specials().multilingual
    }

    /// Checks options against the model.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::TranscribeOptions;
    ///
    /// let transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// assert!(transcriber.check(&TranscribeOptions::default()).is_ok());
    /// let french = TranscribeOptions { language: Some("fr".to_owned()), ..TranscribeOptions::default() };
    /// assert!(transcriber.check(&french).is_err(), "this model knows English only");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If they do not fit.
    pub fn check(&self, options: &TranscribeOptions) -> Result<(), TranscribeError> {
        self.pipeline.check(options)
    }

    /// The segments of a recording, one after the other, in constant memory: no window is computed before its segments are asked for, so that the
    /// iterator can be dropped at any time.
    ///
    /// # Errors
    /// If an option does not fit the model.
    pub fn segments<'a>(
        &'a mut self,
        source: &'a mut dyn SampleSource,
        options: &'a TranscribeOptions,
    ) -> Result<Transcription<'a>, TranscribeError> {
        Transcription::begin(&mut self.pipeline, source, options)
    }

    /// Transcribes 16 kHz mono samples, handing out each segment as soon as it is known.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let mut transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// let silence = vec![0.0; 16_000];
    /// let summary = transcriber.transcribe(&silence, &ossicle::TranscribeOptions::default(), &mut |segment| println!("{}", segment.text))?;
    /// assert_eq!(summary.segments, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If an option does not fit the model, a sample is not finite or the network fails.
    pub fn transcribe(
        &mut self,
        samples: &[f32],
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.transcribe_source(&mut &*samples, options, on_segment)
    }

    /// Transcribes a source of any length in constant memory.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::{Audio, TranscribeOptions};
    ///
    /// let mut transcriber = ossicle::Transcriber::open("whisper-tiny.en", ossicle::Options::default())?;
    /// let mut audio = Audio::open("samples/kitchen.wav")?;
    /// let summary = transcriber.transcribe_source(&mut audio, &TranscribeOptions::default(), &mut |segment| println!("{}", segment.text))?;
    /// assert_eq!(summary.segments, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`transcribe`](Self::transcribe), and if the source fails.
    pub fn transcribe_source(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        on_segment: &mut dyn FnMut(Segment),
    ) -> Result<Summary, TranscribeError> {
        self.pipeline.transcribe(source, options, on_segment)
    }

    /// The same; also tells what was dropped and, with `events`, the sound events heard in what the encoder gives. Silent windows are then encoded, too.
    ///
    /// # Errors
    /// As for [`transcribe_source`](Self::transcribe_source).
    pub fn transcribe_with(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        events: Option<&mut EncodedEvents>,
        on_told: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.pipeline.transcribe_with(source, options, events, on_told)
    }

    /// Transcribes recordings of the same time side by side, such as the two sides of a call: what is told comes in order of time, with the
    /// number of the recording it was heard in, from 0.
    ///
    /// # Errors
    /// As for [`transcribe_source`](Self::transcribe_source).
    pub fn transcribe_side_by_side(
        &mut self,
        sources: &mut [&mut dyn SampleSource],
        options: &TranscribeOptions,
        on_told: &mut dyn FnMut(usize, Told),
    ) -> Result<Vec<Summary>, TranscribeError> {
        self.pipeline.transcribe_side_by_side(sources, options, on_told)
    }
}
