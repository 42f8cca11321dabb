//! A stream cut into utterances, whose samples are kept while they may be needed.

use std::collections::VecDeque;

use ossicle_frontend::endpoint::{self, Config, ConfigError, Endpointer, Events};
use ossicle_frontend::mel::HOP_SAMPLES;
use ossicle_frontend::vad::Vad;
use ossicle_kernels::simd::Isa;

use super::boundary::{Boundary, Trigger};
use super::button::Button;

/// Samples that are no longer needed, before they are moved out of the way.
const SLACK: usize = 16_000;

/// What one call of [`Segmenter::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Samples taken.
    pub read: usize,
    /// What they led to; more may follow without any samples.
    pub boundary: Option<Boundary>,
}

/// Cuts a stream of 16 kHz samples. Memory is that of the longest utterance, all of it allocated at the start.
pub struct Segmenter {
    cutter: Cutter,
    /// Samples from `base` on.
    kept: Vec<f32>,
    base: u64,
    received: u64,
    /// First sample of the utterance.
    start: Option<u64>,
    /// Found, but not handed out.
    pending: VecDeque<Boundary>,
    lookback: u64,
}

enum Cutter {
    Voice(Box<Vad>, Endpointer),
    Button(Button),
}

impl Segmenter {
    /// A stream at its start. With a button, only pre-roll and greatest length of the configuration count.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(isa: Isa, trigger: Trigger, config: Config) -> Result<Self, ConfigError> {
        let endpointer = Endpointer::new(config)?;
        let (lookback, max) = (endpointer.lookback_samples(), endpointer.max_samples());
        let (cutter, lookback) = match trigger {
            Trigger::Voice => (Cutter::Voice(Box::new(Vad::new(isa)), endpointer), lookback),
            Trigger::Button => {
                let button = Button::new(u64::from(config.pre_roll_ms) * 16, max);
                (Cutter::Button(button), button.lookback())
            }
        };
        let kept = Vec::with_capacity((lookback + max) as usize + 2 * HOP_SAMPLES + SLACK);
        Ok(Self { cutter, kept, base: 0, received: 0, start: None, pending: VecDeque::with_capacity(4), lookback })
    }

    /// Samples taken so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes finite samples until an utterance begins or ends, or all are taken. Call again while anything is left or was found.
    pub fn push(&mut self, samples: &[f32]) -> Progress {
        let mut read = 0;
        while self.pending.is_empty() && read < samples.len() {
            self.forget();
            read += self.take(&samples[read..]);
        }
        Progress { read, boundary: self.next() }
    }

    /// The button goes down; nothing without one.
    pub fn press(&mut self) -> Option<Boundary> {
        if let Cutter::Button(button) = &mut self.cutter {
            self.pending.extend(button.press(self.received));
        }
        self.next()
    }

    /// The button goes up; nothing without one.
    pub fn release(&mut self) -> Option<Boundary> {
        if let Cutter::Button(button) = &mut self.cutter {
            self.pending.extend(button.release(self.received));
        }
        self.next()
    }

    /// The stream has ended: ends an utterance.
    pub fn finish(&mut self) -> Option<Boundary> {
        let start = self.start;
        match &mut self.cutter {
            Cutter::Voice(_, endpointer) => self.pending.extend(endpointer.finish(self.received).and_then(|event| boundary(event, start))),
            Cutter::Button(button) => self.pending.extend(button.release(self.received)),
        }
        self.next()
    }

    /// The utterance that has not ended: its first sample, and its samples so far.
    pub fn utterance(&self) -> Option<(u64, &[f32])> {
        let start = self.start?;
        Some((start, self.samples(start, self.received)))
    }

    /// Samples `start..end` of an utterance that has just ended; those that are kept.
    pub fn samples(&self, start: u64, end: u64) -> &[f32] {
        let at = |position: u64| (position.saturating_sub(self.base) as usize).min(self.kept.len());
        &self.kept[at(start)..at(end)]
    }

    /// Takes up to a hop; whole hops where the detector has them, so that no boundary depends on how the stream is cut.
    fn take(&mut self, samples: &[f32]) -> usize {
        let to_hop = HOP_SAMPLES - (self.received % HOP_SAMPLES as u64) as usize;
        let room = match &self.cutter {
            Cutter::Voice(..) => to_hop,
            Cutter::Button(button) => usize::try_from(button.room(self.received)).unwrap_or(usize::MAX).min(to_hop),
        };
        let samples = &samples[..samples.len().min(room)];
        self.kept.extend_from_slice(samples);
        self.received += samples.len() as u64;
        match &mut self.cutter {
            Cutter::Voice(vad, endpointer) => {
                let mut events = Events::new();
                vad.push(samples, |hop| events = endpointer.push(hop.probability));
                let mut start = self.start;
                for event in events {
                    if let endpoint::Event::SpeechStart { sample } = event {
                        start = Some(sample);
                    }
                    self.pending.extend(boundary(event, start));
                }
            }
            Cutter::Button(button) => self.pending.extend(button.cut(self.received).into_iter().flatten()),
        }
        samples.len()
    }

    fn next(&mut self) -> Option<Boundary> {
        let next = self.pending.pop_front();
        match next {
            Some(Boundary::Start { sample }) => self.start = Some(sample),
            Some(Boundary::End { .. }) => self.start = None,
            None => {}
        }
        next
    }

    /// Moves what is needed to the front, now and then.
    fn forget(&mut self) {
        let from = self.start.unwrap_or(self.received.saturating_sub(self.lookback));
        let unneeded = from.saturating_sub(self.base) as usize;
        if unneeded >= SLACK {
            self.kept.drain(..unneeded.min(self.kept.len()));
            self.base += unneeded as u64;
        }
    }
}

fn boundary(event: endpoint::Event, start: Option<u64>) -> Option<Boundary> {
    match event {
        endpoint::Event::SpeechStart { sample } => Some(Boundary::Start { sample }),
        endpoint::Event::SpeechEnd { sample } => start.map(|start| Boundary::End { start, end: sample }),
    }
}
