//! Folders of sentences in Home Assistant's layout, and the house they are for.

use std::fs;
use std::path::{Path, PathBuf};

use ossicle_sentences::MAX_FILE_BYTES;
use ossicle_sentences::hass::{Corpus, House, Intents, MAX_BYTES, MAX_FILES, SourceFile, wants_folder};

use crate::fault::{self, Fault};
use crate::input;

const LAYOUT: &str = "give a folder with sentences/LANGUAGE/, or one of YAML files with intents:";

/// The house that a folder of sentences is for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HouseArgs {
    /// Areas, floors and entities that sentences of a folder name (see `ossicle command house`)
    #[arg(long, value_name = "FILE.yaml", requires = "sentences")]
    pub(crate) home: Option<PathBuf>,
    /// Area of the device that hears: where sentences leave it open, answers give it
    #[arg(long, value_name = "NAME", requires = "sentences")]
    pub(crate) area: Option<String>,
}

impl HouseArgs {
    /// Reads the house; an empty one if there is none.
    pub(crate) fn house(&self) -> Result<House, Fault> {
        let Some(path) = &self.home else { return Ok(House::default()) };
        let name = path.display().to_string();
        let remedy = "give a file with areas:, floors: and entities:";
        let text = input::text(path, MAX_FILE_BYTES).map_err(|error| Fault::new(error, &name, remedy))?;
        House::parse(&name, &text).map_err(Fault::line)
    }

    /// Reads and compiles a folder for the house, and tells what was passed over.
    pub(crate) fn intents(&self, folder: &str, language: Option<&str>) -> Result<Intents, Fault> {
        let house = self.house()?;
        let corpus = read(folder, language)?;
        if let Some(note) = corpus.note() {
            fault::tell(format_args!("{folder}: {note}"));
        }
        let intents = Intents::new(corpus, &house).map_err(Fault::line)?;
        Ok(intents.in_area(self.area.clone()))
    }
}

/// Whether `name` is a folder of sentences, and not a file or a pack. A pack's name means the pack wherever it is said; `./home` is a folder.
pub(crate) fn is_folder(name: &str) -> bool {
    ossicle_sentences::pack(name).is_none() && Path::new(name).is_dir()
}

/// Reads the sentences of a folder in `language`, which need not be given if there is only one.
fn read(folder: &str, language: Option<&str>) -> Result<Corpus, Fault> {
    let mut walk = Walk { root: Path::new(folder), language: String::new(), files: Vec::new(), entries: 0, bytes: 0 };
    walk.language = language.map_or_else(|| walk.only_language(), |language| Ok(language.to_owned()))?;
    walk.folder(String::new())?;
    Corpus::read(folder, &walk.language, &walk.files).map_err(Fault::line)
}

/// A way through a folder that ends where it grows too large.
struct Walk<'a> {
    root: &'a Path,
    language: String,
    files: Vec<SourceFile>,
    entries: usize,
    bytes: usize,
}

impl Walk<'_> {
    fn fault(&self, problem: impl std::fmt::Display, path: &str) -> Fault {
        Fault::new(problem, self.root.join(path).display(), LAYOUT)
    }

    /// The names in a folder, sorted: files, then folders.
    fn names(&mut self, path: &str) -> Result<(Vec<String>, Vec<String>), Fault> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(self.root.join(path)).map_err(|error| self.fault(format!("cannot read: {error}"), path))?;
        for entry in entries {
            self.entries += 1;
            if self.entries > MAX_FILES {
                return Err(self.fault(format!("more than {MAX_FILES} files and folders"), ""));
            }
            let entry = entry.map_err(|error| self.fault(format!("cannot read: {error}"), path))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(name),
                // What is no file might never end.
                _ if (name.ends_with(".yaml") || name.ends_with(".yml")) && entry.path().is_file() => files.push(name),
                _ => {}
            }
        }
        files.sort_unstable();
        folders.sort_unstable();
        Ok((files, folders))
    }

    /// The language, where there is only one.
    fn only_language(&mut self) -> Result<String, Fault> {
        let below = ["sentences", "custom_sentences"].into_iter().find(|below| self.root.join(below).is_dir());
        let Some(below) = below else { return Ok("en".to_owned()) };
        let (_, mut languages) = self.names(below)?;
        match (languages.len(), languages.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => Err(self.fault("no language", below)),
            (_, Some(last)) => {
                let what = format!("{} languages, up to {last}", languages.len() + 1);
                Err(Fault::new(what, self.root.join(below).display(), "say which with --language"))
            }
        }
    }

    fn folder(&mut self, path: String) -> Result<(), Fault> {
        let (files, folders) = self.names(&path)?;
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        for file in files.iter().map(|name| below(name)) {
            let text = input::text(&self.root.join(&file), MAX_FILE_BYTES).map_err(|error| self.fault(error, &file))?;
            self.bytes += text.len();
            if self.bytes > MAX_BYTES {
                return Err(self.fault(format!("more than {MAX_BYTES} bytes of sentences"), ""));
            }
            self.files.push(SourceFile { path: file, text });
        }
        for folder in folders.iter().map(|name| below(name)) {
            if wants_folder(&folder, &self.language) {
                self.folder(folder)?;
            }
        }
        Ok(())
    }
}
