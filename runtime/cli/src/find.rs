//! `ossicle find`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::audio::AudioReader;
use ossicle::events::one_field;
use ossicle::find::{
    FindError, Finder, Hit, Index, IndexError, Lock, MODEL, Models, Row, SoundRows, SoundWords, TextEncoder, Update, Widths, identity,
};
use serde_json::json;

use crate::fault::{self, Fault};
use crate::input;
use crate::interrupt;
use crate::model::MachineArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle find \"a dog barking\" recordings
  ossicle find \"someone snoring\" night-1 night-2 --index-file nights.index --top 3
  ossicle find --index recordings
  ossicle find \"glass breaking\" recordings --no-update --format jsonl

The first search in a folder listens to all recordings there and below, and keeps what it heard in one file, .ossicle-index in the folder;
later ones listen to new and changed recordings only. Recordings that were moved are known again, those that are gone are forgotten, and those
that could not be read are told and tried again. A search that is stopped or killed goes on where it last saved, some seconds before.

The score orders recordings: it says how much of the words is heard next to other sounds. 1 and more is a likely match.

Exit status: 0 done; 1 some recordings could not be read, or not to their end; 2 bad usage or bad input; 130 stopped by a signal.";

/// The index's name in a folder.
const INDEX_FILE: &str = ".ossicle-index";

/// How often what was heard is saved, at most; a save takes no more than a twentieth of the time.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Labels of the sound model.
const LABELS: &str = "labels.txt";

/// What to find, and where.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The words, then folders of recordings; with --index folders only
    #[arg(value_name = "WORDS|FOLDER", required = true)]
    arguments: Vec<String>,
    /// Only bring the index up to date
    #[arg(long)]
    index: bool,
    /// Where the index is [default: .ossicle-index in the folder]
    #[arg(long, value_name = "FILE")]
    index_file: Option<PathBuf>,
    /// Search the index as it is, without looking for new recordings
    #[arg(long, conflicts_with = "index")]
    no_update: bool,
    /// Make the index anew, as after a change of models
    #[arg(long, conflicts_with = "no_update")]
    rebuild: bool,
    /// Recordings to write, the best first
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Parts of each recording to write, the best first
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    windows: u32,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// Sound model, YAMNet without a head: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "yamnet")]
    model: String,
    /// Sentence encoder that understands the words: a name or a folder
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

/// What was asked for, with folders in full.
struct Task<'a> {
    args: &'a Args,
    words: Option<&'a str>,
    /// As they were given, and in full.
    folders: Vec<(&'a str, PathBuf)>,
    file: PathBuf,
    /// The sound model's folder.
    sounds: PathBuf,
    models: Models,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (words, folders) = match args.arguments.split_first() {
        Some((words, folders)) if !args.index => (Some(words.as_str()), folders),
        _ => (None, &args.arguments[..]),
    };
    if folders.is_empty() {
        return Err(Fault::line("no folder: give the words and a folder of recordings: ossicle find \"a dog barking\" recordings").into());
    }
    let folders = folders.iter().map(|folder| Ok((folder.as_str(), full(folder)?))).collect::<Result<Vec<_>, Fault>>()?;
    let file = match (&args.index_file, &folders[..]) {
        (Some(file), _) => file.clone(),
        (None, [(_, folder)]) => folder.join(INDEX_FILE),
        (None, _) => return Err(Fault::line("several folders: say where their index is: add --index-file FILE").into()),
    };
    interrupt::catch()?;
    let sounds = ossicle::models::find(&args.model).map_err(fault::model)?;
    let encoder = ossicle::models::find(&args.find_model).map_err(fault::model)?;
    let models = Models { sounds: identity(&sounds).map_err(find_fault)?, words: identity(&encoder).map_err(find_fault)? };
    let mut encoder = TextEncoder::open(&encoder, args.machine.isa(), args.machine.threads()).map_err(find_fault)?;
    let task = Task { args, words, folders, file, sounds, models };
    let labels =
        fs::read_to_string(task.sounds.join(LABELS)).map_err(|e| Fault::new(e, task.sounds.join(LABELS).display(), "fetch it again"))?;
    let labels: Vec<String> = labels.lines().map(str::to_owned).collect();
    let sound_words = SoundWords::new(&encoder, &labels).map_err(find_fault)?;
    // Words that cannot be looked for are told before hours of listening.
    let query = words.map(|words| Ok(sound_words.query(args.machine.isa(), encoder.encode(words)?))).transpose().map_err(find_fault)?;
    let (index, status) = task.update(&encoder, Widths { classes: labels.len(), described: encoder.described() })?;
    if status == interrupt::status() {
        return Ok(status);
    }
    if let Some(query) = query {
        let folders: Vec<PathBuf> = task.folders.iter().map(|(_, folder)| folder.clone()).collect();
        let hits = Finder::new(&index).find(&query, &folders, args.top as usize, args.windows as usize);
        task.write(&hits, &mut io::stdout().lock())?;
    }
    Ok(status)
}

fn full(folder: &str) -> Result<PathBuf, Fault> {
    let path = fs::canonicalize(folder).map_err(|e| Fault::new(e, folder, "give a folder of recordings"))?;
    if path.is_dir() { Ok(path) } else { Err(Fault::new("no folder", folder, "give a folder of recordings")) }
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
    /// The index, brought up to date, and the exit status that what could not be read deserves.
    fn update(&self, encoder: &TextEncoder, widths: Widths) -> Result<(Index, ExitCode)> {
        let opened = match self.args.rebuild {
            true => None,
            false => Index::open(&self.file, &self.models, widths).map_err(index_fault)?,
        };
        if self.args.no_update {
            let missing = || Fault::new("no index", self.file.display(), "leave out --no-update to make it");
            return Ok((opened.ok_or_else(missing)?, ExitCode::SUCCESS));
        }
        let folders: Vec<PathBuf> = self.folders.iter().map(|(_, folder)| folder.clone()).collect();
        let mut index = opened.unwrap_or_else(|| Index::new(widths));
        let plan = |index: &Index| Update::plan(index, &folders).map_err(|e| Fault::new(e, self.folders[0].0, "make the folders readable"));
        let mut update = plan(&index)?;
        if update.is_settled(&index) && update.new_files().is_empty() && self.file.exists() {
            return Ok((index, ExitCode::SUCCESS));
        }
        let _lock = Lock::take(&self.file).map_err(index_fault)?;
        // What another process wrote until now counts.
        if !self.args.rebuild
            && let Some(newer) = Index::open(&self.file, &self.models, widths).map_err(index_fault)?
        {
            index = newer;
            update = plan(&index)?;
        }
        let status = self.listen(encoder, &mut update, &mut index)?;
        update.apply(&mut index);
        index.save(&self.file, &self.models).map_err(index_fault)?;
        self.tell(&update);
        Ok((index, status))
    }

    /// Listens to all new files; saves now and then.
    fn listen(&self, encoder: &TextEncoder, update: &mut Update, index: &mut Index) -> Result<ExitCode> {
        let files = update.new_files().to_vec();
        if files.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let (isa, threads) = (self.args.machine.isa(), self.args.machine.threads());
        let opened = SoundRows::open(&self.sounds, encoder, isa, threads);
        let (mut sounds, _) = opened.map_err(|error| fault::events(&self.sounds, error))?;
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bar = bar(files.iter().map(|path| bytes(path)).sum());
        let (mut status, mut saved, mut wait) = (ExitCode::SUCCESS, Instant::now(), SAVE_EVERY);
        for path in &files {
            if interrupt::came() {
                status = interrupt::status();
                break;
            }
            let name = self.shown(path);
            bar.set_message(name.clone());
            let heard = rows(&mut sounds, path, isa).map_err(|error| fault::events(&self.sounds, error))?;
            let rows = heard.map(|(rows, warnings)| {
                if !warnings.is_empty() {
                    status = ExitCode::FAILURE;
                    bar.suspend(|| warnings.iter().for_each(|warning| fault::complain(&format!("{name}: {warning}"))));
                }
                rows
            });
            if interrupt::came() {
                status = interrupt::status();
                break;
            }
            if let Err(problem) = &rows {
                status = ExitCode::FAILURE;
                bar.suspend(|| fault::complain(&format!("{name}: {problem}: tried again next time")));
            }
            update.heard(index, path, rows);
            bar.inc(bytes(path));
            if saved.elapsed() > wait {
                let start = Instant::now();
                update.apply(index);
                index.save(&self.file, &self.models).map_err(index_fault)?;
                wait = SAVE_EVERY.max(20 * start.elapsed());
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        Ok(status)
    }

    /// What has changed, on a terminal.
    fn tell(&self, update: &Update) {
        if io::stderr().is_terminal() {
            let (new, moved, gone) = (update.new_files().len(), update.moved, update.gone);
            fault::tell(format_args!("{}: {new} new, {moved} moved, {gone} gone", self.file.display()));
        }
    }

    /// A path as the folders were given.
    fn shown(&self, path: &Path) -> String {
        let below = |(given, full): &(&str, PathBuf)| Some(Path::new(given).join(path.strip_prefix(full).ok()?));
        self.folders.iter().find_map(below).unwrap_or_else(|| path.to_owned()).display().to_string()
    }

    fn write(&self, hits: &[Hit<'_>], out: &mut dyn Write) -> Result<()> {
        let round = |x: f32| (f64::from(x) * 1000.0).round() / 1000.0;
        let value = |hit: &Hit<'_>| {
            let windows = hit.windows.iter().map(|w| json!({"start": round(w.start), "end": round(w.end), "score": round(w.score)}));
            json!({"file": self.shown(&hit.entry.path), "score": round(hit.score), "windows": windows.collect::<Vec<_>>()})
        };
        match self.args.format {
            FormatName::Json => {
                let hits: Vec<_> = hits.iter().map(value).collect();
                writeln!(out, "{:#}", json!({"words": self.words, "hits": hits}))?;
            }
            FormatName::Jsonl => hits.iter().try_for_each(|hit| writeln!(out, "{}", value(hit)))?,
            FormatName::Tsv => {
                writeln!(out, "file\tscore\tstart\tend\twindow_score")?;
                for hit in hits {
                    let name = self.shown(&hit.entry.path);
                    for w in &hit.windows {
                        writeln!(out, "{}\t{:.3}\t{:.3}\t{:.3}\t{:.3}", one_field(&name), hit.score, w.start, w.end, w.score)?;
                    }
                }
            }
            FormatName::Text => {
                for hit in hits {
                    let windows: Vec<String> = hit.windows.iter().map(|w| format!("{:.1}-{:.1} s", w.start, w.end)).collect();
                    writeln!(out, "{:6.2}  {}  {}", hit.score, fault::one_line(&self.shown(&hit.entry.path)), windows.join(", "))?;
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// A recording's rows and what is wrong with it, or why it cannot be read.
type Rows = Result<(Vec<Row>, Vec<String>), String>;

fn rows(sounds: &mut SoundRows, path: &Path, isa: ossicle_kernels::simd::Isa) -> Result<Rows, ossicle::events::EventsError> {
    let mut reader = match AudioReader::open(path, isa) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut block = vec![0.0; 16_000];
    loop {
        match reader.read(&mut block) {
            Ok(0) => break,
            Ok(read) => sounds.push(&block[..read])?,
            Err(error) => {
                sounds.finish()?;
                return Ok(Err(error.to_string()));
            }
        }
        if interrupt::came() {
            break;
        }
    }
    Ok(Ok((sounds.finish()?, input::warnings(&reader.damage()))))
}

/// Bytes listened to and time left, on a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
