//! The loudspeaker, by cpal. A ring holds what is still to be played; the sound card's thread plays silence where it is empty.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{Device, ErrorKind, FromSample, SampleFormat, SizedSample, Stream, StreamConfig};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::fault::{Fault, complain};

/// How long to wait for room at a time.
const NAP: Duration = Duration::from_millis(10);
/// What a sound card holds behind the ring.
const LATENCY: Duration = Duration::from_millis(100);
/// Rates that a card may have, as multiples of the voice's.
const MULTIPLES: [u32; 4] = [1, 2, 4, 8];

/// A running device.
pub(crate) struct Loudspeaker {
    // Playing ends when this goes.
    _stream: Stream,
    ring: Producer<f32>,
    /// What is in the ring is not to be played.
    skip: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
}

impl Loudspeaker {
    /// Opens the system's.
    pub(crate) fn open(rate: u32) -> Result<Self> {
        let Some(device) = cpal::default_host().default_output_device() else {
            return Err(Fault::line("no loudspeaker: this machine: connect one, or give --answer-output").into());
        };
        let fault = |error: cpal::Error| Fault::new(format!("cannot play: {error}"), "loudspeaker", "give --answer-output FILE or -");
        let ranges: Vec<_> = device.supported_output_configs().map_err(fault)?.collect();
        let wanted = MULTIPLES.iter().find_map(|multiple| {
            let fits = |range: &&cpal::SupportedStreamConfigRange| {
                matches!(range.sample_format(), SampleFormat::I16 | SampleFormat::F32)
                    && (range.min_sample_rate()..=range.max_sample_rate()).contains(&(rate * multiple))
            };
            let range = ranges.iter().filter(fits).min_by_key(|range| range.channels())?;
            Some((range.with_sample_rate(rate * multiple), *multiple))
        });
        let Some((supported, multiple)) = wanted else {
            return Err(Fault::new(
                format!("it plays neither {rate} Hz nor a multiple of it"),
                "loudspeaker",
                "give --answer-output FILE or -",
            )
            .into());
        };
        let (ring, from) = RingBuffer::new(rate as usize);
        let (skip, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let source = Source { from, skip: Arc::clone(&skip), multiple, step: 0, last: 0.0, next: 0.0 };
        let (config, end) = (supported.config(), Arc::clone(&broken));
        let stream = match supported.sample_format() {
            SampleFormat::I16 => play::<i16>(&device, config, source, end),
            _ => play::<f32>(&device, config, source, end),
        };
        let stream = stream.map_err(fault)?;
        stream.play().map_err(fault)?;
        Ok(Self { _stream: stream, ring, skip, broken })
    }

    /// Writes samples as there is room for them; false where `stop` holds before.
    pub(crate) fn write(&mut self, samples: &[f32], stop: &dyn Fn() -> bool) -> io::Result<bool> {
        for &sample in samples {
            while self.ring.push(sample).is_err() {
                if stop() {
                    return Ok(false);
                }
                if self.broken.load(Ordering::Relaxed) {
                    return Err(io::Error::other("the loudspeaker is gone"));
                }
                thread::sleep(NAP);
            }
        }
        Ok(!stop())
    }

    /// Waits until all has been played, or `stop` holds: then the rest is not.
    pub(crate) fn wait(&mut self, stop: &dyn Fn() -> bool) {
        while self.ring.slots() < self.ring.buffer().capacity() && !self.broken.load(Ordering::Relaxed) {
            self.skip.store(stop(), Ordering::Relaxed);
            thread::sleep(NAP);
        }
        if !self.skip.swap(false, Ordering::Relaxed) {
            thread::sleep(LATENCY);
        }
    }
}

/// Samples at the card's rate: those of the ring, and points on the lines between them.
struct Source {
    from: Consumer<f32>,
    skip: Arc<AtomicBool>,
    multiple: u32,
    step: u32,
    last: f32,
    next: f32,
}

impl Source {
    fn sample(&mut self) -> f32 {
        if self.step == 0 {
            self.last = self.next;
            self.next = self.from.pop().unwrap_or(0.0);
        }
        let part = self.step as f32 / self.multiple as f32;
        self.step = (self.step + 1) % self.multiple;
        self.last + (self.next - self.last) * part
    }
}

fn play<T: SizedSample + FromSample<f32>>(
    device: &Device,
    config: StreamConfig,
    mut source: Source,
    broken: Arc<AtomicBool>,
) -> Result<Stream, cpal::Error> {
    let channels = usize::from(config.channels.max(1));
    let on_frames = move |frames: &mut [T], _: &_| {
        if source.skip.load(Ordering::Relaxed) {
            while source.from.pop().is_ok() {}
        }
        for frame in frames.chunks_mut(channels) {
            frame.fill(T::from_sample(source.sample().clamp(-1.0, 1.0)));
        }
    };
    let on_error = move |error: cpal::Error| {
        complain(&format!("loudspeaker: {error}"));
        if !matches!(error.kind(), ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied) {
            broken.store(true, Ordering::Relaxed);
        }
    };
    device.build_output_stream(config, on_frames, on_error, None)
}
