//! Finding model folders.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The environment variable that names a folder of model folders.
pub const MODELS_VARIABLE: &str = "OSSICLE_MODELS";

/// The folder of model folders in a source tree and beside a binary.
const MODELS_FOLDER: &str = "models-int8";

/// Why there is no model.
#[derive(Debug)]
pub enum ModelError {
    /// No folder of that name.
    NotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
        /// The models that are there.
        found: Vec<String>,
    },
    /// The path exists, but is no model folder.
    NotAModel {
        /// The path.
        path: PathBuf,
    },
    /// `config.json` cannot be read.
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, searched, found } => {
                write!(f, "model {name} not found in")?;
                for (i, path) in searched.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { " " } else { ", " }, path.display())?;
                }
                match found.as_slice() {
                    [] => write!(f, "; name a model folder or set {MODELS_VARIABLE}"),
                    found => write!(f, "; found: {}", found.join(", ")),
                }
            }
            Self::NotAModel { path } => write!(f, "{}: not a model folder (config.json is missing)", path.display()),
            Self::Config { path, reason } => write!(f, "{}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for ModelError {}

/// A model folder and what its `config.json` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// What it is: `whisper`, `yamnet` or `network`, or something that is not known here.
    pub kind: String,
    /// Version of the numerics contract its weights are made for.
    pub numerics_version: u32,
    /// Whether it knows languages other than English.
    pub multilingual: bool,
    /// Width of a Whisper.
    #[serde(skip_serializing_if = "is_zero")]
    pub d_model: usize,
    /// Layers of a Whisper's encoder.
    #[serde(skip_serializing_if = "is_zero")]
    pub encoder_layers: usize,
    /// Layers of a Whisper's decoder.
    #[serde(skip_serializing_if = "is_zero")]
    pub decoder_layers: usize,
    /// Mel bands.
    pub num_mel_bins: usize,
    /// Tokens of a Whisper.
    #[serde(skip_serializing_if = "is_zero")]
    pub vocab_size: usize,
    /// Classes of a classifier.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_labels: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Config {
    kind: String,
    model_type: String,
    numerics_version: u32,
    d_model: usize,
    encoder_layers: usize,
    decoder_layers: usize,
    num_mel_bins: usize,
    vocab_size: usize,
    num_labels: usize,
}

/// Where models are looked for, in order: `$OSSICLE_MODELS`, `models-int8` here, beside the executable (also as
/// `../share/ossicle/models`), and in the workspace the executable was built in.
pub fn search_path() -> Vec<PathBuf> {
    let exe = env::current_exe().ok();
    search_path_from(env::var_os(MODELS_VARIABLE).map(PathBuf::from), exe.as_deref())
}

fn search_path_from(variable: Option<PathBuf>, exe: Option<&Path>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = variable.into_iter().collect();
    paths.push(PathBuf::from(MODELS_FOLDER));
    if let Some(folder) = exe.and_then(Path::parent) {
        paths.push(folder.join(MODELS_FOLDER));
        if let Some(prefix) = folder.parent() {
            paths.push(prefix.join("share/ossicle/models"));
        }
        let target = folder.ancestors().find(|path| path.file_name().is_some_and(|name| name == "target"));
        paths.extend(target.and_then(Path::parent).map(|workspace| workspace.join(MODELS_FOLDER)));
    }
    paths
}

/// The model folder called `name`, or at the path `name`.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<PathBuf, ModelError> {
    find_in(name, search_path())
}

fn find_in(name: &str, searched: Vec<PathBuf>) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(name);
    if is_model(&path) {
        return Ok(path);
    }
    // A plain name is looked up; anything with a separator is a path.
    if path.components().count() == 1 && !Path::new(name).is_absolute() {
        if let Some(found) = searched.iter().map(|folder| folder.join(name)).find(|path| is_model(path)) {
            return Ok(found);
        }
        if !path.exists() {
            return Err(not_found(name, searched.clone(), &searched));
        }
    }
    if path.exists() { Err(ModelError::NotAModel { path }) } else { Err(not_found(name, vec![path], &searched)) }
}

fn not_found(name: &str, searched: Vec<PathBuf>, folders: &[PathBuf]) -> ModelError {
    let found = list_in(folders).into_iter().map(|model| model.name).collect();
    ModelError::NotFound { name: name.to_owned(), searched, found }
}

fn is_model(path: &Path) -> bool {
    path.join("config.json").is_file()
}

/// What `config.json` and the files of a model folder say.
///
/// # Errors
/// If `config.json` cannot be read.
pub fn info(path: &Path) -> Result<ModelInfo, ModelError> {
    let file = path.join("config.json");
    let unreadable = |reason: String| ModelError::Config { path: file.clone(), reason };
    let text = fs::read_to_string(&file).map_err(|error| unreadable(error.to_string()))?;
    let config: Config = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let generation = fs::read_to_string(path.join("generation_config.json")).unwrap_or_default();
    let generation = crate::whisper::config::GenerationConfig::from_json(&generation).unwrap_or_default();
    let entries = fs::read_dir(path).map_err(|error| unreadable(error.to_string()))?;
    let bytes = entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|m| m.len()).sum();
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Ok(ModelInfo {
        name: absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        path: path.to_owned(),
        kind: if config.kind.is_empty() { config.model_type } else { config.kind },
        numerics_version: config.numerics_version,
        multilingual: generation.is_multilingual,
        d_model: config.d_model,
        encoder_layers: config.encoder_layers,
        decoder_layers: config.decoder_layers,
        num_mel_bins: config.num_mel_bins,
        vocab_size: config.vocab_size,
        num_labels: config.num_labels,
        bytes,
    })
}

/// All model folders on the search path, by name; of several with one name the first found.
pub fn list() -> Vec<ModelInfo> {
    list_in(&search_path())
}

fn list_in(folders: &[PathBuf]) -> Vec<ModelInfo> {
    let mut models: Vec<ModelInfo> = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_model(path)) {
            if let Ok(model) = info(&path)
                && models.iter().all(|known| known.name != model.name)
            {
                models.push(model);
            }
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("ossicle-models-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn model(&self, name: &str, config: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("config.json"), config).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn finds_by_name_and_by_path() {
        let folder = Folder::new("find");
        let model = folder.model("whisper-x", "{}");
        let empty = folder.0.join("nothing");
        assert_eq!(find_in("whisper-x", vec![empty.clone(), folder.0.clone()]).unwrap(), model);
        assert_eq!(find_in(model.to_str().unwrap(), vec![]).unwrap(), model);
        let error = find_in("whisper-y", vec![folder.0.clone()]).unwrap_err();
        let line = error.to_string();
        assert!(line.contains("whisper-y not found in ") && line.ends_with("; found: whisper-x"), "{line}");
        let nowhere = find_in("whisper-y", vec![empty.clone()]).unwrap_err().to_string();
        assert!(nowhere.ends_with("; name a model folder or set OSSICLE_MODELS"), "{nowhere}");
        assert!(matches!(find_in(folder.0.to_str().unwrap(), vec![]), Err(ModelError::NotAModel { .. })));
        assert!(matches!(find_in(empty.to_str().unwrap(), vec![]), Err(ModelError::NotFound { .. })));
    }

    #[test]
    fn lists_what_it_can_read_and_the_first_of_a_name() {
        let (a, b) = (Folder::new("a"), Folder::new("b"));
        a.model("m2", r#"{"kind": "whisper", "d_model": 384}"#);
        a.model("broken", "{");
        b.model("m2", r#"{"kind": "other"}"#);
        b.model("m1", r#"{"model_type": "whisper", "vocab_size": 51864}"#);
        let models = list_in(&[a.0.clone(), b.0.clone(), a.0.join("missing")]);
        let names: Vec<_> = models.iter().map(|m| (m.name.as_str(), m.kind.as_str(), m.d_model)).collect();
        assert_eq!(names, [("m1", "whisper", 0), ("m2", "whisper", 384)]);
    }

    #[test]
    fn the_search_path_ends_in_the_workspace() {
        let paths = search_path_from(Some("env".into()), Some(Path::new("/w/target/release/ossicle")));
        let expected = ["env", "models-int8", "/w/target/release/models-int8", "/w/target/share/ossicle/models", "/w/models-int8"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }
}
