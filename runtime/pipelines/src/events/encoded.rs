//! Events from what Whisper's encoder gives, beside the text.

use std::path::Path;
use std::sync::Arc;

use ossicle_models::MemoryPlan;
use ossicle_models::folder::{ModelFolder, WhisperConfig};
use ossicle_models::whisper_events::{CELL_ROWS, STEP_CELLS, STEP_ROWS, WhisperEventsConfig, WhisperEventsGraph};
use ossicle_trace::{Step, Tap, Values, le_bytes};
use sha2::{Digest, Sha256};

use super::around::Around;
use super::detector::{LABELS_FILE, heard, labels, seconds};
use super::error::EventsError;
use super::labels::Labels;
use super::settings::Settings;
use super::tracker::{Change, Tracker};
use super::{Event, Heard, InOrder};
use crate::audio::SAMPLE_RATE;

/// Frames of 10 ms that a row of the encoder stands for.
const ROW_FRAMES: usize = 2;

/// Frames of 10 ms of a cell.
const CELL_FRAMES: u64 = (CELL_ROWS * ROW_FRAMES) as u64;

/// Samples of a frame.
const FRAME_SAMPLES: u64 = SAMPLE_RATE as u64 / 100;

/// Turns the encoder's rows into events, window after window, in fixed memory.
pub struct EncodedEvents {
    graph: WhisperEventsGraph,
    trackers: Vec<Tracker>,
    /// Rows that wait for a step to be whole.
    pending: Vec<f32>,
    /// Cells taken of the recording.
    taken: u64,
    /// Cells that went through the network, those of silence behind the recording included.
    run: u64,
    hasher: Option<Box<Sha256>>,
    tap: Option<Arc<dyn Tap>>,
    /// Events that wait for others which began before them, if they are told in that order.
    order: Option<InOrder>,
}

impl EncodedEvents {
    /// Opens the head in the folder `head` for the encoder of the model in the folder `whisper`; `classes` as in
    /// [`Options::classes`](super::Options::classes).
    ///
    /// # Errors
    /// [`EventsError`] if a folder or the settings cannot be used, or the head was learned on another encoder.
    pub fn open(
        head: &Path,
        whisper: &Path,
        settings: &Settings,
        classes: &[String],
        options: ossicle_models::Options,
    ) -> Result<Self, EventsError> {
        let folder = ModelFolder::<WhisperEventsConfig>::open(head)?;
        let config = folder.config();
        let encoder: Arc<ModelFolder<WhisperConfig>> = ModelFolder::open(whisper)?;
        let known = encoder.weights().sha256();
        if encoder.config().d_model != config.d_model || config.encoders.values().all(|digest| *digest != known) {
            let names: Vec<&str> = config.encoders.keys().map(String::as_str).collect();
            let problem = format!("was learned on the encoder of {}, not of {}", names.join(" or "), whisper.display());
            return Err(EventsError::Classes { path: head.to_owned(), problem });
        }
        let names = labels(&folder, LABELS_FILE, config.num_labels)?;
        let resolved = settings.resolve(&Labels { thresholds: vec![None; names.len()], near: vec![], names }, classes)?;
        let pending = Vec::with_capacity(STEP_ROWS * config.d_model);
        let graph = WhisperEventsGraph::new(folder, options)?;
        let trackers = resolved.into_iter().map(Tracker::new).collect();
        Ok(Self { graph, trackers, pending, taken: 0, run: 0, hasher: None, tap: None, order: None })
    }

    /// Memory it needs beside Whisper, in bytes.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn memory_plan(head: &Path, options: ossicle_models::Options) -> Result<MemoryPlan, EventsError> {
        let folder = ModelFolder::<WhisperEventsConfig>::open(head)?;
        let mut plan = WhisperEventsGraph::memory_plan(&folder, options)?;
        plan.state += 4 * STEP_ROWS * folder.config().d_model;
        Ok(plan)
    }

    /// Hands every tensor from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }

    /// Whether the events of the next recording are told in the order in which they begin, not in which they end: what lasts then holds back all
    /// that begins behind it.
    pub fn set_in_order(&mut self, in_order: bool) {
        self.order = in_order.then(InOrder::default);
    }

    /// Begins a recording; with `digest` the scores' digest is collected.
    pub fn begin(&mut self, digest: bool) {
        self.graph.reset();
        self.pending.clear();
        (self.taken, self.run) = (0, 0);
        self.order = self.order.take().map(|_| InOrder::default());
        self.hasher = digest.then(Box::default);
        for tracker in &mut self.trackers {
            *tracker = Tracker::new(tracker.class.clone());
        }
    }

    /// Takes the encoder's output of the window that begins at frame `seek` of 10 ms, `[rows][d_model]`, as far as the next window: `frames` frames.
    ///
    /// # Errors
    /// [`EventsError::Graph`] if the network cannot run.
    pub fn window(&mut self, rows: &[f32], seek: u64, frames: usize, sink: &mut dyn FnMut(Event)) -> Result<(), EventsError> {
        let width = self.graph.config().d_model;
        let rows = rows.chunks_exact(width);
        while CELL_FRAMES * self.taken < seek + frames as u64 {
            // Windows begin at any frame, cells at every fourth. A window's last cell may lack its second row.
            let first = (CELL_FRAMES * self.taken).saturating_sub(seek) as usize / ROW_FRAMES;
            for row in first..first + CELL_ROWS {
                let row = rows.clone().nth(row.min(rows.len().saturating_sub(1)));
                row.map(|row| self.pending.extend_from_slice(row)).unwrap_or_else(|| self.silence(1));
            }
            self.taken += 1;
            self.step(None, sink)?;
        }
        Ok(())
    }

    /// Ends the recording after `samples`: what is open ends. The scores' digest, if it was asked for.
    ///
    /// # Errors
    /// [`EventsError::Graph`] if the network cannot run.
    pub fn finish(&mut self, samples: u64, sink: &mut dyn FnMut(Event)) -> Result<Option<String>, EventsError> {
        while self.run < self.taken + self.graph.config().lag() as u64 {
            let missing = STEP_ROWS - self.pending.len() / self.graph.config().d_model;
            self.silence(missing);
            self.step(Some(samples), sink)?;
        }
        for tracker in &mut self.trackers {
            tracker.finish(samples, &mut over(&mut self.order, sink));
        }
        if let Some(order) = &mut self.order {
            std::iter::from_fn(|| order.next(f64::INFINITY)).for_each(sink);
        }
        Ok(self.hasher.take().map(|hasher| ossicle_trace::hex(&hasher.finalize())))
    }

    /// Rows of zeros, as the head was taught to find behind a recording.
    fn silence(&mut self, rows: usize) {
        let values = self.pending.len() + rows * self.graph.config().d_model;
        self.pending.resize(values, 0.0);
    }

    /// Scores the rows that wait if they are a whole step, of a recording that ends after so many samples if that is known.
    fn step(&mut self, samples: Option<u64>, sink: &mut dyn FnMut(Event)) -> Result<(), EventsError> {
        let &WhisperEventsConfig { d_model, num_labels, .. } = self.graph.config();
        if self.pending.len() < STEP_ROWS * d_model {
            return Ok(());
        }
        let lag = self.graph.config().lag() as u64;
        if let Some(tap) = &self.tap {
            tap.step(Step { stage: "events", at: self.run, count: STEP_CELLS as u32 });
        }
        let scores = self.graph.run(&self.pending)?;
        for (cell, scores) in (self.run..).zip(scores.chunks_exact(num_labels)) {
            // Before the recording, or behind it.
            let Some(cell) = cell.checked_sub(lag).filter(|&cell| cell < self.taken) else { continue };
            if let Some(hasher) = &mut self.hasher {
                le_bytes(Values::F32(scores), |bytes| hasher.update(bytes));
            }
            let [start, end] = [cell, cell + 1].map(|cell| cell * CELL_FRAMES * FRAME_SAMPLES);
            let end = samples.map_or(end, |samples| end.min(samples));
            for tracker in &mut self.trackers {
                let score = tracker.class.outputs.iter().map(|&output| scores[output]).fold(0.0, f32::max);
                tracker.take(start, end, score, Around::default(), &mut over(&mut self.order, sink));
            }
        }
        self.run += STEP_CELLS as u64;
        if let Some(order) = &mut self.order {
            let next = self.run.saturating_sub(lag) * CELL_FRAMES * FRAME_SAMPLES;
            let settled = self.trackers.iter().filter_map(Tracker::open_since).fold(next, u64::min);
            std::iter::from_fn(|| order.next(seconds(settled))).for_each(&mut *sink);
        }
        self.pending.clear();
        Ok(())
    }
}

/// Of what is told of a class's events, those that are over: to be put in order, if they are.
fn over(order: &mut Option<InOrder>, sink: &mut dyn FnMut(Event)) -> impl FnMut(&str, Change) {
    move |class, change| {
        if let Heard::Event(event) = heard(class, change) {
            match order {
                Some(order) => order.push(event).into_iter().for_each(&mut *sink),
                None => sink(event),
            }
        }
    }
}
