//! What a client asks for: the fields of a form.

use std::io::{ErrorKind, Read};

use ossicle::audio::Pcm;
use ossicle::formats::Format;
use ossicle::whisper::options::TranscribeOptions;

use super::answer::ApiError;
use super::media;
use super::multipart::{Form, FormError};
use crate::card::{ModelCard, language};
use crate::spill::{Spill, SpillError};

/// Most bytes of a field that is not the recording.
const MAX_FIELD_BYTES: usize = 16 << 10;

/// Bytes of a body that is a recording taken at a time.
const BLOCK_BYTES: usize = 16 << 10;

/// The name under which clients that know only OpenAI's models ask for this one.
const ALIAS: &str = "whisper-1";

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Json,
    VerboseJson,
    /// Text, SubRip or WebVTT.
    Plain(Format),
}

/// A request for a transcript.
pub(super) struct Request {
    pub(super) file: Spill,
    /// What its samples are, if its type says so and no header does.
    pub(super) samples: Option<Pcm>,
    pub(super) options: TranscribeOptions,
    pub(super) shape: Shape,
    pub(super) stream: bool,
    /// Whether segments and words are wanted in [`Shape::VerboseJson`].
    pub(super) segments: bool,
}

/// Reads a form to its end.
pub(super) fn read<R: Read>(form: &mut Form<R>, card: &ModelCard, defaults: &TranscribeOptions, file: Spill) -> Result<Request, ApiError> {
    let (mut empty, mut file) = (Some(file), None);
    let (mut options, mut shape) = (defaults.clone(), Shape::default());
    let (mut stream, mut segments, mut words, mut model, mut samples) = (false, false, false, None, None);
    while let Some(name) = form.next().map_err(form_error)? {
        if name == "file" {
            samples = form.content_type().and_then(media::samples);
            let to = empty.take().ok_or_else(|| ApiError::parameter("file", "give one recording"))?;
            file = Some(spill(form, to)?);
            continue;
        }
        let value = field(form)?;
        if value.trim().is_empty() {
            // Forms send a field that nobody filled in.
            continue;
        }
        match base(&name) {
            "model" => model = Some(value.trim().to_owned()),
            "language" => options.language = (value.trim() != "auto").then(|| language(value.trim())),
            "prompt" => options.initial_prompt = Some(value),
            "response_format" => shape = self::shape(value.trim())?,
            "stream" => stream = flag(value.trim()).ok_or_else(|| ApiError::parameter("stream", "give true or false"))?,
            "temperature" => {
                let temperature = value.trim().parse().ok().filter(|t| (0.0..=1.0).contains(t));
                let temperature = temperature.ok_or_else(|| ApiError::parameter("temperature", "give a number from 0 to 1"))?;
                // As the interface has it: at 0 the model may raise it by itself.
                if temperature > 0.0 {
                    options.quality.temperatures = vec![temperature];
                }
            }
            "timestamp_granularities" => {
                for granularity in list(&value) {
                    match granularity.as_str() {
                        "word" => words = true,
                        "segment" => segments = true,
                        _ => return Err(ApiError::parameter("timestamp_granularities", "give word, segment or both")),
                    }
                }
            }
            "include" => return Err(ApiError::parameter("include", "log-probabilities of tokens are not given here")),
            // Others change nothing that this model does.
            _ => {}
        }
    }
    let file = file.ok_or_else(|| ApiError::parameter("file", "give a recording"))?;
    let model = model.ok_or_else(|| ApiError::parameter("model", format_args!("give {} or {ALIAS}", card.name)))?;
    check_model(&model, card)?;
    if words && shape != Shape::VerboseJson {
        return Err(ApiError::parameter("timestamp_granularities", "words go with response_format verbose_json"));
    }
    if stream && !matches!(shape, Shape::Json | Shape::Plain(Format::Text)) {
        return Err(ApiError::parameter("stream", "goes with response_format json or text"));
    }
    options.word_timestamps |= words || card.aligns && matches!(shape, Shape::Plain(format) if format.is_subtitles());
    Ok(Request { file, samples, options, shape, stream, segments: segments || !words })
}

/// A body that is a recording itself: it is answered as a form with nothing else in it would be.
pub(super) fn recording<R: Read>(
    body: &mut R,
    content_type: &str,
    defaults: &TranscribeOptions,
    mut file: Spill,
) -> Result<Request, ApiError> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match body.read(&mut block) {
            Ok(0) => break,
            Ok(read) => file.push(&block[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(form_error(FormError::Io(error))),
        }
    }
    let (samples, options) = (media::samples(content_type), defaults.clone());
    Ok(Request { file, samples, options, shape: Shape::default(), stream: false, segments: true })
}

/// Refuses any model but the one that is there.
pub(super) fn check_model(name: &str, card: &ModelCard) -> Result<(), ApiError> {
    if name == card.name || name == ALIAS {
        return Ok(());
    }
    let message = format!("model {}: not here: give {} or {ALIAS}", name.escape_debug(), card.name);
    Err(ApiError::new(404, message).code("model_not_found"))
}

fn shape(value: &str) -> Result<Shape, ApiError> {
    match value {
        "json" => Ok(Shape::Json),
        "verbose_json" => Ok(Shape::VerboseJson),
        "text" | "srt" | "vtt" => Ok(Shape::Plain(Format::from_name(value).unwrap_or_default())),
        _ => Err(ApiError::parameter("response_format", "give json, text, srt, verbose_json or vtt")),
    }
}

/// The name of a field without the brackets that clients mark lists with: `name[]`, `name[0]`.
fn base(name: &str) -> &str {
    match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((base, index)) if index.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => name,
    }
}

/// The items of a list in one field: a JSON array, or text with commas; an item alone is a list of one.
fn list(value: &str) -> Vec<String> {
    if let Ok(items) = serde_json::from_str(value) {
        return items;
    }
    let items = value.split(',').map(|item| item.trim().trim_matches('"').to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn spill<R: Read>(form: &mut Form<R>, mut file: Spill) -> Result<Spill, ApiError> {
    while let Some(bytes) = form.data().map_err(form_error)? {
        file.push(bytes)?;
    }
    Ok(file)
}

fn field<R: Read>(form: &mut Form<R>) -> Result<String, ApiError> {
    let mut value = Vec::new();
    while let Some(bytes) = form.data().map_err(form_error)? {
        value.extend_from_slice(bytes);
        if value.len() > MAX_FIELD_BYTES {
            return Err(ApiError::new(413, format_args!("a field is longer than {MAX_FIELD_BYTES} bytes")));
        }
    }
    String::from_utf8(value).map_err(|_| ApiError::new(400, "a field is not UTF-8"))
}

impl From<SpillError> for ApiError {
    fn from(error: SpillError) -> Self {
        match error {
            SpillError::TooLarge { .. } => Self::new(413, error),
            SpillError::Full => Self::busy(error),
            SpillError::Io(_) => Self::new(500, error),
        }
    }
}

fn form_error(error: FormError) -> ApiError {
    match error {
        FormError::Io(error) if error.kind() == ErrorKind::TimedOut => ApiError::new(408, "the request took too long to arrive"),
        FormError::Io(error) if error.kind() == ErrorKind::FileTooLarge => ApiError::new(413, "the form is too large"),
        FormError::Io(error) => ApiError::new(400, error),
        FormError::Bad(reason) => ApiError::new(400, reason),
    }
}
