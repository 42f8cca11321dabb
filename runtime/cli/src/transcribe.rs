//! `ossicle transcribe`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use ossicle::audio::AudioReader;
use ossicle::formats::{Header, Place};
use ossicle::trace;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::Options;
use ossicle::whisper::transcript::Told;

use crate::fault;
use crate::input;
use crate::interrupt;
use crate::progress::Watched;
use crate::transcribe_args::{Args, Listener};
use crate::transcribe_channels;
use crate::transcribe_ending::{Ending, Work, tell_doubt, tell_dropped};

/// Transcribes every file with one model; a bad file gives its line and the others go on.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    args.check()?;
    interrupt::catch()?;
    if let [file] = &args.files[..] {
        // One bad file is told before a model is loaded for it.
        let reader = args.raw.open(file, args.model.machine.isa())?;
        if args.each_channel {
            transcribe_channels::check(file, reader.info().channels)?;
        }
        return one(args, reader);
    }
    let outputs = args.outputs()?;
    let most_channels = if args.each_channel { transcribe_channels::most(args) } else { 1 };
    let (mut listener, plan) = args.open(most_channels)?;
    let options = args.options(&mut listener.model);
    listener.model.check(&options).map_err(|error| fault::transcription("", error))?;
    let mut statuses = Vec::new();
    let mut place = if outputs.is_none() { Place::First } else { Place::Alone };
    for (index, file) in args.files.iter().enumerate() {
        if let Some(status) = input::stopped_before(file) {
            return Ok(status);
        }
        let output = outputs.as_ref().map(|outputs| outputs[index].as_path());
        let outcome = args
            .raw
            .open(file, args.model.machine.isa())
            .map_err(anyhow::Error::from)
            .and_then(|reader| transcribe(args, &mut listener, &options, reader, file, output, &mut place));
        match outcome {
            Err(error) if fault::is_broken_pipe(&error) => return Err(error),
            Err(error) => statuses.push(fault::report(&error)),
            Ok(ExitCode::SUCCESS) => {}
            Ok(incomplete) if incomplete == interrupt::status() => return Ok(incomplete),
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
    let (mut listener, plan) = args.open(if args.each_channel { reader.info().channels } else { 1 })?;
    let options = args.options(&mut listener.model);
    let file = &args.files[0];
    let (named, raw_rate) = ((!input::is_stdin(file)).then_some(file.as_path()), args.raw.rate());
    // Refused options leave nothing behind, no trace nor the beginning of a transcript.
    listener.model.check(&options).map_err(|error| fault::transcription("", error))?;
    let run = Options { isa: args.model.machine.isa(), threads: args.model.machine.threads() };
    let trace = args.trace.start(named, raw_rate, |input| {
        let header = trace::header(input, trace::model(&args.model.path()?)?, &options, run)?;
        Ok(ossicle_trace::Header { beside: args.events.traced()?, ..header })
    })?;
    listener.set_tap(trace.as_ref());
    let output = outputs.as_ref().map(|outputs| outputs[0].as_path());
    let status = transcribe(args, &mut listener, &options, reader, file, output, &mut Place::Alone)?;
    if let Some(trace) = trace {
        trace.finish()?;
    }
    args.report_memory(&plan);
    Ok(status)
}

/// One recording, from its reader to where its transcript goes; the exit status that what it lacks or an end before its end deserves.
fn transcribe(
    args: &Args,
    listener: &mut Listener,
    options: &TranscribeOptions,
    reader: AudioReader,
    file: &Path,
    output: Option<&Path>,
    place: &mut Place,
) -> Result<ExitCode> {
    let task = Work { args, options, file };
    let write = |out: &mut dyn Write| {
        if args.each_channel {
            transcribe_channels::write(task, &mut listener.model, reader, out, place)
        } else {
            task.write(listener, reader, out, place)
        }
    };
    match output {
        None => write(&mut io::stdout().lock()),
        Some(output) => input::whole_file(output, write),
    }
}

impl Work<'_> {
    /// Writes segments as they come. Nothing is written before something was heard or the end was reached: what cannot be read leaves no
    /// beginning of a transcript.
    fn write(self, listener: &mut Listener, reader: AudioReader, out: &mut dyn Write, place: &mut Place) -> Result<ExitCode> {
        let Self { args, options, file } = self;
        let name = input::name(file);
        let mut source = Watched::new(reader, &name);
        let bar = source.bar();
        let mut writer = args.layout.writer(args.format(), *place);
        let Listener { model, events } = listener;
        if let Some(events) = events.as_mut() {
            // Who listens to a stream hears of each event once it is over.
            events.set_in_order(!input::is_stdin(file));
        }
        let header = Header { file: name.clone(), model: model.name().to_owned(), task: options.task.name().into() };
        let unwritten = source.unwritten();
        let mut begun = false;
        let mut tell = |told| {
            unwritten.attempt(|| {
                bar.suspend(|| {
                    if !std::mem::replace(&mut begun, true) {
                        writer.begin(out, &header)?;
                    }
                    match &told {
                        Told::Segment(segment) => writer.segment(out, segment)?,
                        Told::Event(event) => writer.event(out, event)?,
                        Told::Dropped(dropped) => {
                            tell_dropped(&name, dropped);
                            writer.dropped(out, dropped)?;
                        }
                    }
                    out.flush()
                })
            });
        };
        let summary = model.transcribe_with(&mut source, options, events.as_mut(), &mut tell);
        let ending = Ending { name: &name, damage: source.damage(), stopped: source.was_stopped(), seconds: source.seconds() };
        drop(source);
        unwritten.check()?;
        match summary {
            Ok(summary) => {
                if !begun {
                    writer.begin(out, &header)?;
                }
                writer.warnings(&input::warnings(&ending.damage));
                writer.end(out, &summary)?;
                if summary.language_doubt {
                    tell_doubt(&name);
                }
            }
            Err(error) => return Err(ending.failed(&mut *writer, out, place, begun, error)?),
        }
        ending.written(out, place)
    }
}
