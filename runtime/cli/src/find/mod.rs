//! `ossicle find`.

mod models;
mod take;
mod write;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::find::{Files, FindError, Finder, Index, IndexError, Kind, Lock, MODEL, Update};

use crate::fault::{self, Fault};
use crate::interrupt;
use crate::model::MachineArgs;
use models::{Chosen, Pictures, Sounds};

const EXAMPLES: &str = "\
Examples:
  ossicle find \"a dog barking\" recordings
  ossicle find \"a red car\" photos --model clip
  ossicle find --like beach.jpg photos --top 3
  ossicle find \"someone snoring\" night-1 night-2 --index-file nights.index --top 3
  ossicle find --index recordings
  ossicle find \"glass breaking\" recordings --no-update --format jsonl

The first search in a folder listens to all recordings there and below, looks at all pictures, and keeps what it heard and saw in one file,
.ossicle-index in the folder; later ones do so with new and changed files only. Files that were moved are known again, those that are gone are
forgotten, and those that could not be read are told and tried again. A search that is stopped or killed goes on where it last saved, some
seconds before.

The score orders recordings: it says how much of the words is heard next to other sounds. 1 and more is a likely match. Pictures have a score
of their own, the cosine of two vectors: 1 is the same picture; for words 0.5 and more is mostly right with efficientnet-lite0, and 0.3 is much
with a CLIP.

Exit status: 0 done; 1 some files could not be read, or not to their end; 2 bad usage or bad input; 130 stopped by a signal.";

/// The index's name in a folder.
const INDEX_FILE: &str = ".ossicle-index";

/// What to find, and where.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The words, then folders of recordings and pictures; with --like or --index folders only
    #[arg(value_name = "WORDS|FOLDER", required = true)]
    arguments: Vec<String>,
    /// Find pictures like this one
    #[arg(long, value_name = "PICTURE")]
    like: Option<PathBuf>,
    /// Only bring the index up to date
    #[arg(long, conflicts_with = "like")]
    index: bool,
    /// Only recordings, or only pictures [default: both]
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<KindName>,
    /// Where the index is [default: .ossicle-index in the folder]
    #[arg(long, value_name = "FILE")]
    index_file: Option<PathBuf>,
    /// Search the index as it is, without looking for new files
    #[arg(long, conflicts_with = "index")]
    no_update: bool,
    /// Make the index anew, as after a change of models; with --kind that of this kind
    #[arg(long, conflicts_with = "no_update")]
    rebuild: bool,
    /// Files of each kind to write, the best first
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Parts of each recording to write, the best first
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    windows: u32,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// What looks at pictures (a CLIP, or efficientnet-lite0) or listens (YAMNet without a head): a name (see `ossicle models list`) or a folder;
    /// may be given for each [default: yamnet and efficientnet-lite0]
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Vec<String>,
    /// Sentence encoder that understands the words for sounds: a name or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = MODEL)]
    find_model: String,
    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Text,
    Json,
    Jsonl,
    Tsv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    Sounds,
    Pictures,
}

/// What was asked for, with folders in full.
struct Task<'a> {
    args: &'a Args,
    words: Option<&'a str>,
    /// As they were given.
    given: Vec<&'a str>,
    /// In full.
    folders: Vec<PathBuf>,
    file: PathBuf,
    sounds: Option<Sounds>,
    pictures: Option<Pictures>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (words, given) = match args.arguments.split_first() {
        Some((words, folders)) if !args.index && args.like.is_none() => (Some(words.as_str()), folders),
        _ => (None, &args.arguments[..]),
    };
    if given.is_empty() {
        return Err(Fault::line("no folder: give the words and a folder of recordings: ossicle find \"a dog barking\" recordings").into());
    }
    if args.like.is_some() && args.kind == Some(KindName::Sounds) {
        return Err(Fault::line("--kind sounds: --like finds pictures: leave one of them out").into());
    }
    let folders = given.iter().map(|folder| full(folder)).collect::<Result<Vec<_>, Fault>>()?;
    let file = match (&args.index_file, &folders[..]) {
        (Some(file), _) => file.clone(),
        (None, [folder]) => folder.join(INDEX_FILE),
        (None, _) => return Err(Fault::line("several folders: say where their index is: add --index-file FILE").into()),
    };
    if words.is_some_and(|words| words.trim().is_empty()) {
        return Err(Fault::line(format!("{:?}: there is no word in it: give one", words.unwrap_or_default())).into());
    }
    interrupt::catch()?;
    let chosen = Chosen::new(args)?;
    let given = given.iter().map(String::as_str).collect();
    let mut task = Task { args, words, given, folders, file, sounds: None, pictures: None };
    let files = if args.no_update { None } else { Some(task.files()?) };
    let index = task.open()?;
    // What there is none of needs no model.
    let there = |kind: &Kind| index.has(*kind) || files.as_ref().is_some_and(|files| files.has(*kind));
    let mut kinds: Vec<Kind> = task.asked().into_iter().filter(there).collect();
    if kinds.is_empty() {
        kinds = task.asked()[..1].to_vec();
    }
    // Words that cannot be looked for are told before hours of listening.
    if kinds.contains(&Kind::Sound) {
        task.sounds = Some(Sounds::new(args, &chosen, words)?);
    }
    if kinds.contains(&Kind::Picture) {
        task.pictures = Some(Pictures::new(args, &chosen, words)?);
    }
    let (index, status) = match files {
        None => (task.checked(index)?, ExitCode::SUCCESS),
        Some(files) => task.update(index, files, &kinds)?,
    };
    if status != interrupt::status() && !args.index {
        task.write(&task.search(&index)?, &mut io::stdout().lock())?;
    }
    Ok(status)
}

fn full(folder: &str) -> Result<PathBuf, Fault> {
    let path = fs::canonicalize(folder).map_err(|e| Fault::new(e, folder, "give a folder of recordings or pictures"))?;
    if path.is_dir() { Ok(path) } else { Err(Fault::new("no folder", folder, "give a folder of recordings or pictures")) }
}

pub(crate) fn find_fault(error: FindError) -> anyhow::Error {
    match error {
        FindError::Folder(error) => fault::folder(error).into(),
        other => Fault::line(other).into(),
    }
}

fn index_fault(error: IndexError) -> Fault {
    Fault::line(error)
}

impl Task<'_> {
    /// Kinds that were asked for.
    fn asked(&self) -> Vec<Kind> {
        match self.args.kind {
            _ if self.args.like.is_some() => vec![Kind::Picture],
            None => Kind::ALL.to_vec(),
            Some(KindName::Sounds) => vec![Kind::Sound],
            Some(KindName::Pictures) => vec![Kind::Picture],
        }
    }

    fn files(&self) -> Result<Files, Fault> {
        Files::below(&self.folders).map_err(|e| Fault::new(e, self.given[0], "make the folders readable"))
    }

    /// The index as it is on disk, or an empty one; without what is to be made anew.
    fn open(&self) -> Result<Index, Fault> {
        let opened = match Index::open(&self.file) {
            // What is damaged cannot be made anew in part.
            Err(IndexError::Malformed { .. }) if self.args.rebuild => None,
            opened => opened.map_err(index_fault)?,
        };
        if self.args.no_update && opened.is_none() {
            return Err(Fault::new("no index", self.file.display(), "leave out --no-update to make it"));
        }
        let mut index = opened.unwrap_or_default();
        if self.args.rebuild {
            self.asked().into_iter().for_each(|kind| index.forget(kind));
        }
        Ok(index)
    }

    /// An index that was made by the models in use.
    fn checked(&self, mut index: Index) -> Result<Index, Fault> {
        if let Some(sounds) = &self.sounds {
            index.use_sounds(&self.file, sounds.models.clone()).map_err(index_fault)?;
        }
        if let Some(pictures) = &self.pictures {
            index.use_pictures(&self.file, pictures.model.clone()).map_err(index_fault)?;
        }
        Ok(index)
    }

    /// The index, brought up to date, and the exit status that what could not be read deserves.
    fn update(&mut self, index: Index, files: Files, kinds: &[Kind]) -> Result<(Index, ExitCode)> {
        let mut index = self.checked(index)?;
        let mut update = Update::plan(&index, &files, kinds);
        if kinds.contains(&Kind::Picture) && files.unread() > 0 {
            let line = format!("{} pictures of kinds that are not read (such as heic, tif, bmp): convert them to jpeg", files.unread());
            fault::complain(&format!("{}: {line}", self.given[0]));
        }
        if update.is_settled(&index) && update.new_files().is_empty() && self.file.exists() {
            return Ok((index, ExitCode::SUCCESS));
        }
        let _lock = Lock::take(&self.file).map_err(index_fault)?;
        // What another process wrote until now counts.
        index = self.checked(self.open()?)?;
        update = Update::plan(&index, &self.files()?, kinds);
        let status = self.take(&mut update, &mut index)?;
        update.apply(&mut index);
        index.save(&self.file).map_err(index_fault)?;
        if io::stderr().is_terminal() {
            let (new, moved, gone) = (update.new_files().len(), update.moved, update.gone);
            fault::tell(format_args!("{}: {new} new, {moved} moved, {gone} gone", self.file.display()));
        }
        Ok((index, status))
    }

    /// The best of each kind.
    fn search<'a>(&self, index: &'a Index) -> Result<Vec<ossicle::find::Hit<'a>>, Fault> {
        let (finder, args) = (Finder::new(index), self.args);
        let mut hits = vec![];
        if let Some(query) = self.sounds.as_ref().and_then(|sounds| sounds.query.as_ref()) {
            hits.extend(finder.sounds(query, &self.folders, args.top as usize, args.windows as usize));
        }
        if let Some(query) = self.pictures.as_ref().and_then(|pictures| pictures.query.as_ref()) {
            // A picture is always most like itself.
            let itself = args.like.as_ref().and_then(|path| fs::canonicalize(path).ok());
            hits.extend(finder.pictures(query, &self.folders, args.top as usize, itself.as_deref()));
        }
        Ok(hits)
    }

    /// A path as the folders were given.
    fn shown(&self, path: &Path) -> String {
        let below = |(given, full): (&&str, &PathBuf)| Some(Path::new(given).join(path.strip_prefix(full).ok()?));
        self.given.iter().zip(&self.folders).find_map(below).unwrap_or_else(|| path.to_owned()).display().to_string()
    }
}
