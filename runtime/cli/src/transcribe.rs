//! `ossicle transcribe`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::audio::AudioReader;
use ossicle::events::EncodedEvents;
use ossicle::formats::{Format, Header};
use ossicle::trace;
use ossicle::whisper::memory::Memory;
use ossicle::whisper::options::{Quality, Task, TranscribeOptions};
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle::whisper::transcript::Told;
use ossicle::whisper::window::Window;

use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::model::{ModelArgs, figures, peak_rss_bytes};
use crate::progress::Watched;
use crate::size;
use crate::trace::{Recording, TraceArgs};
use crate::transcribe_events::EventArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle transcribe recording.wav
  ossicle transcribe --format json --word-timestamps recording.flac
  ossicle transcribe --events --format json garden.flac
  ossicle transcribe --trace kitchen.trace kitchen.wav
  ossicle transcribe --format srt --output-dir subtitles talk.mp3 interview.m4a
  ossicle transcribe --model whisper-base --language de --task translate rede.ogg
  ffmpeg -i film.mkv -f wav - | ossicle transcribe -
  arecord -f S16_LE -r 16000 -t raw | ossicle transcribe --raw -";

/// What to transcribe, and how.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Recordings: wav, flac, mp3, ogg, opus, m4a; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Language spoken, as a code or English name; auto detects it
    #[arg(long, value_name = "LANGUAGE", default_value = "auto")]
    language: String,
    /// Write down the words, or their meaning in English (multilingual models)
    #[arg(long, value_enum, default_value = "transcribe")]
    task: TaskName,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// Write each transcript to a file here instead of stdout
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Find the times of each word (json, jsonl)
    #[arg(long)]
    word_timestamps: bool,
    /// Let every window be one segment, without times inside
    #[arg(long, conflicts_with = "word_timestamps")]
    no_timestamps: bool,
    /// How much the encoder sees: as much as needed, always 30 s, or 1 to 30 seconds
    #[arg(long, value_name = "auto|full|SECONDS", default_value = "auto", value_parser = parse_window)]
    window: Window,
    /// Text to take as said before: names, jargon, style
    #[arg(long, value_name = "TEXT")]
    initial_prompt: Option<String>,
    /// Words and names that may well be said; they win where others sound alike
    #[arg(long, value_name = "WORD,WORD...", value_delimiter = ',')]
    hotwords: Vec<String>,
    #[command(flatten)]
    raw: RawArgs,
    /// Add digests of mel, encoder output, logits and tokens (json)
    #[arg(long)]
    digests: bool,
    /// Say on stderr how much memory was planned, and how much was used at most
    #[arg(long)]
    memory_report: bool,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    events: EventArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

/// When a text is good enough, and when nobody spoke.
#[derive(clap::Args)]
#[command(next_help_heading = "Decoding")]
struct DecodingArgs {
    /// Temperatures to try in turn while a text is not good enough; 0 is greedy
    #[arg(long, value_name = "T,T...", value_delimiter = ',', value_parser = parse_temperature)]
    temperature: Option<Vec<f32>>,
    /// A text with a smaller mean log-probability is tried again, or dropped if perhaps nobody spoke; one that stays below twice this is dropped
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    logprob_threshold: Option<f32>,
    /// A text that compresses better, being repetitive, is tried again
    #[arg(long, value_name = "X")]
    compression_ratio_threshold: Option<f32>,
    /// A window scoring more is silence: its no-speech probability, plus 0.6 for each unit its text's mean log-probability is below 0
    #[arg(long, value_name = "X")]
    no_speech_threshold: Option<f32>,
    /// Seed of temperatures above 0
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// One greedy attempt at each window, nothing judged, tried again or dropped
    #[arg(long, conflicts_with_all = ["temperature", "logprob_threshold", "compression_ratio_threshold", "no_speech_threshold", "seed"])]
    no_checks: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskName {
    Transcribe,
    Translate,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Text,
    Json,
    Jsonl,
    Srt,
    Vtt,
    Tsv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Json => Self::Json,
            FormatName::Jsonl => Self::Jsonl,
            FormatName::Srt => Self::Srt,
            FormatName::Vtt => Self::Vtt,
            FormatName::Tsv => Self::Tsv,
        }
    }
}

/// As `--window` has it.
pub(crate) fn parse_window(text: &str) -> Result<Window, String> {
    let window = match text {
        "auto" => Window::default(),
        "full" => Window::Full,
        seconds => Window::Seconds(seconds.parse().map_err(|_| "give auto, full, or 1 to 30 seconds".to_owned())?),
    };
    window.check().map_err(|_| "give auto, full, or 1 to 30 seconds".to_owned())?;
    Ok(window)
}

fn parse_temperature(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|t| (0.0..=2.0).contains(t)).ok_or_else(|| "give numbers from 0 to 2".into())
}

impl Args {
    fn options(&self) -> TranscribeOptions {
        TranscribeOptions {
            language: (self.language != "auto").then(|| self.language.clone()),
            task: match self.task {
                TaskName::Transcribe => Task::Transcribe,
                TaskName::Translate => Task::Translate,
            },
            window: self.window,
            timestamps: !self.no_timestamps,
            word_timestamps: self.word_timestamps,
            initial_prompt: self.initial_prompt.clone(),
            hotwords: self.hotwords.clone(),
            quality: self.decoding.quality(),
            window_retries: if self.decoding.no_checks { 0 } else { TranscribeOptions::default().window_retries },
            digests: self.digests,
            ..TranscribeOptions::default()
        }
    }

    /// The model, what hears events beside it, and what both were planned to need.
    fn open(&self) -> Result<(Listener, Memory)> {
        let (events, needs) = self.events.open(&self.model)?.unzip();
        let (model, plan) = self.model.open_beside(self.window.max_frames(), self.word_timestamps, needs.unwrap_or(0))?;
        Ok((Listener { model, events }, plan))
    }

    fn report_memory(&self, plan: &Memory) {
        if self.memory_report {
            let peak = peak_rss_bytes().map_or_else(|| "unknown".into(), size::megabytes);
            fault::tell(format_args!("memory: peak {peak}, planned {} ({})", size::megabytes(plan.total() as u64), figures(plan)));
        }
    }

    /// Where each transcript goes, or nothing for stdout.
    fn outputs(&self) -> Result<Option<Vec<PathBuf>>> {
        let outputs = self.output_dir.as_ref().map(|folder| input::outputs(&self.files, folder, Format::from(self.format).extension()));
        Ok(outputs.transpose()?)
    }
}

impl DecodingArgs {
    fn quality(&self) -> Quality {
        if self.no_checks {
            return Quality::off();
        }
        let mut quality = Quality::default();
        if let Some(temperatures) = &self.temperature {
            quality.temperatures.clone_from(temperatures);
        }
        quality.min_avg_logprob = self.logprob_threshold.unwrap_or(quality.min_avg_logprob);
        quality.max_compression_ratio = self.compression_ratio_threshold.unwrap_or(quality.max_compression_ratio);
        quality.max_silence_score = self.no_speech_threshold.unwrap_or(quality.max_silence_score);
        quality.seed = self.seed.unwrap_or(quality.seed);
        quality
    }
}

/// Who hears words, and sound events if they are wanted.
struct Listener {
    model: Transcriber,
    events: Option<EncodedEvents>,
}

impl Listener {
    fn set_tap(&mut self, trace: Option<&Recording>) {
        let tap = trace.map(Recording::tap);
        if let Some(events) = &mut self.events {
            events.set_tap(tap.clone());
        }
        self.model.set_tap(tap);
    }
}

/// Transcribes every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    input::check(&args.files)?;
    if args.digests && !matches!(args.format, FormatName::Json) {
        return Err(Fault::line("--digests: only json carries them: add --format json").into());
    }
    args.events.check(args.format.into())?;
    if args.trace.trace.is_some() && args.files.len() > 1 {
        return Err(Fault::line(format!("--trace: {} recordings: a trace is of one: transcribe them one by one", args.files.len())).into());
    }
    if let [file] = &args.files[..] {
        // One bad file is told before a model is loaded for it.
        let reader = args.raw.open(file, args.model.machine.isa())?;
        return one(args, reader);
    }
    let outputs = args.outputs()?;
    let options = args.options();
    let (mut listener, plan) = args.open()?;
    listener.model.check(&options).map_err(|error| fault::transcription("", error))?;
    let mut statuses = Vec::new();
    for (index, file) in args.files.iter().enumerate() {
        let output = outputs.as_ref().map(|outputs| outputs[index].as_path());
        let outcome = args
            .raw
            .open(file, args.model.machine.isa())
            .map_err(anyhow::Error::from)
            .and_then(|reader| transcribe(args, &mut listener, &options, reader, file, output));
        match outcome {
            Err(error) if fault::is_broken_pipe(&error) => return Err(error),
            Err(error) => statuses.push(fault::report(&error)),
            Ok(ExitCode::SUCCESS) => {}
            Ok(incomplete) => statuses.push(incomplete),
        }
    }
    args.report_memory(&plan);
    Ok(match statuses.as_slice() {
        [] => ExitCode::SUCCESS,
        // Nothing but bad input is bad input.
        all if all.len() == args.files.len() && all.iter().all(|&status| status == ExitCode::from(2)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

fn one(args: &Args, reader: AudioReader) -> Result<ExitCode> {
    let outputs = args.outputs()?;
    let options = args.options();
    let (mut listener, plan) = args.open()?;
    let file = &args.files[0];
    let (named, raw_rate) = ((!input::is_stdin(file)).then_some(file.as_path()), args.raw.rate());
    if args.trace.trace.is_some() {
        args.raw.check_traced()?;
        // Only then: refused options leave no trace behind.
        listener.model.check(&options).map_err(|error| fault::transcription("", error))?;
    }
    let run = Options { isa: args.model.machine.isa(), threads: args.model.machine.threads() };
    let trace = args.trace.start(named, raw_rate, |input| {
        let header = trace::header(input, trace::model(&args.model.path()?)?, &options, run)?;
        Ok(ossicle_trace::Header { beside: args.events.traced()?, ..header })
    })?;
    listener.set_tap(trace.as_ref());
    let output = outputs.as_ref().map(|outputs| outputs[0].as_path());
    let status = transcribe(args, &mut listener, &options, reader, file, output)?;
    if let Some(trace) = trace {
        trace.finish()?;
    }
    args.report_memory(&plan);
    Ok(status)
}

/// One recording, from its reader to where its transcript goes; the exit status that what it lacks deserves.
fn transcribe(
    args: &Args,
    listener: &mut Listener,
    options: &TranscribeOptions,
    reader: AudioReader,
    file: &Path,
    output: Option<&Path>,
) -> Result<ExitCode> {
    let Some(output) = output else {
        let stdout = io::stdout().lock();
        // A JSON object is whole or not at all; the other formats appear segment by segment.
        return if matches!(args.format, FormatName::Json) {
            let mut whole = Vec::new();
            let status = write(args, listener, options, reader, file, &mut whole)?;
            print(stdout, &whole).map(|()| status)
        } else {
            write(args, listener, options, reader, file, &mut { stdout })
        };
    };
    input::whole_file(output, |out| write(args, listener, options, reader, file, out))
}

fn print(mut out: impl Write, whole: &[u8]) -> Result<()> {
    out.write_all(whole)?;
    out.flush()?;
    Ok(())
}

fn write(
    args: &Args,
    listener: &mut Listener,
    options: &TranscribeOptions,
    reader: AudioReader,
    file: &Path,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    let file = input::name(file);
    let mut source = Watched::new(reader, &file);
    let bar = source.bar();
    let mut writer = Format::from(args.format).writer();
    let Listener { model, events } = listener;
    let header = Header { file: file.clone(), model: model.name().to_owned(), task: options.task.name().into() };
    let unwritten = source.unwritten();
    writer.begin(out, &header)?;
    let mut tell = |told| {
        unwritten.attempt(|| {
            bar.suspend(|| {
                match &told {
                    Told::Segment(segment) => writer.segment(out, segment)?,
                    Told::Event(event) => writer.event(out, event)?,
                }
                out.flush()
            })
        });
    };
    let summary = match events {
        Some(events) => model.transcribe_with_events(&mut source, options, events, &mut tell),
        None => model.transcribe_source(&mut source, options, &mut |segment| tell(Told::Segment(segment))),
    };
    let damage = source.damage();
    drop(source);
    unwritten.check()?;
    let summary = summary.map_err(|error| fault::transcription(&file, error))?;
    writer.end(out, &summary)?;
    out.flush()?;
    Ok(input::tell_damage(&file, &damage))
}
