//! `ossicle listen`.

mod answer;
mod button;
#[cfg(feature = "microphone")]
mod loudspeaker;
#[cfg(feature = "microphone")]
mod microphone;
mod output;
mod sound;
mod sounds;
mod source;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ossicle::command::recogniser::CommandOptions;
use ossicle::listen::format::{self, Clock};
use ossicle::listen::{Commands, EndpointConfig, Event, Listener, Options, Popped, Queue, Recogniser, Speech, Trigger};
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::window::Window;

use crate::command::folder::HouseArgs;
use crate::command::loaded::Loaded;
use crate::command::{self, parse_threshold};
use crate::fault::{self, Fault};
use crate::input;
use crate::model::ModelArgs;
use answer::{AnswerArgs, Mouth};
use button::Button;
use sound::Sound;
use sounds::{SoundArgs, Sounds};
use source::SourceArgs;

/// Samples that wait while a text is worked out: a minute.
const QUEUE_SAMPLES: usize = 60 * ossicle::audio::SAMPLE_RATE as usize;
/// Samples heard at a time.
const BLOCK: usize = 1600;
/// With more samples than these waiting in a live stream, partial texts are left out.
const HURRY_SAMPLES: usize = 8000;
/// How far a live stream may be ahead of the clock: what its source holds when it starts.
const AHEAD: Duration = Duration::from_secs(2);
/// How long a signal may go unnoticed while nothing is heard.
const PATIENCE: Duration = Duration::from_millis(250);

const HELP: &str = "\
Examples:
  arecord -f S16_LE -r 16000 -c 1 -t raw | ossicle listen -
  arecord -f S16_LE -r 48000 -c 2 -t raw | ossicle listen - --rate 48000 --channels 2 --json --partial
  arecord -f S16_LE -r 16000 -c 1 -t raw | ossicle listen - --sentences home --json
  arecord -f S16_LE -r 16000 -c 1 -t raw | ossicle listen - --sentences home --events --config events.toml --json
  arecord -f S16_LE -r 16000 -c 1 -t raw | ossicle listen - --sentences home --answer --answer-output - | aplay -r 24000 -f S16_LE
  ossicle listen meeting.wav
  arecord -f S16_LE -r 16000 -c 1 -t raw | ossicle listen - --push-to-talk      Enter, or kill -USR1 and kill -USR2

Lines go to stdout as things happen: listening, speech, thinking, final, nothing (no words in it), with --partial partial, with --answer answer, with --events
sound (in JSON sound_start when one has begun, sound when it is over). Times are seconds from the stream's start. SIGINT and SIGTERM end an utterance and the program.

Exit status: 0 the stream ended or was ended, 1 recognition failed or the recording is incomplete, 2 bad usage or bad input.";

/// What to listen to, and what to say about it.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    sounds: SoundArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Language spoken, as a code or English name; auto detects it [default: that of --sentences, else auto]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Write JSON, one object a line (docs/json.md)
    #[arg(long)]
    json: bool,
    /// Also write texts of utterances that go on, this many seconds apart
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = parse_interval)]
    partial: Option<f64>,
    /// Listen from a press to a release: Enter on the terminal toggles, SIGUSR1 presses, SIGUSR2 releases
    #[arg(long)]
    push_to_talk: bool,
    /// Take utterances for commands: a sentence file, the name of one that comes with the program (see `ossicle command sentences`), or a
    /// folder in the layout of Home Assistant's sentences
    #[arg(long, value_name = "NAME|FILE.yaml|FOLDER", conflicts_with = "partial")]
    sentences: Option<String>,
    #[command(flatten)]
    house: HouseArgs,
    /// How sure one has to be that a command was meant, 0 to 1
    #[arg(long, value_name = "P", requires = "sentences", value_parser = parse_threshold)]
    threshold: Option<f32>,
    #[command(flatten)]
    answers: AnswerArgs,
    /// Silence that ends an utterance, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = parse_hangover)]
    hangover: f64,
    /// Longest utterance, in seconds; longer ones are cut
    #[arg(long, value_name = "SECONDS", default_value_t = 28.0, value_parser = parse_longest)]
    longest: f64,
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (low..=high).contains(seconds)).ok_or_else(|| format!("give {low} to {high} seconds"))
}

fn parse_interval(text: &str) -> Result<f64, String> {
    within(text, 0.2, 30.0)
}

fn parse_hangover(text: &str) -> Result<f64, String> {
    within(text, 0.05, 5.0)
}

fn parse_longest(text: &str) -> Result<f64, String> {
    within(text, 2.0, 30.0)
}

fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).round() as u32
}

impl Args {
    fn options(&self) -> Options {
        let default = EndpointConfig::default();
        let hangover_ms = milliseconds(self.hangover);
        let endpoint =
            EndpointConfig { hangover_ms, tail_ms: default.tail_ms.min(hangover_ms), max_ms: milliseconds(self.longest), ..default };
        Options {
            trigger: if self.push_to_talk { Trigger::Button } else { Trigger::Voice },
            endpoint,
            partial_every: self.partial.map(|seconds| (seconds * f64::from(ossicle::audio::SAMPLE_RATE)) as u64),
        }
    }
}

impl Args {
    /// The model, for commands or free speech, beside others that need so many bytes.
    fn recogniser(&self, others: usize) -> Result<Box<dyn Recogniser>> {
        self.model.verify()?;
        let Some(name) = &self.sentences else {
            let language = self.language.as_deref().and_then(command::language::code);
            let options = TranscribeOptions { language, ..TranscribeOptions::default() };
            let (model, _) = self.model.open_beside(Window::default().max_frames(), false, others)?;
            model.check(&options).map_err(|error| fault::transcription("", error))?;
            return Ok(Box::new(Speech::new(model, options)));
        };
        let sentences = Loaded::open(name, self.language.as_deref(), &self.house)?;
        if self.answers.is_given() && !sentences.has_answers() {
            return Err(Fault::new("no answers in it", name, "give a sentence file with response:, or leave out --answer").into());
        }
        let mut model = self.model.open_for_commands(Window::default().max_frames(), false, others)?;
        let language = command::language::decoded(&model, self.language.as_deref(), sentences.language(), name)?;
        let sentences = sentences.recogniser(&mut model, name)?;
        let default = CommandOptions::default();
        let mut options = CommandOptions { threshold: self.threshold.unwrap_or(default.threshold), ..default };
        options.transcribe.language = language;
        Ok(Box::new(Commands::new(model, sentences, options)))
    }
}

/// Writes events as they come; the first failure stays.
struct Writer {
    out: Box<dyn Write>,
    json: bool,
    clock: Clock,
    written: io::Result<()>,
}

impl Writer {
    fn write(&mut self, event: &Event) {
        if self.written.is_ok() {
            let out = &mut self.out;
            let line = if self.json { format::json(out, event, self.clock) } else { format::text(out, event) };
            self.written = line.and_then(|()| out.flush());
        }
    }

    /// Whether there is still somebody to write to.
    fn check(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.written, Ok(()))
    }
}

/// Listens until the stream ends or a signal ends it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.source.list(&mut io::stdout().lock())? {
        return Ok(ExitCode::SUCCESS);
    }
    let options = args.options();
    args.source.check()?;
    args.answers.check()?;
    let isa = args.model.machine.isa();
    let (sounds, others) = args.sounds.open(&args.model.machine)?.map_or((None, 0), |(sounds, bytes)| (Some(sounds), bytes));
    let (voice, more) = args.answers.open(&args.model)?.map_or((None, 0), |(voice, bytes)| (Some(voice), bytes));
    let others = others + more;
    let listener = Listener::new(isa, options, args.recogniser(others)?)
        .map_err(|error| Fault::new(error, "--hangover and --longest", "shorten the one or lengthen the other"))?;

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // A second one ends the program at once: a source that gives nothing can hold it up.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop)).context("cannot handle signals")?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let button = if args.push_to_talk { Some(Button::new()?) } else { None };
    let source = args.source.open(isa)?;
    let mouth = voice.map(|voice| args.answers.mouth(voice)).transpose()?;
    let out: Box<dyn Write> = if args.answers.takes_stdout() { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let mut writer = Writer { out, json: args.json, clock: Clock { rate: source.rate }, written: Ok(()) };
    let (name, damage) = (source.name.clone(), Arc::clone(&source.damage));
    hear(source, Ears { listener, sounds }, mouth, button, &stop, &mut writer)?;
    let damage = damage.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(input::tell_damage(&name, &damage))
}

/// What becomes of the samples: what is said, and what else is heard.
struct Ears {
    listener: Listener<Box<dyn Recogniser>>,
    sounds: Option<Sounds>,
}

impl Ears {
    /// Events come before what was said at the same time: finding them takes less.
    fn push(&mut self, samples: &[f32], on_event: &mut dyn FnMut(Event)) -> Result<()> {
        if let Some(sounds) = &mut self.sounds {
            sounds.push(samples, on_event)?;
        }
        Ok(self.listener.push(samples, on_event)?)
    }

    fn finish(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<()> {
        if let Some(sounds) = &mut self.sounds {
            sounds.finish(on_event)?;
        }
        Ok(self.listener.finish(on_event)?)
    }
}

fn hear(
    source: Sound,
    mut ears: Ears,
    mut mouth: Option<Mouth>,
    button: Option<Button>,
    stop: &AtomicBool,
    writer: &mut Writer,
) -> Result<()> {
    let Sound { name, samples, dropped, live, .. } = source;
    let failed = |error: anyhow::Error| error.context(name.clone());
    let queue = Queue::feed(samples, QUEUE_SAMPLES);
    if let Some(button) = button {
        button.attach(&queue);
    }
    let (mut block, mut lost, mut broken, mut heard) = ([0.0; BLOCK], 0, Ok(()), 0);
    let (mut due, since) = (Due::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let popped = match queue.pop(&mut block, PATIENCE) {
            Ok(popped) => popped,
            Err(error) => {
                // What was said before still counts.
                broken = Err(sound::fault(&name, error));
                break;
            }
        };
        let total = dropped.load(Ordering::Relaxed);
        if total > lost {
            writer.write(&Event::Dropped { samples: total - lost, total });
            lost = total;
        }
        let mut on_event = |event: Event| {
            writer.write(&event);
            due.note(&event);
        };
        match popped {
            Popped::Samples(count) => {
                heard += count as u64;
                if let Some(mouth) = &mut mouth {
                    mouth.mute(&mut block[..count]);
                }
                ears.listener.set_hurry(live && queue.len() > HURRY_SAMPLES);
                ears.push(&block[..count], &mut on_event).map_err(failed)?;
            }
            Popped::Pressed => {
                mouth.as_mut().into_iter().for_each(Mouth::interrupt);
                ears.listener.press(&mut on_event).map_err(|error| failed(error.into()))?;
            }
            Popped::Released => ears.listener.release(&mut on_event).map_err(|error| failed(error.into()))?,
            Popped::Nothing => {}
            Popped::Ended => break,
        }
        writer.check()?;
        // A pipe that is faster than sound is a recording.
        let live =
            live && (heard + queue.len() as u64) as f64 <= (since.elapsed() + AHEAD).as_secs_f64() * f64::from(ossicle::audio::SAMPLE_RATE);
        due.speak(mouth.as_mut(), &queue, heard, live, writer)?;
    }
    queue.close();
    let mut end = None;
    let mut on_event = |event: Event| {
        due.note(&event);
        // Behind the answer to what was said last.
        match event {
            Event::End { .. } => end = Some(event),
            event => writer.write(&event),
        }
    };
    ears.finish(&mut on_event).map_err(failed)?;
    writer.check()?;
    due.speak(mouth.as_mut(), &queue, heard, false, writer)?;
    end.iter().for_each(|end| writer.write(end));
    writer.check()?;
    mouth.map_or(Ok(()), Mouth::finish)?;
    broken
}

/// What is to be answered once its events are out, and where the listener stood.
#[derive(Default)]
struct Due {
    text: Option<String>,
    at: u64,
}

impl Due {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Final { intent: Some(intent), .. } => {
                let text = intent.get("response").and_then(|text| text.as_str()).filter(|text| !text.is_empty());
                self.text = text.map(str::to_owned).or(self.text.take());
            }
            Event::Listening { at } => self.at = *at,
            _ => {}
        }
    }

    /// Says the answer, if there is one and a mouth; so many samples have been heard.
    fn speak(&mut self, mouth: Option<&mut Mouth>, queue: &Queue, heard: u64, live: bool, writer: &mut Writer) -> Result<()> {
        let (Some(text), Some(mouth)) = (self.text.take(), mouth) else { return Ok(()) };
        // The same sample of a recording, however it was cut into blocks.
        let rest = (self.at + BLOCK as u64).saturating_sub(heard);
        let (wait, mute) = mouth.say(&text, queue, rest, live)?;
        let start = heard + wait;
        writer.write(&Event::Answer { start, end: start + mute, text });
        Ok(writer.check()?)
    }
}
