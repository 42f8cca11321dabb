//! `ossicle detect`.

mod list;
mod output;
mod show;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::ArgPredicate;
use ossicle::audio::AudioReader;
use ossicle::events::{Detector, Format, HOME_SOUNDS, HOP_FRAMES, InOrder, Options, Writer};
use ossicle::source::SampleSource;
use ossicle::trace;
use ossicle::whisper::transcriber::Options as Run;
use ossicle_trace::Header;
use serde_json::json;

use crate::broker::{BrokerArgs, Link, Sense};
use crate::fault::{self, Fault};
use crate::input::{self, RawArgs};
use crate::interrupt;
use crate::model::MachineArgs;
use crate::progress::Watched;
use crate::reload::{self, Reload};
use crate::trace::{Recording, TraceArgs};
use output::Output;
use show::ShowArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle detect garden.flac
  ossicle detect --classes rooster,speech --format jsonl night.mp3
  ossicle detect --config home-sounds night.mp3
  ossicle detect --config home-sounds --list-classes
  ossicle detect --model yamnet --classes Dog,Siren night.mp3
  ossicle detect --config events.toml --format audacity --output-dir labels *.wav
  ossicle detect --top 5 kitchen.wav
  ossicle detect --html kitchen.html --plot kitchen.png kitchen.wav
  ossicle detect --add-classes my-sounds hall.wav
  ossicle detect --find \"glass breaking\" --find \"someone snoring\" night.flac
  arecord -f S16_LE -r 16000 -t raw | ossicle detect --raw --model yamnet --config events.toml -
  arecord -f S16_LE -r 16000 -t raw | ossicle detect --raw --config home-sounds --format jsonl -

Of standard input also the start of an event is told, as soon as it has lasted for its min_seconds: sound_start in jsonl.

events.toml (read again when it changes or on SIGHUP):
  [default]
  threshold = 0.3          # begins an event
  release = 0.2            # an event goes on above this
  min_seconds = 0.0        # shorter ones are dropped
  merge_seconds = 0.5      # closer ones are one
  cooldown_seconds = 0.0   # none of its class for so long after one
  repeat_seconds = 0.0     # one that goes on is told again after so long (0: it is not)
  [classes.dog]
  labels = [\"Dog\", \"Bark\"]   # of --model yamnet
  threshold = 0.2

Ctrl-C and SIGTERM end the input: what was heard so far is written. A second one ends the program at once.

A recording that is damaged or cut off is read as far as it goes, with a line on stderr that says what is missing; --strict refuses it.

Exit status: 0 done, also if a signal ended standard input; 1 failed for some input, or something is missing in it; 2 bad usage or bad
input; 130 a signal came before the end of a file.";

/// Samples read at a time: 40 ms, for so much a stream is late.
const BLOCK: usize = 640;

/// What to listen to, and for.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Recordings: wav, flac, mp3, ogg, opus, webm, m4a, aiff, caf, au; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "list_classes")]
    files: Vec<PathBuf>,
    /// Model folder, or the name of one (see `ossicle models list`)
    #[arg(
        long,
        value_name = "NAME|FOLDER",
        default_value = "sound-events",
        default_value_ifs = [("add_classes", ArgPredicate::IsPresent, "yamnet"), ("find", ArgPredicate::IsPresent, "yamnet"), ("config", HOME_SOUNDS.name.into(), HOME_SOUNDS.model)]
    )]
    model: String,
    #[command(flatten)]
    machine: MachineArgs,
    /// Classes, thresholds and times: a file, or home-sounds, twenty sounds of a household by yamnet [default: events.toml of the model; without
    /// one every label is a class]
    #[arg(long, value_name = "NAME|FILE.toml")]
    config: Option<PathBuf>,
    /// Only these classes of the settings, or labels of the model; a name may hold commas, as "Baby cry, infant cry" does
    #[arg(long, value_name = "NAME,NAME...")]
    classes: Vec<String>,
    /// Find a sound in your own words, as "glass breaking"; may be given several times, and each is a class
    #[arg(long, value_name = "WORDS")]
    find: Vec<String>,
    /// Sentence encoder that understands --find: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = ossicle::find::MODEL)]
    find_model: String,
    /// Write the classes of the settings and the labels of the model that --classes takes, and nothing else
    #[arg(long, conflicts_with = "files")]
    list_classes: bool,
    /// Also classes of your own, from a folder that ossicle-quantize events made; may be given several times
    #[arg(long, value_name = "FOLDER")]
    add_classes: Vec<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// Tell when an event has begun too, not only when it is over (text, jsonl)
    #[arg(long, value_enum, value_name = "WHEN", default_value = "streams")]
    starts: Starts,
    /// Write each recording's events to a file here instead of stdout
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Write the N labels with the largest scores of each hop instead of events (text, tsv, jsonl)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Seconds from one patch to the next, 0.02 to 0.96 in steps of 0.02; for models without a head [default: 0.24]
    #[arg(long, value_name = "SECONDS", value_parser = parse_hop)]
    hop: Option<usize>,
    #[command(flatten)]
    raw: RawArgs,
    /// Add digests of features and scores (jsonl)
    #[arg(long)]
    digests: bool,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Starts {
    /// Of standard input
    Streams,
    /// Of every recording
    Always,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Text,
    Tsv,
    Jsonl,
    Audacity,
    Raven,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Tsv => Self::Tsv,
            FormatName::Jsonl => Self::Jsonl,
            FormatName::Audacity => Self::Audacity,
            FormatName::Raven => Self::Raven,
        }
    }
}

impl Args {
    /// Whether starts of the recording `file` are written.
    fn starts(&self, file: &Path) -> bool {
        let possible = Format::from(self.format).holds_starts() && self.top.is_none();
        match self.starts {
            Starts::Streams => possible && input::is_stdin(file) && self.output_dir.is_none(),
            Starts::Always => possible,
            Starts::Never => false,
        }
    }

    /// How to detect.
    fn options(&self) -> Result<Options> {
        let find_model = match self.find.is_empty() {
            true => PathBuf::new(),
            false => ossicle::models::find(&self.find_model).map_err(fault::model)?,
        };
        Ok(Options {
            find: self.find.clone(),
            find_model,
            isa: self.machine.isa(),
            threads: self.machine.threads(),
            hop_frames: self.hop,
            classes: self.classes.clone(),
            add_classes: self.add_classes.clone(),
            digests: self.digests,
        })
    }
}

/// Seconds as frames of 10 ms.
pub(crate) fn parse_hop(text: &str) -> Result<usize, String> {
    let frames = text.parse::<f64>().ok().map(|seconds| seconds * 100.0).filter(|frames| (frames - frames.round()).abs() < 1e-6);
    let frames = frames.map(|frames| frames.round() as usize).filter(|frames| (2..=96).contains(frames) && frames.is_multiple_of(2));
    frames.ok_or_else(|| format!("give 0.02 to 0.96 in steps of 0.02; {} is usual", HOP_FRAMES as f64 / 100.0))
}

/// Detects events in every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list_classes {
        return list::run(args);
    }
    check(args)?;
    interrupt::catch()?;
    let isa = args.machine.isa();
    // A pipe may have nothing to say for long.
    let link = args.broker.connect(Sense::Hearing, &args.model);
    // One bad file is told before a model is loaded for it.
    let mut first = match &args.files[..] {
        [file] => Some(args.raw.open(file, isa)?),
        _ => None,
    };
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let config = args.config.as_deref();
    let (mut reload, settings) = reload::settings(config, &folder)?;
    let mut detector = Detector::open(&folder, &settings, args.options()?).map_err(|error| fault::detector(&folder, config, error))?;
    let format = Format::from(args.format);
    let outputs = args.output_dir.as_ref().map(|to| input::outputs(&args.files, to, format.extension())).transpose()?;
    if outputs.is_none() {
        begin(args, &mut io::stdout().lock())?;
    }
    let mut statuses = Vec::new();
    for (index, file) in args.files.iter().enumerate() {
        if index > 0
            && let Some(status) = input::stopped_before(file)
        {
            return Ok(status);
        }
        let reader = first.take().map_or_else(|| args.raw.open(file, isa), Ok);
        let outcome = reader.map_err(anyhow::Error::from).and_then(|reader| {
            let trace = start_trace(args, &folder, file, &mut detector)?;
            let listen = |out: &mut dyn Write| listen(args, &mut detector, reload.as_mut(), link.as_ref(), reader, file, out);
            let status = match &outputs {
                Some(outputs) => input::whole_file(&outputs[index], |out| begin(args, out).and_then(|()| listen(out)))?,
                None => listen(&mut io::stdout().lock())?,
            };
            trace.map_or(Ok(()), Recording::finish)?;
            Ok(status)
        });
        match outcome {
            Err(error) if fault::is_broken_pipe(&error) || args.files.len() == 1 => return Err(error),
            Err(error) => {
                statuses.push(fault::report(&error));
                // What the failed recording left behind belongs to no other.
                detector.finish(&mut |_| {}).map_err(|error| fault::events(&folder, error))?;
                let _ = detector.take_digests();
            }
            Ok(ExitCode::SUCCESS) => {}
            Ok(incomplete) if incomplete == interrupt::status() => return Ok(incomplete),
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

/// Refuses options that do not go together.
fn check(args: &Args) -> Result<(), Fault> {
    input::check(&args.files)?;
    let format = Format::from(args.format);
    if args.digests && args.format != FormatName::Jsonl {
        return Err(Fault::line("--digests: only jsonl carries them: add --format jsonl"));
    }
    if !format.names_recordings() && args.top.is_some() {
        return Err(Fault::line("--top: audacity and raven hold events: use --format text, tsv or jsonl"));
    }
    if args.starts == Starts::Always && (!format.holds_starts() || args.top.is_some()) {
        return Err(Fault::line("--starts: only events of text and jsonl have them: use --format text or jsonl, without --top"));
    }
    if args.broker.is_given() && args.files.len() > 1 {
        return Err(Fault::line(format!("--mqtt: {} recordings: it tells of one: take them one by one", args.files.len())));
    }
    if args.files.len() > 1 && !format.names_recordings() && args.output_dir.is_none() {
        let count = args.files.len();
        return Err(Fault::line(format!("--format: {count} recordings in one output of events without names: add --output-dir")));
    }
    if args.trace.trace.is_some() && !args.find.is_empty() {
        return Err(Fault::line("--trace: sounds by --find cannot be replayed: take --classes"));
    }
    if args.trace.trace.is_some() && args.files.len() > 1 {
        return Err(Fault::line(format!("--trace: {} recordings: a trace is of one: take them one by one", args.files.len())));
    }
    if args.trace.trace.is_some() {
        args.raw.check_traced()?;
    }
    args.show.check(&args.files)?;
    let results = args.output_dir.as_ref().map(|to| input::output_paths(&args.files, to, format.extension())).transpose()?;
    let recordings = args.files.iter().filter(|file| !input::is_stdin(file)).map(|file| ("the recording", file.as_path()));
    let others = [("the settings", &args.config), ("the key", &args.trace.trace_key)];
    let others = others.into_iter().filter_map(|(what, path)| Some((what, path.as_deref()?)));
    let mut outputs: Vec<_> = results.iter().flatten().map(|path| ("--output-dir", path.as_path())).collect();
    outputs.extend(args.trace.trace.iter().map(|path| ("--trace", path.as_path())));
    outputs.extend(args.show.outputs());
    input::distinct(&recordings.chain(others).collect::<Vec<_>>(), &outputs)
}

fn start_trace(args: &Args, folder: &Path, file: &Path, detector: &mut Detector) -> Result<Option<Recording>> {
    let run = Run { isa: args.machine.isa(), threads: args.machine.threads() };
    let named = (!input::is_stdin(file)).then_some(file);
    let hop = detector.hop_frames();
    let trace = args.trace.start(named, args.raw.rate(), |input| {
        let beside = args.add_classes.iter().map(|path| trace::events(path)).collect::<Result<_, _>>()?;
        Ok(Header { beside, ..trace::detect_header(input, trace::events(folder)?, hop, run) })
    })?;
    detector.set_tap(trace.as_ref().map(Recording::tap));
    Ok(trace)
}

/// What comes before all events.
fn begin(args: &Args, out: &mut dyn Write) -> Result<()> {
    let format = Format::from(args.format);
    if let Some(header) = if args.top.is_some() { format.top_header() } else { format.header() } {
        writeln!(out, "{header}")?;
        out.flush()?;
    }
    Ok(())
}

/// One recording, from its reader to its events; the exit status that what it lacks or an end before its end deserves.
fn listen(
    args: &Args,
    detector: &mut Detector,
    mut reload: Option<&mut Reload>,
    link: Option<&Link>,
    reader: AudioReader,
    file: &Path,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    let name = input::name(file);
    let mut source = Watched::new(reader, &name);
    let named = args.files.len() > 1 && args.output_dir.is_none();
    let writer = Writer::new(args.format.into());
    let mut output = Output {
        args,
        out,
        writer: if named { writer.of_several() } else { writer },
        bar: source.bar(),
        labels: detector.labels().to_vec(),
        show: args.show.start(args.machine.isa(), detector.labels().len()),
        starts: args.starts(file),
        // Who listens to a stream hears of each event once it is over.
        order: (!input::is_stdin(file)).then(InOrder::default),
        link,
        events: 0,
        written: Ok(()),
        name,
    };
    let mut block = [0.0; BLOCK];
    loop {
        let read = source.read(&mut block).map_err(|error| fault::source(&output.name, &error))?;
        if read == 0 {
            break;
        }
        if let Some(reload) = &mut reload {
            reload.apply(|settings| detector.set_settings(settings, &mut |heard| output.hear(heard)));
        }
        if let Some(show) = &mut output.show {
            show.samples(&block[..read]);
        }
        detector.push(&block[..read], &mut |heard| output.hear(heard))?;
        output.settle(detector.settled());
        // Whoever closed the pipe of events still gets the picture, and nothing else is left to do.
        if output.written.is_err() && output.show.is_none() {
            break;
        }
    }
    detector.finish(&mut |heard| output.hear(heard))?;
    output.settle(f64::INFINITY);
    let (damage, stopped, seconds) = (source.damage(), source.was_stopped(), source.seconds());
    drop(source);
    let Output { name, out, show, written, events, .. } = output;
    let shown = show.map_or(Ok(()), |show| args.show.finish(show, file, detector));
    let digests = detector.take_digests();
    let told = written.and_then(|()| {
        if let Some(digests) = digests {
            writeln!(out, "{}", json!({"file": name, "digests": digests}))?;
        }
        out.flush()
    });
    // A pipe that was closed ends in silence: a picture that is missing must not.
    shown?;
    told?;
    if events == 0 && args.top.is_none() && args.format == FormatName::Text && io::stderr().is_terminal() {
        fault::tell(format_args!("{name}: no events in {seconds:.1} s"));
    }
    if stopped {
        fault::complain(&format!("{name}: stopped by a signal at {seconds:.1} s: what was heard so far is written"));
        return Ok(interrupt::status());
    }
    Ok(input::tell_damage(&name, &damage))
}
