//! `ossicle command`.

pub(crate) mod folder;
mod house;
pub(crate) mod language;
pub(crate) mod loaded;
mod output;
pub(crate) mod sentences;
mod tune;
mod typed;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use ossicle::audio::{AudioReader, Damage};
use ossicle::command::recogniser::{CommandOptions, Recogniser};
use ossicle::command::set::CommandSet;
use ossicle::whisper::transcriber::Transcriber;

use self::folder::HouseArgs;
use self::loaded::Loaded;
use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::interrupt;
use crate::model::ModelArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle command --sentences home turn-on-the-light.wav
  ossicle command --sentences my-house.yaml --format json *.wav
  ossicle command --sentences coffee --threshold 0.8 --alternatives 5 order.flac
  ossicle command --sentences timer.de.yaml --model whisper-base eier.wav
  ossicle command sentences home --sample 5
  ossicle command tune --sentences coffee --commands orders/manifest.jsonl --others talk/ noise/

A recording is one utterance of at most 30 s. What is none of the sentences gives none.

Ctrl-C and SIGTERM end standard input, and what was heard is recognised, or the run before the next file, with exit status 130. A second one
ends the program at once.";

/// Which sentences, in which recordings.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    also: Option<Also>,
    /// Recordings of one utterance each: wav, flac, mp3, ogg, opus, webm, m4a, aiff, caf, au; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    recognition: RecognitionArgs,
    #[command(flatten)]
    raw: RawArgs,
    /// Other readings to tell, at most
    #[arg(long, value_name = "N", default_value_t = 3)]
    alternatives: usize,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
}

#[derive(Subcommand)]
enum Also {
    /// Check a sentence file, count its sentences and show some
    Sentences(sentences::Args),
    /// Write the house file of a Home Assistant
    House(house::Args),
    /// Tell what typed text means, a line each
    #[command(name = "match")]
    Match(typed::Args),
    /// Measure misses and false alarms over recordings, for choosing a threshold
    Tune(Box<tune::Args>),
}

/// How to recognise.
#[derive(clap::Args)]
struct RecognitionArgs {
    /// Sentence file, the name of one that comes with the program (see `ossicle command sentences`), or a folder in the layout of Home
    /// Assistant's sentences
    #[arg(long, value_name = "NAME|FILE.yaml|FOLDER", required = true)]
    sentences: Option<String>,
    #[command(flatten)]
    house: HouseArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Language to decode, as a code or English name; auto detects it [default: that of the sentences]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// How sure one has to be that a command was meant, 0 to 1
    #[arg(long, value_name = "P", default_value_t = CommandOptions::default().threshold, value_parser = parse_threshold)]
    threshold: f32,
    /// Text to take as said before: names, jargon
    #[arg(long, value_name = "TEXT")]
    initial_prompt: Option<String>,
    /// Silence to encode behind a recording, in seconds [default: what the model needs]
    #[arg(long, value_name = "SECONDS", value_parser = parse_margin)]
    margin: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A line for people
    Text,
    /// An object a line
    Json,
}

pub(crate) fn parse_threshold(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "give a probability from 0 to 1".into())
}

fn parse_margin(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|seconds| (0.0..=30.0).contains(seconds)).ok_or_else(|| "give 0 to 30 seconds".into())
}

impl RecognitionArgs {
    fn options(&self, alternatives: usize, language: Option<String>) -> CommandOptions {
        let mut options = CommandOptions { threshold: self.threshold, alternatives, ..CommandOptions::default() };
        options.transcribe.language = language;
        options.transcribe.initial_prompt.clone_from(&self.initial_prompt);
        options.margin_seconds = self.margin;
        options
    }

    /// The model, the sentences compiled for it and the language to decode.
    fn open(&self) -> Result<(Transcriber, Recogniser<CommandSet>, Option<String>)> {
        // A fault in the sentences is told before a model is loaded.
        let name = self.sentences.as_deref().unwrap_or_default();
        let sentences = Loaded::open(name, self.language.as_deref(), &self.house)?;
        let mut model = self.model.open_for_commands(ossicle_frontend::mel::WINDOW_FRAMES, false, 0)?;
        let language = language::decoded(&model, self.language.as_deref(), sentences.language(), name)?;
        let recogniser = sentences.recogniser(&mut model, name)?;
        Ok((model, recogniser, language))
    }
}

/// Recognises the command in every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.also {
        Some(Also::Sentences(args)) => return sentences::run(args),
        Some(Also::House(args)) => return house::run(args),
        Some(Also::Match(args)) => return typed::run(args),
        Some(Also::Tune(args)) => return tune::run(args),
        None => {}
    }
    input::check(&args.files)?;
    interrupt::catch()?;
    let recognition = &args.recognition;
    let (mut model, mut recogniser, language) = recognition.open()?;
    let options = recognition.options(args.alternatives, language);
    let width = args.files.iter().map(|file| input::name(file).chars().count()).max().unwrap_or(0);
    let mut statuses = Vec::new();
    for (index, file) in args.files.iter().enumerate() {
        if index > 0
            && let Some(status) = input::stopped_before(file)
        {
            return Ok(status);
        }
        let outcome =
            samples(file, args.raw.open(file, recognition.model.machine.isa())).map_err(Into::into).and_then(|(samples, damage)| {
                let recognised = recogniser.recognise(model.pipeline(), &samples, &options);
                let recognised = recognised.map_err(|error| fault::transcription(&input::name(file), error))?;
                let mut out = io::stdout().lock();
                match args.format {
                    FormatName::Text => output::text(&mut out, &input::name(file), width, &recognised)?,
                    FormatName::Json => output::json(&mut out, &input::name(file), &recognised)?,
                }
                out.flush()?;
                Ok(input::tell_damage(&input::name(file), &damage))
            });
        match outcome {
            Err(error) if fault::is_broken_pipe(&error) => return Err(error),
            Err(error) => statuses.push(fault::report(&error)),
            Ok(ExitCode::SUCCESS) => {}
            Ok(incomplete) => statuses.push(incomplete),
        }
    }
    Ok(match statuses.as_slice() {
        [] => ExitCode::SUCCESS,
        // Nothing but bad input is bad input.
        all if all.len() == args.files.len() && all.iter().all(|&status| status == ExitCode::from(2)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

/// All samples of a recording that fits the model's window, and what it lacks.
fn samples(file: &Path, reader: Result<AudioReader, Fault>) -> Result<(Vec<f32>, Vec<Damage>), Fault> {
    const MOST: usize = 30 * ossicle::audio::SAMPLE_RATE as usize;
    let mut reader = reader?;
    let samples = input::read_from(&mut reader, file, MOST + 1)?;
    if samples.len() > MOST {
        return Err(Fault::new("longer than 30 s", input::name(file), "give one utterance, or transcribe it"));
    }
    Ok((samples, reader.damage()))
}
