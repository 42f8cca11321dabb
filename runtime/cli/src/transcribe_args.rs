//! What `ossicle transcribe` is told.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::events::EncodedEvents;
use ossicle::formats::Format;
use ossicle::whisper::memory::{BESIDE_BYTES, Memory};
use ossicle::whisper::options::{Quality, Task, TranscribeOptions, VadOptions};
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::window::Window;

use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::model::{ModelArgs, figures, peak_rss_bytes};
use crate::size;
use crate::trace::{Recording, TraceArgs};
use crate::transcribe_events::EventArgs;
use crate::transcribe_output::{FormatName, LayoutArgs};

const HELP: &str = "\
Examples:
  ossicle transcribe recording.wav
  ossicle transcribe --format json --word-timestamps recording.flac
  ossicle transcribe --events --format json garden.flac
  ossicle transcribe --trace kitchen.trace kitchen.wav
  ossicle transcribe --format srt --output-dir subtitles talk.mp3 interview.m4a
  ossicle transcribe --model whisper-base --language de --task translate rede.ogg
  ossicle transcribe --each-channel --format vtt call.wav
  ffmpeg -i film.mkv -f wav - | ossicle transcribe -
  arecord -f S16_LE -r 16000 -t raw | ossicle transcribe --raw -

Ctrl-C and SIGTERM end the input: what was said so far is written. A second one ends the program at once.

Exit status: 0 done, also if a signal ended standard input; 1 failed for some input, or it is incomplete and was read as far as it goes
(see --strict); 2 bad usage or bad input; 130 a signal came before the end of a file.";

/// What to transcribe, and how.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Recordings: wav, flac, mp3, ogg, opus, webm, m4a, aiff, caf, au; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
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
    /// Find the times of each word (json, jsonl); srt and vtt are cut by them anyway
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
    pub(crate) raw: RawArgs,
    /// Transcribe every channel for itself, such as the two sides of a call, and write which one says what
    #[arg(long, conflicts_with_all = ["channel", "events", "trace", "digests"])]
    pub(crate) each_channel: bool,
    /// Add digests of mel, encoder output, logits and tokens (json)
    #[arg(long)]
    digests: bool,
    /// Say on stderr how much memory was planned, and how much was used at most
    #[arg(long)]
    memory_report: bool,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    pub(crate) events: EventArgs,
    #[command(flatten)]
    pub(crate) trace: TraceArgs,
}

/// What `--no-checks` leaves nothing of.
const CHECKS: [&str; 6] =
    ["temperature", "logprob_threshold", "compression_ratio_threshold", "no_speech_threshold", "second_choices", "seed"];

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
    /// Doubtful words of a window, at most, that are decoded again with the word that came second; the likelier text is kept [default: 4]
    #[arg(long, value_name = "N")]
    second_choices: Option<usize>,
    /// Seed of temperatures above 0
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Cut windows without regard to pauses, and decode what holds no speech too
    #[arg(long)]
    no_vad: bool,
    /// One greedy attempt at each window, nothing judged, tried again or dropped; implies --no-vad
    #[arg(long, conflicts_with_all = CHECKS)]
    no_checks: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskName {
    Transcribe,
    Translate,
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
    pub(crate) fn format(&self) -> Format {
        self.format.into()
    }

    /// Whether words are given times: because that was asked for, or to cut subtitles by them.
    fn words(&self) -> bool {
        self.word_timestamps || self.format().is_subtitles() && !self.no_timestamps
    }

    /// Refuses options that do not go together.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        input::check(&self.files)?;
        if self.digests && !matches!(self.format, FormatName::Json) {
            return Err(Fault::line("--digests: only json carries them: add --format json"));
        }
        self.events.check(self.format())?;
        self.layout.check(self.format(), self.files.len(), self.output_dir.as_deref())?;
        if self.trace.trace.is_some() {
            if self.files.len() > 1 {
                let count = self.files.len();
                return Err(Fault::line(format!("--trace: {count} recordings: a trace is of one: transcribe them one by one")));
            }
            self.raw.check_traced()?;
        }
        Ok(())
    }

    /// What is asked of `model`; without alignment heads it gives subtitles whose times within segments are estimated.
    pub(crate) fn options(&self, model: &mut Transcriber) -> TranscribeOptions {
        let aligns = !model.pipeline().config().alignment_heads.is_empty();
        TranscribeOptions {
            language: (self.language != "auto").then(|| self.language.clone()),
            task: match self.task {
                TaskName::Transcribe => Task::Transcribe,
                TaskName::Translate => Task::Translate,
            },
            window: self.window,
            timestamps: !self.no_timestamps,
            word_timestamps: self.word_timestamps || aligns && self.words(),
            initial_prompt: self.initial_prompt.clone(),
            hotwords: self.hotwords.clone(),
            quality: self.decoding.quality(),
            vad: (!self.decoding.no_vad && !self.decoding.no_checks).then(VadOptions::default),
            window_retries: if self.decoding.no_checks { 0 } else { TranscribeOptions::default().window_retries },
            digests: self.digests,
            ..TranscribeOptions::default()
        }
    }

    /// The model, what hears events beside it, and what both were planned to need with so many recordings side by side.
    pub(crate) fn open(&self, side_by_side: usize) -> Result<(Listener, Memory)> {
        let (events, needs) = self.events.open(&self.model)?.unzip();
        let others = needs.unwrap_or(0) + side_by_side.saturating_sub(1) * BESIDE_BYTES;
        let (model, plan) = self.model.open_beside(self.window.max_frames(), self.words(), others)?;
        Ok((Listener { model, events }, plan))
    }

    pub(crate) fn report_memory(&self, plan: &Memory) {
        if self.memory_report {
            let peak = peak_rss_bytes().map_or_else(|| "unknown".into(), size::megabytes);
            fault::tell(format_args!("memory: peak {peak}, planned {} ({})", size::megabytes(plan.total() as u64), figures(&plan.parts())));
        }
    }

    /// Where each transcript goes, or nothing for stdout.
    pub(crate) fn outputs(&self) -> Result<Option<Vec<PathBuf>>> {
        let outputs = self.output_dir.as_ref().map(|folder| input::outputs(&self.files, folder, self.format().extension()));
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
        quality.second_choices = self.second_choices.unwrap_or(quality.second_choices);
        quality.seed = self.seed.unwrap_or(quality.seed);
        quality
    }
}

/// Who hears words, and sound events if they are wanted.
pub(crate) struct Listener {
    pub(crate) model: Transcriber,
    pub(crate) events: Option<EncodedEvents>,
}

impl Listener {
    pub(crate) fn set_tap(&mut self, trace: Option<&Recording>) {
        let tap = trace.map(Recording::tap);
        if let Some(events) = &mut self.events {
            events.set_tap(tap.clone());
        }
        self.model.set_tap(tap);
    }
}
