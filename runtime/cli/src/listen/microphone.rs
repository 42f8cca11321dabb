//! The microphone, by cpal. The sound card's thread writes to a lock-free ring; a sample that finds it full is lost and counted.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{Device, ErrorKind, FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig};
use ossicle::source::{SampleSource, SourceError};
use ossicle_frontend::resample::Resampler;
use ossicle_frontend::samples::downmix;
use ossicle_kernels::simd::Isa;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

use super::sound::Sound;
use crate::fault::{Fault, complain};

/// Seconds that the ring holds.
const RING_SECONDS: usize = 2;
/// How long to wait for samples at a time.
const NAP: Duration = Duration::from_millis(20);
/// How long to wait before a device is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the names of all microphones.
pub(crate) fn list(out: &mut dyn Write) -> Result<()> {
    for device in cpal::default_host().input_devices().context("cannot list microphones")? {
        let name = device.description().map_or_else(|_| String::new(), |description| description.to_string());
        writeln!(out, "{}  {name}", device.id()?)?;
    }
    Ok(())
}

/// Opens the microphone of that name, or the system's.
pub(crate) fn open(name: Option<&str>, isa: Isa) -> Result<Sound> {
    let dropped = Arc::new(AtomicU64::new(0));
    let device = find(name)?;
    let label = name.unwrap_or("microphone").to_owned();
    let card = Card::start(&device, &dropped).map_err(|error| no_sound(&label, &error))?;
    let rate = card.config.sample_rate;
    let resampler = Resampler::<Vec<f32>>::memory_len(rate).and_then(|len| Resampler::new(isa, rate, vec![0.0; len]));
    let resampler = resampler.map_err(|error| Fault::new(error, &label, "choose another with --device"))?;
    let samples = Microphone {
        card,
        name: label.clone(),
        device,
        resampler,
        mono: Vec::with_capacity(BLOCK),
        taken: 0,
        dropped: Arc::clone(&dropped),
    };
    Ok(Sound { name: label, rate, live: true, samples: Box::new(samples), dropped, damage: Arc::default() })
}

fn find(name: Option<&str>) -> Result<Device> {
    let host = cpal::default_host();
    let Some(name) = name else {
        let device = host.default_input_device();
        return Ok(device.ok_or_else(|| Fault::line("no microphone: this machine: connect one, or give - and pipe raw samples in"))?);
    };
    let found = name.parse().ok().and_then(|id| host.device_by_id(&id)).filter(Device::supports_input);
    Ok(found.ok_or_else(|| Fault::new("no such microphone", name, "give a name from ossicle listen --list-devices"))?)
}

fn no_sound(name: &str, error: &cpal::Error) -> Fault {
    Fault::new(format!("cannot record: {error}"), name, "check that it is connected and not in use, or choose another with --device")
}

/// A running device and its ring of interleaved samples.
struct Card {
    // Recording ends when this goes.
    _stream: Stream,
    config: StreamConfig,
    ring: Consumer<f32>,
    /// The device is gone or wants to be opened again.
    broken: Arc<AtomicBool>,
}

impl Card {
    fn start(device: &Device, dropped: &Arc<AtomicU64>) -> Result<Self, cpal::Error> {
        let supported = device.default_input_config()?;
        let config = supported.config();
        let (producer, ring) = RingBuffer::new(RING_SECONDS * config.sample_rate as usize * usize::from(config.channels));
        let broken = Arc::new(AtomicBool::new(false));
        let (to, lost, end) = (producer, Arc::clone(dropped), Arc::clone(&broken));
        let stream = match supported.sample_format() {
            SampleFormat::I16 => record::<i16>(device, config, to, lost, end),
            SampleFormat::U16 => record::<u16>(device, config, to, lost, end),
            SampleFormat::I32 => record::<i32>(device, config, to, lost, end),
            SampleFormat::F32 => record::<f32>(device, config, to, lost, end),
            _ => Err(ErrorKind::UnsupportedConfig.into()),
        }?;
        stream.play()?;
        Ok(Self { _stream: stream, config, ring, broken })
    }
}

fn record<T: SizedSample>(
    device: &Device,
    config: StreamConfig,
    mut to: Producer<f32>,
    dropped: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
) -> Result<Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels.max(1));
    let on_samples = move |samples: &[T], _: &_| {
        // Whole frames only, or the channels would be mixed up from here on.
        let room = to.slots() / channels * channels;
        let (taken, lost) = samples.split_at(room.min(samples.len()));
        if let Ok(chunk) = to.write_chunk_uninit(taken.len()) {
            chunk.fill_from_iter(taken.iter().map(|&sample| f32::from_sample(sample)));
        }
        if !lost.is_empty() {
            dropped.fetch_add((lost.len() / channels) as u64, Ordering::Relaxed);
        }
    };
    let on_error = move |error: cpal::Error| match error.kind() {
        // cpal goes on by itself. The card does not say how much it lost.
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => complain(&format!("microphone: {error}")),
        _ => {
            complain(&format!("microphone: {error}: it will be opened again"));
            broken.store(true, Ordering::Relaxed);
        }
    };
    device.build_input_stream(config, on_samples, on_error, None)
}

/// Frames taken out of the ring at a time.
const BLOCK: usize = 1024;

/// A microphone as a source that never ends.
struct Microphone {
    card: Card,
    name: String,
    device: Device,
    resampler: Resampler<Vec<f32>>,
    mono: Vec<f32>,
    taken: usize,
    dropped: Arc<AtomicU64>,
}

impl SampleSource for Microphone {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let done = self.resampler.process(&self.mono[self.taken..], out);
            self.taken += done.read;
            if done.written > 0 {
                return Ok(done.written);
            }
            self.refill().map_err(|error| SourceError(error.into()))?;
        }
    }
}

impl Microphone {
    /// Waits for frames and mixes their channels.
    fn refill(&mut self) -> Result<(), Fault> {
        let channels = usize::from(self.card.config.channels.max(1));
        self.mono.clear();
        self.taken = 0;
        loop {
            let frames = (self.card.ring.slots() / channels).min(BLOCK);
            if frames > 0 {
                let chunk = match self.card.ring.read_chunk(frames * channels) {
                    Ok(chunk) => chunk,
                    Err(ChunkError::TooFewSlots(_)) => continue,
                };
                // The ring holds whole frames at even places, so no frame is split between the halves.
                let (first, second) = chunk.as_slices();
                self.mono.resize(frames, 0.0);
                let (front, back) = self.mono.split_at_mut(first.len() / channels);
                downmix(first, channels, front);
                downmix(second, channels, back);
                chunk.commit_all();
                return Ok(());
            }
            if self.card.broken.load(Ordering::Relaxed) {
                self.reopen()?;
            }
            thread::sleep(NAP);
        }
    }

    /// Opens the device again until it works: it may have been unplugged for a while. Its rate and channels must be what they were.
    fn reopen(&mut self) -> Result<(), Fault> {
        loop {
            thread::sleep(RETRY);
            if let Ok(card) = Card::start(&self.device, &self.dropped) {
                let shape = |card: &Card| (card.config.sample_rate, card.config.channels);
                if shape(&card) != shape(&self.card) {
                    return Err(Fault::new("the microphone came back with another rate or other channels", &self.name, "start again"));
                }
                self.card = card;
                return Ok(());
            }
        }
    }
}
