//! `ossicle transcribe --each-channel`: the sides of a call next to each other.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use ossicle::audio::AudioReader;
use ossicle::formats::{Header, Place};
use ossicle::source::SampleSource;
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::{Summary, Told};

use crate::fault::Fault;
use crate::input;
use crate::progress::{Unwritten, Watched};
use crate::transcribe_args::Args;
use crate::transcribe_ending::{Ending, Work, tell_doubt, tell_dropped};

/// The most channels of a recording among those named; what cannot be read has none.
pub(crate) fn most(args: &Args) -> usize {
    let files = args.files.iter().filter(|file| !input::is_stdin(file));
    let channels = files.filter_map(|file| Some(args.raw.open(file, args.model.machine.isa()).ok()?.info().channels));
    channels.max().unwrap_or(1)
}

/// Refuses several channels of standard input.
pub(crate) fn check(file: &Path, channels: usize) -> Result<(), Fault> {
    if channels > 1 && input::is_stdin(file) {
        let what = format!("{channels} channels of standard input, which can be read only once");
        return Err(Fault::new(what, input::name(file), "save it to a file, or take one with --channel"));
    }
    Ok(())
}

/// As [`Work::write`], with the number of its channel at everything that was said, in order of time.
pub(crate) fn write(
    work: Work<'_>,
    model: &mut Transcriber,
    first: AudioReader,
    out: &mut dyn Write,
    place: &mut Place,
) -> Result<ExitCode> {
    let Work { args, options, file } = work;
    let (name, channels) = (input::name(file), first.info().channels);
    check(file, channels)?;
    let unwritten = Unwritten::default();
    let mut sources = Vec::new();
    let mut reader = Some(first);
    for channel in 1..=channels {
        // The first is open already, and standard input opens once.
        let opened = match reader.take().filter(|_| channels == 1) {
            Some(only) => only,
            None => args.raw.open_channel(file, Some(channel), args.model.machine.isa())?,
        };
        let watched = if channel == 1 { Watched::new(opened, &name) } else { Watched::silent(opened, &name) };
        sources.push(watched.sharing(unwritten.clone()));
    }
    let bar = sources[0].bar();
    let named = |channel: usize| format!("{name}, channel {}", channel + 1);
    let mut writer = args.layout.channel_writer(args.format(), *place, channels);
    let header = Header { file: name.clone(), model: model.name().to_owned(), task: options.task.name().into() };
    let (begun, count) = (Cell::new(false), Cell::new(0));
    let mut tell = |channel: usize, told: Told| {
        unwritten.attempt(|| {
            bar.suspend(|| {
                if !begun.replace(true) {
                    writer.begin(out, &header)?;
                }
                writer.channel(channel + 1);
                match told {
                    // Counted over all channels.
                    Told::Segment(mut segment) => {
                        segment.id = count.replace(count.get() + 1);
                        writer.segment(out, &segment)?;
                    }
                    Told::Event(event) => writer.event(out, &event)?,
                    Told::Dropped(dropped) => {
                        tell_dropped(&named(channel), &dropped);
                        writer.dropped(out, &dropped)?;
                    }
                }
                out.flush()
            })
        });
    };
    let mut all: Vec<&mut dyn SampleSource> = sources.iter_mut().map(|source| source as &mut dyn SampleSource).collect();
    let summaries = model.transcribe_side_by_side(&mut all, options, &mut tell);
    let seconds = sources.iter().map(Watched::seconds).fold(0.0, f64::max);
    let ending = Ending { name: &name, damage: sources[0].damage(), stopped: sources.iter().any(Watched::was_stopped), seconds };
    drop(sources);
    unwritten.check()?;
    match summaries {
        Ok(summaries) => {
            if !begun.get() {
                writer.begin(out, &header)?;
            }
            writer.warnings(&input::warnings(&ending.damage));
            writer.end(out, &together(&summaries))?;
            let doubted = summaries.iter().enumerate().filter(|(_, summary)| summary.language_doubt);
            doubted.for_each(|(channel, _)| tell_doubt(&named(channel)));
        }
        Err(error) => return Err(ending.failed(&mut *writer, out, place, begun.get(), error)?),
    }
    ending.written(out, place)
}

/// What is known of all channels: the longest, and the first language that was heard.
fn together(channels: &[Summary]) -> Summary {
    Summary {
        language: channels.iter().find_map(|channel| channel.language.clone()),
        duration: channels.iter().map(|channel| channel.duration).fold(0.0, f64::max),
        segments: channels.iter().map(|channel| channel.segments).sum(),
        dropped: channels.iter().map(|channel| channel.dropped).sum(),
        language_doubt: channels.iter().any(|channel| channel.language_doubt),
        ..Summary::default()
    }
}
