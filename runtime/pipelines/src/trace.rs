//! What a trace says of a transcription: enough to repeat it on another machine.
//!
//! The tensors themselves come from [`Transcriber::set_tap`](crate::whisper::transcriber::Transcriber::set_tap).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ossicle_models::MAX_THREADS;
use ossicle_models::folder::NUMERICS_VERSION;
use ossicle_trace::{Header, Input, Machine, Model, sha256_hex};
use serde::{Deserialize, Serialize};

use crate::generate::{Request, Sampling, text_folder};
use crate::speak::Settings;
use crate::whisper::options::TranscribeOptions;
use crate::whisper::transcriber::Options;

/// This library and its version, as traces name it.
pub const PROGRAM: &str = concat!("ossicle ", env!("CARGO_PKG_VERSION"));

/// The pipeline's name in traces.
pub const TRANSCRIBE: &str = "transcribe";

/// The name of the one that detects sound events.
pub const DETECT: &str = "detect";

/// The name of the one that labels images and recordings.
pub const LABEL: &str = "label";

/// The name of the one that turns images into vectors.
pub const EMBED: &str = "embed";

/// The name of the one that says phonemes.
pub const SPEAK: &str = "speak";

/// The name of the one that makes sounds from descriptions.
pub const GENERATE: &str = "generate";

/// Files of a folder that makes sounds from descriptions that bits depend on, but those of what encodes descriptions.
pub(crate) const SOUND_FILES: [&str; 5] =
    ["config.json", "generation_config.json", "model.safetensors", "codec/config.json", "codec/model.safetensors"];

/// Files of what encodes descriptions that bits depend on.
const TEXT_FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// Files of a voice's folder that bits depend on.
pub(crate) const VOICE_FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.json"];

/// Files of a CLIP's folder that bits of images' vectors depend on.
pub(crate) const IMAGE_FILES: [&str; 3] = ["config.json", "model.safetensors", "preprocessor_config.json"];

/// Files of a network's folder that bits depend on.
pub(crate) const NETWORK_FILES: [&str; 4] = ["config.json", "labels.txt", "model.safetensors", "preprocessor_config.json"];

/// Files of a folder that hears sound events that bits depend on.
pub(crate) const EVENTS_FILES: [&str; 3] = ["config.json", "labels.txt", "model.safetensors"];

/// Files of a Whisper's folder that bits depend on.
pub(crate) const MODEL_FILES: [&str; 4] = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];

/// Settings of sounds as traces have them; each line's sound has the same seed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    seconds: f64,
    seed: u64,
    guidance: f32,
    temperature: f32,
    top_k: usize,
    top_p: f32,
}

impl From<Request> for Wanted {
    fn from(request: Request) -> Self {
        let Request { seconds, given: _, seed, guidance, sampling: Sampling { temperature, top_k, top_p } } = request;
        Self { seconds, seed, guidance, temperature, top_k, top_p }
    }
}

impl From<Wanted> for Request {
    fn from(Wanted { seconds, seed, guidance, temperature, top_k, top_p }: Wanted) -> Self {
        Self { seconds, given: 0, seed, guidance, sampling: Sampling { temperature, top_k, top_p } }
    }
}

/// A file whose digest cannot be computed.
#[derive(Debug)]
pub struct DigestError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl std::fmt::Display for DigestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for DigestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The last part of a path, as traces name files: no folder of the machine is in them, and U+FFFD stands for what cannot be printed.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().replace(char::is_control, "\u{fffd}")
}

/// A file to be transcribed; `raw_rate` for samples without a header.
///
/// # Errors
/// If it cannot be read.
pub fn input(path: &Path, raw_rate: Option<u32>) -> Result<Input, DigestError> {
    Ok(Input { name: file_name(path), sha256: Some(file_digest(path)?), raw_rate })
}

/// A model folder, with the digests of its files as they are now.
///
/// # Errors
/// If one of them cannot be read.
pub fn model(folder: &Path) -> Result<Model, DigestError> {
    model_of(folder, &MODEL_FILES)
}

/// As [`model`], for a YAMNet, classes of one's own on it, or a head on Whisper's encoder.
///
/// # Errors
/// If one of the files cannot be read.
pub fn events(folder: &Path) -> Result<Model, DigestError> {
    model_of(folder, &EVENTS_FILES)
}

/// As [`model`], for a network from ONNX.
///
/// # Errors
/// If one of the files cannot be read.
pub fn network(folder: &Path) -> Result<Model, DigestError> {
    model_of(folder, &NETWORK_FILES)
}

/// As [`model`], for the image tower of a CLIP.
///
/// # Errors
/// If one of the files cannot be read.
pub fn image_tower(folder: &Path) -> Result<Model, DigestError> {
    model_of(folder, &IMAGE_FILES)
}

/// As [`model`], for a voice.
///
/// # Errors
/// If one of the files cannot be read.
pub fn voice(folder: &Path) -> Result<Model, DigestError> {
    model_of(folder, &VOICE_FILES)
}

/// As [`model`], for what makes sounds from descriptions; files of the encoder of descriptions are named `text/...`, wherever it is.
///
/// # Errors
/// If one of the files cannot be read.
pub fn sounds(folder: &Path) -> Result<Model, DigestError> {
    let mut model = model_of(folder, &SOUND_FILES)?;
    let text = text_folder(folder).map_err(|error| DigestError { path: folder.to_owned(), source: io::Error::other(error) })?;
    let files = model_of(&text, &TEXT_FILES)?.files;
    model.files.extend(files.into_iter().map(|(name, digest)| (format!("text/{name}"), digest)));
    Ok(model)
}

/// As [`model`], with these files of it.
///
/// # Errors
/// If one of them cannot be read.
pub fn model_of(folder: &Path, files: &[&str]) -> Result<Model, DigestError> {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let digests = files.iter().map(|&name| Ok((name.to_owned(), file_digest(&folder.join(name))?)));
    Ok(Model { name: file_name(&absolute), files: digests.collect::<Result<_, _>>()? })
}

/// The header of a transcription's trace; what hears sound events goes into its `beside`.
///
/// # Errors
/// If the options cannot be written down, which is a bug.
pub fn header(input: Input, model: Model, options: &TranscribeOptions, run: Options) -> serde_json::Result<Header> {
    Ok(of(TRANSCRIBE, input, model, serde_json::to_value(options)?, run))
}

/// The header of a trace of sound events, scored every `hop_frames`; classes of one's own go into its `beside`. By which rules scores become
/// events is not in it: no tensor depends on them.
pub fn detect_header(input: Input, model: Model, hop_frames: usize, run: Options) -> Header {
    of(DETECT, input, model, serde_json::json!({ "hop_frames": hop_frames }), run)
}

/// The header of a trace of labels.
pub fn label_header(input: Input, model: Model, run: Options) -> Header {
    of(LABEL, input, model, serde_json::json!({}), run)
}

/// The header of a trace of an image's vector. Labels in words are not in it: no tensor of the image tower depends on them.
pub fn embed_header(input: Input, model: Model, run: Options) -> Header {
    of(EMBED, input, model, serde_json::json!({}), run)
}

/// The header of a trace of phonemes that are said, line by line; line `n` has the seed `seed + n`. Of a model with several voices, `voices` says which
/// of them were mixed.
pub fn speak_header(input: Input, model: Model, settings: Settings, voices: Option<&str>, run: Options) -> Header {
    let Settings { speed, seed, .. } = settings;
    let mut said = serde_json::json!({ "speed": speed, "seed": seed });
    if let Some(voices) = voices {
        said["voices"] = voices.into();
    }
    of(SPEAK, input, model, said, run)
}

/// The header of a trace of sounds from descriptions, all with the seed of `request`, none of which goes on from another.
///
/// # Errors
/// If the settings cannot be written down, which is a bug.
pub fn generate_header(input: Input, model: Model, request: Request, run: Options) -> serde_json::Result<Header> {
    Ok(of(GENERATE, input, model, serde_json::to_value(Wanted::from(request))?, run))
}

/// The header of a trace of a pipeline with settings as it reads them.
pub fn of(pipeline: &str, input: Input, model: Model, settings: serde_json::Value, run: Options) -> Header {
    Header {
        program: PROGRAM.to_owned(),
        numerics: NUMERICS_VERSION,
        pipeline: pipeline.to_owned(),
        input,
        model,
        beside: vec![],
        settings,
        isa: run.isa.name().to_owned(),
        threads: run.threads.clamp(1, MAX_THREADS),
        machine: Machine::this(),
        keyed: false,
    }
}

/// The options that a trace was made with.
///
/// # Errors
/// If they are not those of this version.
pub fn options(header: &Header) -> serde_json::Result<TranscribeOptions> {
    serde_json::from_value(header.settings.clone())
}

fn file_digest(path: &Path) -> Result<String, DigestError> {
    File::open(path).and_then(sha256_hex).map_err(|source| DigestError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whisper::options::{Quality, Task};
    use crate::whisper::window::Window;

    #[test]
    fn options_come_back_as_they_were() {
        let all = [
            TranscribeOptions::default(),
            TranscribeOptions {
                language: Some("de".into()),
                task: Task::Translate,
                window: Window::Seconds(7),
                timestamps: false,
                initial_prompt: Some("names".into()),
                quality: Quality::off(),
                ..TranscribeOptions::default()
            },
            TranscribeOptions {
                window: Window::Auto { margin_seconds: Some(0.1) },
                quality: Quality { temperatures: vec![0.1, f32::MIN_POSITIVE], seed: u64::MAX, ..Quality::default() },
                ..TranscribeOptions::default()
            },
        ];
        for options in all {
            let header = header(Input::default(), Model::default(), &options, Options::default()).unwrap();
            let text = serde_json::to_string(&header).unwrap();
            assert_eq!(super::options(&serde_json::from_str(&text).unwrap()).unwrap(), options, "{text}");
        }
        let mut header = header(Input::default(), Model::default(), &TranscribeOptions::default(), Options::default()).unwrap();
        header.settings["new_option"] = 1.into();
        assert!(super::options(&header).unwrap_err().to_string().contains("new_option"), "unknown options are not passed over");
    }

    #[test]
    fn the_number_of_threads_is_what_runs() {
        let run = |threads| Options { threads, ..Options::default() };
        let of = |threads| header(Input::default(), Model::default(), &TranscribeOptions::default(), run(threads)).unwrap().threads;
        assert_eq!([0, 1, 8, 9, usize::MAX].map(of), [1, 1, 8, 8, 8]);
    }

    #[test]
    fn names_have_no_folders() {
        assert_eq!(file_name(Path::new("/home/somebody/a.wav")), "a.wav");
        assert_eq!(file_name(Path::new("-")), "-");
        assert_eq!(file_name(Path::new("two\nlines.wav")), "two\u{fffd}lines.wav");
    }
}
