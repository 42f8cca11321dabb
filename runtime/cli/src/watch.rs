//! `ossicle watch`: transcribes what is put into a folder, as a service does.
//!
//! A recording that has not changed between two looks is transcribed. It moves to `done/` with its transcript beside it, or to `failed/` with
//! one line on what is wrong with it; so nothing is remembered between runs and a restart goes on where the last one stopped. An
//! interrupted recording goes back to where it was.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ossicle::audio::AudioReader;
use ossicle::formats::{Format, Header};
use ossicle::source::{SampleSource, SourceError};
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::Told;
use ossicle::whisper::window::Window;

use crate::fault;
use crate::input;
use crate::model::ModelArgs;
use crate::notify::Notifier;
use crate::spool::{Spool, Work};

/// The status between recordings.
const WAITING: &str = "waiting for recordings";

/// How long a stop may go unnoticed between looks.
const STEP: Duration = Duration::from_millis(100);

const HELP: &str = "\
Examples:
  ossicle watch /var/lib/ossicle/spool
  ossicle watch --once --delete inbox

Move files in, or write them in one go; links and other special files are left alone. A recording in work is hidden as .work-NAME: one found
so at the start is taken up again; if the program ends again while it is transcribed, it goes to failed.

A fault of the model or of the machine ends the program; the recording goes back to where it was.

Exit status: 0 stopped or done, 1 the folder cannot be written, or --once and a recording failed, 2 bad usage or a damaged model.";

/// Which folder to watch.
#[derive(clap::Args)]
#[command(after_help = HELP)]
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
    /// Transcribe what is there, then end, with status 1 if a recording failed
    #[arg(long)]
    once: bool,
}

fn parse_interval(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds)).ok_or_else(|| "give 0.1 to 3600 seconds".into())
}

/// Why a recording could not be transcribed.
enum Failed {
    /// The recording cannot be transcribed.
    Recording(anyhow::Error),
    /// The model or the machine failed: every other recording would fail too.
    Machine(anyhow::Error),
}

struct Watcher<'a> {
    args: &'a Args,
    spool: Spool,
    model: Transcriber,
    options: TranscribeOptions,
    notifier: Notifier,
    stop: Arc<AtomicBool>,
}

/// Watches until SIGTERM or SIGINT, or once.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let spool = Spool::open(&args.folder)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let options = TranscribeOptions {
        language: (args.language != "auto").then(|| args.language.clone()),
        word_timestamps: args.word_timestamps,
        ..TranscribeOptions::default()
    };
    args.model.verify()?;
    let (model, _) = args.model.open(Window::default().max_frames(), args.word_timestamps)?;
    model.check(&options).map_err(|error| fault::transcription("", error))?;
    let mut watcher = Watcher { args, spool, model, options, notifier: Notifier::from_environment(), stop };
    watcher.notifier.ready(WAITING);
    watcher.watch()?;
    watcher.notifier.stopping();
    Ok(if args.once && watcher.spool.failures() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Watcher<'_> {
    fn watch(&mut self) -> Result<()> {
        let mut before = self.spool.look()?;
        loop {
            if !self.args.once || !before.is_empty() {
                self.sleep();
            }
            let now = self.spool.look()?;
            let mut settled: Vec<_> = now.iter().filter(|&(path, look)| before.get(path) == Some(look)).collect();
            // The oldest first; names decide between equals.
            settled.sort_by_key(|&(path, look)| (look.1, path));
            for (path, &seen) in settled {
                if self.stopped() {
                    return Ok(());
                }
                if let Some(work) = self.spool.begin(path, seen)? {
                    self.notifier.status(&format!("transcribing {}", work.name()));
                    self.take(&work)?;
                    self.notifier.status(WAITING);
                }
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

    /// Transcribes one recording and moves it out of the way; back to its place when that is impossible.
    fn take(&mut self, work: &Work) -> Result<()> {
        let clock = Instant::now();
        let filed = match self.transcribe(work) {
            Ok(transcript) => self.spool.finish(work, &transcript, self.args.delete).map(Some),
            Err(_) if self.stopped() => return self.spool.put_back(work),
            Err(Failed::Recording(error)) => self.spool.fail(work, &format!("{error:#}")).map(|()| None),
            Err(Failed::Machine(error)) => Err(error),
        };
        match filed {
            Ok(Some(transcript)) => {
                writeln!(std::io::stdout().lock(), "{}", transcript.display())?;
                fault::tell(format_args!("{}: transcribed in {:.1} s", work.name(), clock.elapsed().as_secs_f64()));
            }
            Ok(None) => {}
            Err(error) => {
                // Not this recording's fault, so the next start may try it again.
                let _ = self.spool.put_back(work);
                return Err(error);
            }
        }
        Ok(())
    }

    fn transcribe(&mut self, work: &Work) -> Result<Vec<u8>, Failed> {
        let name = work.name();
        let path = work.path().map_err(|fault| Failed::Recording(fault.into()))?;
        let reader = AudioReader::open_with(path, self.args.model.machine.isa()).map_err(|error| {
            if fault::is_machine_fault(&error) {
                Failed::Machine(anyhow::Error::new(error).context(name.to_owned()))
            } else {
                Failed::Recording(fault::audio(name, &error).into())
            }
        })?;
        let mut source = Interruptible { reader, notifier: &mut self.notifier, stop: &self.stop };
        let mut writer = Format::Json.writer();
        let mut out = Vec::new();
        let header = Header { file: name.into(), model: self.model.name().into(), task: self.options.task.name().into() };
        let mut written = writer.begin(&mut out, &header);
        let summary = self.model.transcribe_with(&mut source, &self.options, None, &mut |told| {
            if written.is_ok() {
                written = match &told {
                    Told::Segment(segment) => writer.segment(&mut out, segment),
                    Told::Dropped(dropped) => writer.dropped(&mut out, dropped),
                    Told::Event(event) => writer.event(&mut out, event),
                };
            }
        });
        let damage = source.reader.damage();
        let summary = summary.map_err(|error| {
            if fault::is_recording_fault(&error) {
                Failed::Recording(fault::transcription(name, error))
            } else {
                Failed::Machine(self.failed(name, error))
            }
        })?;
        writer.warnings(&input::warnings(&damage));
        written.and_then(|()| writer.end(&mut out, &summary)).map_err(|error| Failed::Machine(error.into()))?;
        // It is done all the same: what it lacks will not come.
        let _ = input::tell_damage(name, &damage);
        Ok(out)
    }

    /// What is not the recording's fault: the machine's, while it was read, or else the model's.
    fn failed(&self, name: &str, error: TranscribeError) -> anyhow::Error {
        match (error, self.args.model.path()) {
            (TranscribeError::Source(error), _) => anyhow::Error::new(error).context(name.to_owned()),
            (error, Ok(model)) => fault::running(&model, error).into(),
            (_, Err(error)) => error,
        }
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
