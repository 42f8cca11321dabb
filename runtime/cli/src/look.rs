//! `ossicle look`.

mod camera;
mod output;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::classify::AnyClassifier;
use ossicle::embed;
use ossicle::events::Settings;
use ossicle::label::{Image, Reading, has_image_ending};
use ossicle::look::{Frame, FrameError, FrameReader, MotionGate, Raw, RawLayout, Viewer};
use ossicle_models::network::MAX_BUFFER_BYTES;

use crate::broker::{BrokerArgs, Sense};
use crate::classify::{LabelArgs, check_words};
use crate::fault::{self, Fault};
use crate::input;
use crate::interrupt;
use crate::model::MachineArgs;
use output::{FormatName, Output};

const EXAMPLES: &str = "\
Examples:
  rpicam-vid -t 0 -n --codec mjpeg -o - | ossicle look --classes \"Egyptian cat,tabby\"
  rpicam-vid -t 0 -n --codec mjpeg -o - | ossicle look --model clip --labels \"a cat at the door,an empty door step\" --format jsonl
  ffmpeg -i door.mp4 -f image2pipe -c:v png - | ossicle look --all --rate 25
  ffmpeg -i door.mp4 -f yuv4mpegpipe -pix_fmt yuv420p - | ossicle look --all --fps 2
  ossicle look --raw yuv420p --size 640x480 --rate 30 frames.yuv
  ossicle look pictures/ --rate 1
  ossicle look /dev/video0 --size 1280x720 --classes tabby   (built with the feature v4l2)
  rpicam-vid -t 0 -n --codec mjpeg -o - | ossicle look --mqtt mqtt://homeassistant.local --mqtt-name hall

A stream is JPEG (MJPEG, also multipart), PNG or binary PPM images one after another, YUV4MPEG2, or bare pixels with --raw and --size.
Frames that come from standard input or a camera while the model computes are dropped but for the newest, and counted; with --all each one is waited for.

The rules for events are those of ossicle detect (--config), over the labels' scores.

Exit status: 0 done, also if a signal ended standard input or a camera; 1 some frames were damaged; 2 bad usage or bad input; 130 a signal came
before the end of a file.";

/// Frames a second of a stream that does not say.
const RATE: f64 = 25.0;

/// What to look at, and for.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A stream of frames, a folder of images in the order of their names, or a camera of Linux (/dev/video0); - is standard input
    #[arg(value_name = "FILE|FOLDER|DEVICE", default_value = "-")]
    source: PathBuf,
    /// Model folder, or the name of one (see `ossicle models list`) [default: efficientnet-lite0]
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Option<String>,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// Thresholds and times, as of ossicle detect
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Only these classes of the settings, or labels of the model
    #[arg(long, value_name = "NAME,NAME...")]
    classes: Vec<String>,
    /// Look at every Nth frame
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Look at so many frames a second at most
    #[arg(long, value_name = "N", value_parser = positive)]
    fps: Option<f64>,
    /// Frames a second of the stream, by which times are counted [default: what it says, the clock for standard input and cameras, else 25]
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// Look at each frame of standard input or a camera, however long that takes
    #[arg(long)]
    all: bool,
    /// Share of the picture that has to move before the model looks again, 0 to 1; 0 looks always
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = share)]
    motion: f32,
    /// Bare pixels
    #[arg(long, value_enum, value_name = "LAYOUT", requires = "size")]
    raw: Option<LayoutName>,
    /// Their columns and rows, or those that a camera is asked for [default of a camera: 640x480]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(usize, usize)>,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LayoutName {
    Rgb24,
    Yuv420p,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "give a number above 0".into())
}

fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| "give a number from 0 to 1".into())
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.filter(|&(width, height)| width > 0 && height > 0).ok_or_else(|| "give columns and rows, such as 640x480".into())
}

/// The newest frame of a stream, for whoever has time to look.
#[derive(Default)]
struct Newest {
    slot: Mutex<Slot>,
    filled: Condvar,
}

#[derive(Default)]
struct Slot {
    frame: Option<(Frame, f64)>,
    /// Frames that were replaced before anybody looked.
    dropped: u64,
    end: Option<Result<(), FrameError>>,
}

/// A run over one stream.
struct Looker<'a> {
    args: &'a Args,
    viewer: Viewer,
    folder: PathBuf,
    output: Output<'a>,
    /// When the last frame was looked at.
    last: Option<f64>,
    damaged: u64,
}

impl Looker<'_> {
    /// Whether a frame of this number and time is to be looked at.
    fn wants(&self, index: u64, at: f64) -> bool {
        let soon = |fps: f64| self.last.is_some_and(|last| at - last < 1.0 / fps - 1e-9);
        index.is_multiple_of(self.args.every) && !self.args.fps.is_some_and(soon)
    }

    /// Looks at an image, or says why it cannot.
    fn see(&mut self, image: Result<Image, String>, at: f64) -> Result<()> {
        let image = match image {
            Ok(image) => image,
            Err(problem) => {
                self.damaged += 1;
                fault::complain(&format!("{}: {problem}: left out", self.output.source));
                return Ok(());
            }
        };
        self.last = Some(at);
        let output = &mut self.output;
        self.viewer.see(&image, at, &mut |heard| output.heard(heard)).map_err(|error| fault::classify(&self.folder, error))?;
        std::mem::replace(&mut self.output.written, Ok(()))?;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, at: f64) -> Result<()> {
        self.see(frame.decode().map_err(|e| e.to_string()), at)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    interrupt::catch()?;
    let device = camera::is_device(&args.source);
    if args.size.is_some() && args.raw.is_none() && !device {
        return Err(Fault::line("--size: the stream says itself what size its frames are: leave it out, or give --raw").into());
    }
    if device && args.raw.is_some() {
        return Err(Fault::line("--raw: a camera gives JPEG images: leave it out").into());
    }
    let words = args.labels.read()?;
    let name = crate::classify::model_name(args.model.as_deref());
    let folder = ossicle::models::find(name).map_err(fault::model)?;
    check_words(&folder, words.as_ref())?;
    let options = embed::Options { isa: args.machine.isa(), threads: args.machine.threads(), most: MAX_BUFFER_BYTES };
    let model = AnyClassifier::open(&folder, words.as_ref(), options).map_err(|error| fault::classify(&folder, error))?;
    if model.reading() == Reading::Recordings {
        return Err(Fault::new("this model labels recordings", folder.display(), "give one for images").into());
    }
    let settings = match &args.config {
        Some(path) => Settings::read(path).map_err(|error| fault::settings(path, error))?,
        None => Settings::default(),
    };
    let gate = (args.motion > 0.0).then(|| MotionGate::new(args.motion));
    let viewer = Viewer::new(model, &settings, &args.classes, gate)
        .map_err(|error| fault::settings(args.config.as_deref().unwrap_or(&folder), error))?;
    let mut out = io::stdout().lock();
    let link = args.broker.connect(Sense::Sight, &ossicle::trace::file_name(&folder));
    let output = Output { format: args.format, source: input::name(&args.source), out: &mut out, written: Ok(()), link };
    let mut looker = Looker { args, viewer, folder, output, last: None, damaged: 0 };
    let mut dropped = 0;
    let end = if args.source.is_dir() {
        images(&mut looker, &args.source)
    } else if device {
        let camera = watch(args)?;
        let flagged = camera.damaged();
        let frames = interrupt::ending(camera);
        let end = if args.all { stream(&mut looker, frames, Clock::Wall) } else { live(&mut looker, frames, &mut dropped) };
        looker.damaged += flagged.load(Ordering::Relaxed);
        end
    } else if input::is_stdin(&args.source) && !args.all {
        let stdin = interrupt::stdin();
        live(&mut looker, stdin, &mut dropped)
    } else if input::is_stdin(&args.source) {
        stream(&mut looker, interrupt::stdin(), Clock::Frames)
    } else {
        let file =
            File::open(&args.source).map_err(|e| Fault::new(e, args.source.display(), "give a stream of frames or a folder of images"))?;
        stream(&mut looker, file, Clock::Frames)
    };
    let Looker { viewer, output, damaged, .. } = &mut looker;
    viewer.finish(&mut |heard| output.heard(heard));
    std::mem::replace(&mut output.written, Ok(()))?;
    let counts = viewer.counts();
    let end = match end {
        // Nothing was seen before the stream broke off, or there is none.
        Err(error) if counts.computed + counts.still == 0 => return Err(error),
        end => end,
    };
    fault::tell(format_args!(
        "{}: {} frames computed, {} still, {dropped} dropped, {} damaged",
        output.source, counts.computed, counts.still, damaged
    ));
    if let Err(error) = end {
        fault::report(&error);
        looker.damaged += 1;
    }
    // What has no end of its own is ended by a signal.
    let stopped = interrupt::came() && !input::is_stdin(&args.source) && !device;
    Ok(match looker.damaged {
        _ if stopped => interrupt::status(),
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Images of a folder, by the endings of their names.
fn images(looker: &mut Looker<'_>, folder: &Path) -> Result<()> {
    let unreadable = |e: io::Error| Fault::new(e, folder.display(), "make it readable");
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| has_image_ending(path) && path.is_file()).collect();
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(Fault::new("no images", folder.display(), "give a folder with some").into());
    }
    let rate = looker.args.rate.unwrap_or(RATE);
    for (index, path) in paths.iter().enumerate() {
        let at = index as f64 / rate;
        if interrupt::came() {
            break;
        }
        if looker.wants(index as u64, at) {
            looker.see(Image::read(path).map_err(|e| e.to_string()), at)?;
        }
    }
    Ok(())
}

/// Frames of the camera that is asked for.
fn watch(args: &Args) -> Result<camera::Frames, Fault> {
    let path = &args.source;
    #[cfg(all(feature = "v4l2", target_os = "linux"))]
    let open = camera::v4l2(path, args.size);
    #[cfg(not(all(feature = "v4l2", target_os = "linux")))]
    let open: camera::Open = Box::new(|| Err(io::Error::new(io::ErrorKind::Unsupported, "this program was built without cameras")));
    let remedy = match cfg!(all(feature = "v4l2", target_os = "linux")) {
        true => "give a camera, or pipe rpicam-vid or ffmpeg into ossicle look",
        false => "pipe rpicam-vid or ffmpeg into ossicle look, or build it with the feature v4l2",
    };
    camera::Frames::new(path, open).map_err(|error| Fault::new(error, path.display(), remedy))
}

fn open<R: Read>(looker: &Looker<'_>, reader: R) -> Result<FrameReader<R>> {
    let raw = looker.args.raw.zip(looker.args.size).map(|(layout, (width, height))| {
        let layout = if layout == LayoutName::Rgb24 { RawLayout::Rgb24 } else { RawLayout::Yuv420p };
        Raw { layout, width, height }
    });
    FrameReader::new(reader, raw).map_err(|error| frame_fault(looker, &error))
}

fn frame_fault(looker: &Looker<'_>, error: &FrameError) -> anyhow::Error {
    Fault::line(format!("{}: {error}", looker.output.source)).into()
}

/// What says when a frame was taken, if neither its stream nor `--rate` does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// When it came.
    Wall,
    /// Its number, at [`RATE`] frames a second.
    Frames,
}

/// Each frame of a stream.
fn stream(looker: &mut Looker<'_>, reader: impl Read, clock: Clock) -> Result<()> {
    let mut frames = open(looker, reader)?;
    let rate = looker.args.rate.or(frames.rate()).or((clock == Clock::Frames).then_some(RATE));
    let begun = Instant::now();
    while let Some(frame) = frames.next_frame().map_err(|error| frame_fault(looker, &error))? {
        let at = rate.map_or_else(|| begun.elapsed().as_secs_f64(), |rate| frame.index() as f64 / rate);
        if interrupt::came() {
            break;
        }
        if looker.wants(frame.index(), at) {
            looker.frame(&frame, at)?;
        }
    }
    Ok(())
}

/// The newest frame of a stream whenever there is time.
fn live(looker: &mut Looker<'_>, reader: impl Read + Send, dropped: &mut u64) -> Result<()> {
    let newest = Arc::new(Newest::default());
    let mut frames = open(looker, reader)?;
    let (rate, every) = (looker.args.rate.or(frames.rate()), looker.args.every);
    std::thread::scope(|scope| {
        let filler = Arc::clone(&newest);
        scope.spawn(move || {
            let begun = Instant::now();
            loop {
                let next = frames.next_frame();
                // A frame that nobody wants must not take the place of one that is.
                if next.as_ref().is_ok_and(|next| next.as_ref().is_some_and(|frame| !frame.index().is_multiple_of(every))) {
                    continue;
                }
                let mut slot = filler.slot.lock().unwrap_or_else(PoisonError::into_inner);
                match next {
                    Ok(Some(frame)) => {
                        let at = rate.map_or_else(|| begun.elapsed().as_secs_f64(), |rate| frame.index() as f64 / rate);
                        slot.dropped += u64::from(slot.frame.replace((frame, at)).is_some());
                    }
                    end => slot.end = Some(end.map(drop)),
                }
                filler.filled.notify_one();
                // Whoever looks has given up, or there is nothing more to read.
                if slot.end.is_some() {
                    return;
                }
            }
        });
        let outcome = look_at_newest(looker, &newest);
        let mut slot = newest.slot.lock().unwrap_or_else(PoisonError::into_inner);
        *dropped = slot.dropped;
        slot.end.get_or_insert(Ok(()));
        outcome
    })
}

fn look_at_newest(looker: &mut Looker<'_>, newest: &Newest) -> Result<()> {
    loop {
        let mut slot = newest.slot.lock().unwrap_or_else(PoisonError::into_inner);
        while slot.frame.is_none() && slot.end.is_none() {
            slot = newest.filled.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        let Some((frame, at)) = slot.frame.take() else {
            return match slot.end.take() {
                Some(Err(error)) => Err(frame_fault(looker, &error)),
                _ => Ok(()),
            };
        };
        drop(slot);
        if looker.wants(frame.index(), at) {
            looker.frame(&frame, at)?;
        }
    }
}
