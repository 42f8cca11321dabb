//! The folder that `ossicle watch` serves: recordings in, `done/` and `failed/` out.
//!
//! A recording in work is hidden as `.work-NAME`. What is found so at the start belonged to a program that was killed, and is taken up again,
//! hidden as `.again-NAME` then; if that is found at a start it goes to `failed/`, for it might kill the next program too. Others may write to the folder: nothing is opened but regular files, nothing is written
//! through links, and a file that somebody takes away is no error.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::fault::{self, Fault};

/// What the name of a recording in work begins with.
const MARK: &str = ".work-";
/// The same of one that a program was killed over before.
const AGAIN: &str = ".again-";

/// Most bytes of a name; leaves room for the mark, a number and `.json.part` in the 255 that file systems allow.
const MOST_NAME: usize = 200;

/// Longest extension that is kept when a name is cut, in bytes.
const MOST_EXTENSION: usize = 16;

/// Most files that one look takes in; the others wait for the next.
const MOST_FILES: usize = 10_000;

/// A file's size and time, to see whether somebody still writes it.
pub(crate) type Seen = (u64, Option<SystemTime>);

/// A recording taken into work.
#[derive(Debug)]
pub(crate) struct Work {
    /// Where it came from.
    origin: PathBuf,
    /// Where it is now.
    path: PathBuf,
    /// Its name as people read it: UTF-8 without control characters, at most [`MOST_NAME`] bytes.
    name: String,
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Recordings that cannot be taken, as they looked then.
    stuck: HashMap<PathBuf, Seen>,
    /// Recordings that a program was killed over: where they wait now.
    again: HashSet<PathBuf>,
    failures: usize,
    /// Held locked, where the system can lock a folder.
    _lock: Option<File>,
}

impl Work {
    /// The recording, if it is a regular file.
    pub(crate) fn path(&self) -> Result<&Path, Fault> {
        let metadata = fs::symlink_metadata(&self.path);
        if metadata.is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Fault::new("not a regular file", &self.name, "put a recording there, not a link or a pipe"));
        }
        Ok(&self.path)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Spool {
    /// Opens a folder for one program, and takes up again what an earlier one was killed over, once.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Fault::new("not a folder", folder.display(), "give an existing folder").into());
        }
        let lock = File::open(folder).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            return Err(Fault::new("watched by another ossicle", folder.display(), "end that one, or give another folder").into());
        }
        let mut spool = Self { folder: folder.to_owned(), stuck: HashMap::new(), again: HashSet::new(), failures: 0, _lock: lock };
        for name in ["done", "failed"] {
            spool.outbox(name)?;
        }
        spool.give_up_marked()?;
        Ok(spool)
    }

    /// How many recordings failed.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// The recordings waiting. Hidden files and those ending in `.part` are somebody's work in progress.
    pub(crate) fn look(&self) -> Result<HashMap<PathBuf, Seen>> {
        let mut look = HashMap::new();
        self.each(&mut |path, name, seen| {
            let ours = !name.starts_with('.') && !name.ends_with(".part") && self.stuck.get(&path) != Some(&seen);
            if ours && look.len() < MOST_FILES {
                look.insert(path, seen);
            }
        })?;
        Ok(look)
    }

    /// Takes a recording into work, if it still is as it was seen.
    pub(crate) fn begin(&mut self, path: &Path, seen: Seen) -> Result<Option<Work>> {
        let now = fs::symlink_metadata(path).ok().and_then(|metadata| regular(&metadata));
        if now != Some(seen) {
            return Ok(None);
        }
        let name = readable(path.file_name().unwrap_or_default());
        let work =
            Work { origin: path.to_owned(), path: free(&self.folder, if self.again.contains(path) { AGAIN } else { MARK }, &name), name };
        match fs::rename(path, &work.path) {
            Ok(()) => Ok(Some(work)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if self.is_writable() => {
                fault::complain(&format!("cannot move: {error}: {}: it is left alone until it changes", work.name));
                self.stuck.insert(path.to_owned(), seen);
                self.failures += 1;
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot move {}", path.display())),
        }
    }

    /// Writes a transcript, and moves its recording beside it or deletes it; gives where the transcript is.
    pub(crate) fn finish(&self, work: &Work, transcript: &[u8], delete: bool) -> Result<PathBuf> {
        let home = free(&self.outbox("done")?, "", &work.name);
        let json = beside(&home, "json");
        write_whole(&json, transcript)?;
        let gone = if delete {
            is_there(fs::remove_file(&work.path)).with_context(|| format!("cannot delete {}", work.path.display()))
        } else {
            move_to(&work.path, &home)
        };
        if gone.is_err() {
            // Else every start would write another one.
            let _ = fs::remove_file(&json);
        }
        gone.map(|_| json)
    }

    /// Moves a recording out of the way, with one line on what is wrong.
    pub(crate) fn fail(&mut self, work: &Work, reason: &str) -> Result<()> {
        let home = free(&self.outbox("failed")?, "", &work.name);
        let (reason, text) = (fault::one_line(reason), beside(&home, "txt"));
        write_whole(&text, format!("{reason}\n").as_bytes())?;
        let moved = move_to(&work.path, &home);
        if let Ok(true) = moved {
            self.failures += 1;
            fault::complain(&reason);
        } else {
            let _ = fs::remove_file(&text);
        }
        moved.map(|_| ())
    }

    /// Puts a recording back to where it was, or beside what has its place now.
    pub(crate) fn put_back(&self, work: &Work) -> Result<()> {
        let home = if is_taken(&work.origin) { free(&self.folder, "", &work.name) } else { work.origin.clone() };
        move_to(&work.path, &home).map(|_| ())
    }

    /// Puts back what a program was killed over; what has killed two goes to `failed/`.
    fn give_up_marked(&mut self) -> Result<()> {
        let (mut marked, mut twice) = (Vec::new(), Vec::new());
        self.each(&mut |path, name, _| {
            let work = |name: &str| Work { origin: path.clone(), path: path.clone(), name: readable(name.as_ref()) };
            if let Some(name) = name.strip_prefix(MARK) {
                marked.push(work(name));
            } else if let Some(name) = name.strip_prefix(AGAIN) {
                twice.push(work(name));
            }
        })?;
        for work in twice {
            let reason = Fault::new("the program ended twice while it was transcribed", &work.name, "move it back to try again");
            let failed = self.fail(&work, &reason.to_string());
            self.left_alone(failed)?;
        }
        for work in marked {
            let home = free(&self.folder, "", &work.name);
            match move_to(&work.path, &home) {
                Ok(true) => {
                    fault::complain(&format!("the program ended while it was transcribed: {}: it is taken up again, once", work.name));
                    self.again.insert(home);
                }
                Ok(false) => {}
                Err(error) => self.left_alone(Err(error))?,
            }
        }
        Ok(())
    }

    /// One file that cannot be moved stays hidden.
    fn left_alone(&mut self, moved: Result<()>) -> Result<()> {
        match moved {
            Err(error) if self.is_writable() => {
                fault::complain(&format!("{error:#}: it is left alone"));
                self.failures += 1;
                Ok(())
            }
            other => other,
        }
    }

    /// Calls `each` with the path and name of every regular file.
    fn each(&self, each: &mut dyn FnMut(PathBuf, &str, Seen)) -> Result<()> {
        let cannot = || format!("cannot read {}", self.folder.display());
        for entry in fs::read_dir(&self.folder).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            // Does not follow links. A file that has gone since is no error.
            if let Some(seen) = entry.metadata().ok().and_then(|metadata| regular(&metadata)) {
                each(entry.path(), &entry.file_name().to_string_lossy(), seen);
            }
        }
        Ok(())
    }

    /// A folder for results, made if it is missing; a link might lead anywhere.
    fn outbox(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(Fault::new(format!("cannot create: {error}"), folder.display(), "give a writable folder").into())
            }
            _ if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) => Ok(folder),
            _ => Err(Fault::new("not a real folder", folder.display(), "move it away").into()),
        }
    }

    /// Whether files can be made here.
    fn is_writable(&self) -> bool {
        let probe = self.folder.join(".probe");
        create(&probe).is_ok() && fs::remove_file(&probe).is_ok()
    }
}

fn regular(metadata: &Metadata) -> Option<Seen> {
    metadata.is_file().then(|| (metadata.len(), metadata.modified().ok()))
}

/// `name` in one line of UTF-8, cut to [`MOST_NAME`] bytes before its extension.
fn readable(name: &OsStr) -> String {
    let name = name.to_string_lossy().replace(char::is_control, "\u{FFFD}");
    if name.len() <= MOST_NAME {
        return name;
    }
    let extension = Path::new(&name).extension().and_then(OsStr::to_str).filter(|extension| extension.len() <= MOST_EXTENSION);
    let extension = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
    format!("{}{extension}", &name[..name.floor_char_boundary(MOST_NAME - extension.len())])
}

fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// `name` in `folder` after `mark`, with the first number that makes it new if it needs one.
fn free(folder: &Path, mark: &str, name: &str) -> PathBuf {
    let is_free = |path: &PathBuf| !is_taken(path) && !is_taken(&beside(path, "json")) && !is_taken(&beside(path, "txt"));
    let plain = folder.join(format!("{mark}{name}"));
    let numbered = (1u64..).map(|n| folder.join(format!("{mark}{n}-{name}")));
    std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or(plain)
}

/// `talk.wav.json` for `talk.wav`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// Whether there was something to act on: false when somebody else took it.
fn is_there(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        other => other.map(|()| true),
    }
}

fn move_to(from: &Path, to: &Path) -> Result<bool> {
    is_there(fs::rename(from, to)).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

/// A new file in place of a stale one, never one that a link leads to.
fn create(path: &Path) -> io::Result<File> {
    is_there(fs::remove_file(path))?;
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A file that appears whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = beside(path, "part");
    let write = || {
        let mut file = create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().inspect_err(|_| _ = fs::remove_file(&part)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ossicle-spool-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn take(spool: &mut Spool, name: &str) -> Option<Work> {
        let path = spool.folder.join(name);
        let seen = spool.look().unwrap()[&path];
        spool.begin(&path, seen).unwrap()
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(readable("talk.wav".as_ref()), "talk.wav");
        assert_eq!(readable("a\nb\u{7f}.wav".as_ref()), "a\u{fffd}b\u{fffd}.wav");
        // An even number of bytes is left for two-byte characters, an odd one after a single byte.
        for start in ["", "x"] {
            let name = readable(format!("{start}{}.flac", "\u{e9}".repeat(300)).as_ref());
            assert!(name.ends_with("\u{e9}.flac") && (MOST_NAME - 1..=MOST_NAME).contains(&name.len()), "{name}");
        }
        let no_extension = format!("a.{}", "b".repeat(250));
        assert_eq!(readable(no_extension.as_ref()), no_extension[..MOST_NAME]);
        let longest = beside(&beside(Path::new(&format!("{MARK}{}-{}", u64::MAX, "n".repeat(MOST_NAME))), "json"), "part");
        assert!(longest.as_os_str().len() <= 255);
    }

    #[test]
    fn what_has_the_place_meanwhile_stays() {
        let folder = Folder::new("back");
        let mut spool = Spool::open(&folder.0).unwrap();
        fs::write(folder.0.join("a.wav"), "first").unwrap();
        let work = take(&mut spool, "a.wav").unwrap();
        fs::write(folder.0.join("a.wav"), "second").unwrap();
        spool.put_back(&work).unwrap();
        let read = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap();
        assert_eq!((read("a.wav"), read("1-a.wav")), ("second".into(), "first".into()));
    }

    #[test]
    fn what_somebody_else_takes_is_no_failure() {
        let folder = Folder::new("taken");
        let mut spool = Spool::open(&folder.0).unwrap();
        fs::write(folder.0.join("a.wav"), "recording").unwrap();
        let path = folder.0.join("a.wav");
        let seen = spool.look().unwrap()[&path];
        // Longer than it was seen, then gone.
        fs::write(&path, "recording goes on").unwrap();
        assert!(spool.begin(&path, seen).unwrap().is_none());
        let work = take(&mut spool, "a.wav").unwrap();
        assert!(spool.begin(&path, seen).unwrap().is_none());
        fs::remove_file(&work.path).unwrap();
        spool.fail(&work, "no such file").unwrap();
        spool.put_back(&work).unwrap();
        assert_eq!((spool.failures(), fs::read_dir(folder.0.join("failed")).unwrap().count()), (0, 0));
        // What was transcribed before is kept.
        for delete in [false, true] {
            let transcript = spool.finish(&work, b"transcript", delete).unwrap();
            assert_eq!(fs::read(transcript).unwrap(), b"transcript");
        }
    }

    #[test]
    #[cfg(unix)]
    fn links_are_neither_opened_nor_written_through() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new("links");
        let mut spool = Spool::open(&folder.0).unwrap();
        let outside = folder.0.join("outside.part");
        fs::write(&outside, "untouched").unwrap();
        fs::write(folder.0.join("a.wav"), "recording").unwrap();
        let work = take(&mut spool, "a.wav").unwrap();
        // A stale or planted part file.
        symlink(&outside, folder.0.join("done/a.wav.json.part")).unwrap();
        spool.finish(&work, b"transcript", false).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
        assert_eq!(fs::read(folder.0.join("done/a.wav.json")).unwrap(), b"transcript");
        assert_eq!(fs::read(folder.0.join("done/a.wav")).unwrap(), b"recording");
        // A link in place of the recording in work.
        fs::write(folder.0.join("b.wav"), "recording").unwrap();
        let work = take(&mut spool, "b.wav").unwrap();
        assert!(work.path().is_ok());
        fs::remove_file(&work.path).unwrap();
        symlink(&outside, &work.path).unwrap();
        assert!(work.path().unwrap_err().to_string().starts_with("not a regular file: b.wav: "));
        // A link in place of a folder for results.
        fs::remove_dir(folder.0.join("failed")).unwrap();
        symlink(folder.0.join("done"), folder.0.join("failed")).unwrap();
        assert!(spool.fail(&work, "bad").unwrap_err().to_string().contains("not a real folder"));
    }
}
