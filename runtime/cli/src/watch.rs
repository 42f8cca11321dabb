//! `ossicle watch`: transcribes what is put into a folder, as a service does.
//!
//! A recording that has not changed between two looks is transcribed. It moves to `done/` with its transcript beside it, or to `failed/` with
//! one line on what is wrong with it; so nothing is remembered between runs and a restart goes on where the last one stopped. An
//! interrupted recording stays where it is.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use ossicle::audio::AudioReader;
use ossicle::formats::{Format, Header};
use ossicle::source::{SampleSource, SourceError};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::window::Window;

use crate::fault::{self, Fault};
use crate::model::ModelArgs;
use crate::notify::Notifier;

/// Most files that one look takes in; the others wait for the next.
const MOST_FILES: usize = 10_000;

/// How long a stop may go unnoticed between looks.
const STEP: Duration = Duration::from_millis(100);

/// Which folder to watch.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ossicle watch /var/lib/ossicle/spool\n  ossicle watch --once --delete inbox\n\nMove files in, or write them in one go."
)]
pub(crate) struct Args {
    /// Where recordings are put; the folders done and failed are made in it
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Language spoken, as a code or English name; auto detects it
    #[arg(long, value_name = "LANGUAGE", default_value = "auto")]
    language: String,
    /// Find the times of each word
    #[arg(long)]
    word_timestamps: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_interval)]
    interval: f64,
    /// Delete recordings once they are transcribed
    #[arg(long)]
    delete: bool,
    /// Transcribe what is there, then end
    #[arg(long)]
    once: bool,
}

fn parse_interval(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds)).ok_or_else(|| "give 0.1 to 3600 seconds".into())
}

/// A file's size and time, to see whether somebody still writes it.
type Look = HashMap<PathBuf, (u64, Option<SystemTime>)>;

struct Watcher<'a> {
    args: &'a Args,
    model: Transcriber,
    options: TranscribeOptions,
    notifier: Notifier,
    stop: Arc<AtomicBool>,
}

/// Watches until SIGTERM or SIGINT, or once.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !args.folder.is_dir() {
        return Err(Fault::new("not a folder", args.folder.display(), "give an existing folder").into());
    }
    for name in ["done", "failed"] {
        let folder = args.folder.join(name);
        fs::create_dir_all(&folder)
            .map_err(|error| Fault::new(format!("cannot create: {error}"), folder.display(), "give a writable folder"))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let options = TranscribeOptions {
        language: (args.language != "auto").then(|| args.language.clone()),
        word_timestamps: args.word_timestamps,
        ..TranscribeOptions::default()
    };
    let (model, _) = args.model.open(Window::default().max_frames(), args.word_timestamps)?;
    model.check(&options).map_err(|error| Fault::transcription("", error))?;
    let mut watcher = Watcher { args, model, options, notifier: Notifier::from_environment(), stop };
    watcher.notifier.ready();
    watcher.watch()?;
    watcher.notifier.stopping();
    Ok(ExitCode::SUCCESS)
}

impl Watcher<'_> {
    fn watch(&mut self) -> Result<()> {
        let mut before = self.look()?;
        loop {
            if !self.args.once || !before.is_empty() {
                self.sleep();
            }
            let now = self.look()?;
            let mut settled: Vec<_> = now.iter().filter(|&(path, look)| before.get(path) == Some(look)).collect();
            // The oldest first; names decide between equals.
            settled.sort_by_key(|&(path, look)| (look.1, path));
            for (path, _) in settled {
                if self.stopped() {
                    return Ok(());
                }
                self.take(path)?;
            }
            if self.stopped() || self.args.once && now.is_empty() {
                return Ok(());
            }
            before = now;
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for the next look or a stop.
    fn sleep(&mut self) {
        let end = Instant::now() + Duration::from_secs_f64(self.args.interval);
        while !self.stopped() && Instant::now() < end {
            self.notifier.alive();
            thread::sleep(STEP.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// The files waiting. Hidden ones and those ending in `.part` are somebody's work in progress.
    fn look(&self) -> Result<Look> {
        let folder = &self.args.folder;
        let mut look = Look::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A file that has gone since is no error.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && !name.starts_with('.') && !name.ends_with(".part") && look.len() < MOST_FILES {
                look.insert(entry.path(), (metadata.len(), metadata.modified().ok()));
            }
        }
        Ok(look)
    }

    /// Transcribes one recording and moves it out of the way.
    fn take(&mut self, path: &Path) -> Result<()> {
        let clock = Instant::now();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self.transcribe(path, &name) {
            Ok(transcript) => {
                let home = free(&self.args.folder.join("done"), &name);
                write_whole(&beside(&home, "json"), &transcript)?;
                if self.args.delete {
                    fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))?;
                } else {
                    fs::rename(path, &home).with_context(|| format!("cannot move {}", path.display()))?;
                }
                writeln!(std::io::stdout().lock(), "{}", beside(&home, "json").display())?;
                eprintln!("{name}: transcribed in {:.1} s", clock.elapsed().as_secs_f64());
            }
            Err(_) if self.stopped() => {}
            Err(error) if error.is::<Fault>() => {
                let home = free(&self.args.folder.join("failed"), &name);
                write_whole(&beside(&home, "txt"), format!("{error:#}\n").as_bytes())?;
                fs::rename(path, &home).with_context(|| format!("cannot move {}", path.display()))?;
                fault::complain(&format!("{error:#}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn transcribe(&mut self, path: &Path, name: &str) -> Result<Vec<u8>> {
        let reader = AudioReader::open(path, self.args.model.machine.isa()).map_err(|error| Fault::audio(name, &error))?;
        let mut source = Interruptible { reader, notifier: &mut self.notifier, stop: &self.stop };
        let mut writer = Format::Json.writer();
        let mut out = Vec::new();
        writer.begin(&mut out, &Header { file: name.into(), model: self.model.name().into(), task: self.options.task.name().into() })?;
        let mut written = Ok(());
        let summary = self.model.transcribe_source(&mut source, &self.options, &mut |segment| {
            if written.is_ok() {
                written = writer.segment(&mut out, &segment);
            }
        });
        written?;
        let summary = match summary {
            Err(TranscribeError::Source(_)) if self.stop.load(Ordering::Relaxed) => anyhow::bail!("interrupted"),
            other => other.map_err(|error| Fault::transcription(name, error))?,
        };
        writer.end(&mut out, &summary)?;
        Ok(out)
    }
}

/// A recording that ends with an error when the service is to stop, and says with every read that the service is alive.
struct Interruptible<'a> {
    reader: AudioReader,
    notifier: &'a mut Notifier,
    stop: &'a AtomicBool,
}

impl SampleSource for Interruptible<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        self.notifier.alive();
        if self.stop.load(Ordering::Relaxed) {
            return Err(SourceError(Box::new(std::io::Error::from(std::io::ErrorKind::Interrupted))));
        }
        SampleSource::read(&mut self.reader, out)
    }
}

/// `name` in `folder`, or with the first number that makes it new.
fn free(folder: &Path, name: &str) -> PathBuf {
    let taken = |path: &PathBuf| path.exists() || beside(path, "json").exists() || beside(path, "txt").exists();
    let numbered = (1u64..).map(|n| folder.join(format!("{n}-{name}")));
    std::iter::once(folder.join(name)).chain(numbered).find(|path| !taken(path)).unwrap_or_else(|| folder.join(name))
}

/// `talk.wav.json` for `talk.wav`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// A file that appears whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = beside(path, "part");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(&part).with_context(cannot)?);
    file.write_all(bytes).with_context(cannot)?;
    file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).with_context(cannot)?;
    fs::rename(&part, path).with_context(cannot)
}
