//! `ossicle speak`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use ossicle::speak::{Options, Pronounced, Settings, SpeakError, Voice};
use ossicle::trace;

use crate::fault::{self, Fault};
use crate::model::{BudgetArgs, MachineArgs};
use crate::pcm::Sink;
use crate::trace::{Recording, TraceArgs};
use crate::voice;

/// Longest line of standard input: longer ones are spoken in pieces.
const LINE: usize = 1 << 16;

const EXAMPLES: &str = "\
Examples:
  ossicle speak \"The light is on.\" -o answer.wav
  ossicle speak \"It is 21 degrees.\" | aplay -r 24000 -f S16_LE
  ossicle speak - < story.txt | aplay -r 24000 -f S16_LE
  ossicle speak --phonemes \"ðə lˈIt ɪz ˈɔn.\" -o answer.wav
  ossicle speak --phonemes \"ðə lˈIt ɪz ˈɔn.\" | aplay -r 24000 -f S16_LE
  ossicle speak --phonemes - < phonemes.txt | aplay -r 24000 -f S16_LE

Samples are 16 bits, one channel, 24 kHz with the bundled voice; without -o, or with -o -, they are written raw to standard output while they come.";

/// What to say, and how.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Text to say, in the voice's language; - reads it from standard input, line by line
    #[arg(value_name = "TEXT|-", required_unless_present = "phonemes")]
    text: Option<String>,
    /// Phonemes to say instead: misaki's alphabet, or IPA for Piper's voices; - reads them from standard input, line by line
    #[arg(long, value_name = "PHONEMES|-", conflicts_with = "text")]
    phonemes: Option<String>,
    /// Write the phonemes that would be said, a line for each sentence, and say nothing
    #[arg(long, requires = "text", conflicts_with_all = ["output", "trace"])]
    show_phonemes: bool,
    /// File to write: .wav, .flac, or raw samples as .raw or .pcm; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Voice: a model folder, or the name of one (see `ossicle models list`) [default: hibari]; with --model, one of its voices or several to mix, such
    /// as af_heart:0.7,am_adam:0.3
    #[arg(long, value_name = "NAME|FOLDER|VOICES")]
    voice: Option<String>,
    /// Model of several voices: its folder, or its name
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Option<String>,
    /// How fast, 0.5 to 2
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    speed: f32,
    /// Seed of the noise that is in speech: the same one gives the same bytes
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

/// Says it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let settings = Settings { speed: args.speed, seed: args.seed, voice: None };
    let (model, voices) = match &args.model {
        Some(model) => (model.as_str(), args.voice.as_deref()),
        None => (args.voice.as_deref().unwrap_or(voice::DEFAULT), None),
    };
    let folder = ossicle::models::find(model).map_err(fault::model)?;
    let options = Options { isa: args.machine.isa(), threads: args.machine.threads() };
    let mut voice = voice::open(&folder, options, args.budget.limits()?)?.0;
    if let Some(voices) = voices {
        voice.choose(voices).map_err(|error| Fault::line(format!("--voice: {error}")))?;
    }
    // What cannot be said leaves no file behind.
    drop(voice.speak_phonemes("", settings).map_err(Fault::line)?);
    let given = match (&args.text, &args.phonemes) {
        (Some(text), _) if text != "-" => pronounce(&voice, text, "the text")?,
        (None, Some(phonemes)) if phonemes != "-" => {
            drop(voice.speak_phonemes(phonemes, settings).map_err(|error| Fault::line(format!("--phonemes: {error}")))?);
            phonemes.clone()
        }
        _ => String::new(),
    };
    if args.reads() {
        check_stdin()?;
    }
    if args.show_phonemes {
        return show(args, &voice, &given);
    }
    let run = ossicle::whisper::transcriber::Options { isa: args.machine.isa(), threads: args.machine.threads() };
    let trace = args.trace.start(None, None, |input| Ok(trace::speak_header(input, trace::voice(&folder)?, settings, voices, run)))?;
    let mut sink = Sink::open(&args.output, voice.sample_rate())?;
    voice.set_tap(trace.as_ref().map(Recording::tap));
    let mut status = ExitCode::SUCCESS;
    let from_text = args.reads() && args.text.is_some();
    let mut say = |text: &str, clause: u64, sink: &mut Sink| -> Result<()> {
        // Each line's noise is its own.
        let settings = Settings { seed: args.seed.wrapping_add(clause), ..settings };
        let phonemes = if from_text { pronounce(&voice, text, &format!("line {}", clause + 1))? } else { text.to_owned() };
        let mut speech = voice.speak_phonemes(&phonemes, settings)?;
        while let Some(samples) = speech.next_chunk()? {
            sink.write(samples).with_context(|| args.output.display().to_string())?;
        }
        Ok(())
    };
    if args.reads() {
        let mut input = io::stdin().lock();
        for number in 0.. {
            let Some(line) = read_line(&mut input)? else { break };
            match say(&line, number, &mut sink) {
                Err(error) if error.is::<SpeakError>() => {
                    fault::complain(&format!("standard input, line {}: {error}", number + 1));
                    status = ExitCode::FAILURE;
                }
                said => said?,
            }
        }
    } else {
        say(&given, 0, &mut sink)?;
    }
    // The voice holds the trace too.
    drop(voice);
    trace.map_or(Ok(()), Recording::finish)?;
    sink.finish().with_context(|| args.output.display().to_string())?;
    Ok(status)
}

impl Args {
    /// Whether what is said comes from standard input.
    fn reads(&self) -> bool {
        [&self.text, &self.phonemes].into_iter().flatten().any(|given| given == "-")
    }
}

fn check_stdin() -> Result<()> {
    match io::stdin().is_terminal() {
        true => Err(Fault::line("standard input is a terminal: -: pipe what is to be said into it").into()),
        false => Ok(()),
    }
}

/// The phonemes of a text; words that cannot be said are told.
fn pronounce(voice: &Voice, text: &str, place: &str) -> Result<String> {
    let Pronounced { phonemes, left_out } = voice.pronounce(text).map_err(Fault::line)?;
    if let Some(word) = left_out.first() {
        let more = if left_out.len() > 1 { format!(" and {} more", left_out.len() - 1) } else { String::new() };
        fault::complain(&format!("{place}: {word:?}{more} cannot be said: left out"));
    }
    Ok(phonemes)
}

/// Writes phonemes instead of saying them.
fn show(args: &Args, voice: &Voice, given: &str) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    if !args.reads() {
        out.write_all(given.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut input = io::stdin().lock();
    for number in 1.. {
        let Some(line) = read_line(&mut input)? else { break };
        out.write_all(pronounce(voice, &line, &format!("line {number}"))?.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The next line, or as much of it as is read at once; none at the end. What is no text is said to be.
fn read_line(input: &mut dyn BufRead) -> Result<Option<String>> {
    let mut bytes = vec![];
    let count = io::Read::take(&mut *input, LINE as u64).read_until(b'\n', &mut bytes)?;
    // A character that is cut in two is taken whole.
    while bytes.len() >= LINE && std::str::from_utf8(&bytes).is_err_and(|error| error.error_len().is_none()) {
        let mut more = [0];
        if io::Read::read(input, &mut more)? == 0 {
            break;
        }
        bytes.extend(more);
    }
    Ok((count > 0).then(|| String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned()))
}
