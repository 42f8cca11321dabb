//! From samples to scores and events.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_frontend::yamnet::{BINS, HOP_SAMPLES, PATCH_FRAMES, PATCH_SAMPLES, YamnetMel, YamnetScratch, samples_of};
use ossicle_kernels::simd::Isa;
use ossicle_models::MemoryPlan;
use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::yamnet::{ClassHead, ClassesConfig, YamnetConfig, YamnetGraph};
use ossicle_trace::{Step, Tap, Tensor, Values, le_bytes};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::around::{Around, Near};
use super::error::EventsError;
use super::labels::Labels;
use super::near_scores::NearScores;
use super::settings::{Rules, Settings};
use super::timing::Timing;
use super::tracker::{Change, Tracker};
use super::{Event, Lasting, SettingsError};
use crate::audio::SAMPLE_RATE;
use crate::find::{FindError, Query, SoundWords, TextEncoder};

/// Scores of a patch that a head's timing is made for: cells of 40 ms.
const HEAD_CELLS: usize = 8;

/// Most sounds in words at once.
const MAX_QUERIES: usize = 256;

/// Threshold of sounds in words, unless the settings' default class has another.
const WORDS_THRESHOLD: f32 = 0.15;

/// The file with a line for each label.
pub(super) const LABELS_FILE: &str = "labels.txt";

/// The file with a line for each label that a model with a head scores for whole patches.
const NEAR_LABELS_FILE: &str = "near_labels.txt";

/// How to detect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instruction set; changes no bit.
    pub isa: Isa,
    /// Threads, held to 1..=8; change no bit.
    pub threads: usize,
    /// Frames of 10 ms from one patch to the next: 2 to 96, an even number; by default the model's own, [`HOP_FRAMES`](super::HOP_FRAMES) without a head. A
    /// head takes no other than its own.
    pub hop_frames: Option<usize>,
    /// Only these classes of the settings, or labels of the model; all if empty. Each is a name or several, with commas between them.
    pub classes: Vec<String>,
    /// Folders of classes of one's own, as `ossicle-quantize events` makes them: their labels come behind the model's, with a score for each patch,
    /// which counts for all cells of it.
    pub add_classes: Vec<PathBuf>,
    /// Sounds in words: each is a class beside those of `classes`, scored by what the model's own classes have to do with it. For models
    /// without a head.
    pub find: Vec<String>,
    /// Folder of the sentence encoder that understands them.
    pub find_model: PathBuf,
    /// Whether to collect [`Digests`].
    pub digests: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            isa: Isa::detect(),
            threads: 1,
            hop_frames: None,
            classes: vec![],
            add_classes: vec![],
            find: vec![],
            find_model: PathBuf::new(),
            digests: false,
        }
    }
}

/// Lower-case hexadecimal SHA-256 of what was computed, to compare two machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// Every log-mel frame: f32, little endian.
    pub mel: String,
    /// Every label's score in every hop: f32, little endian.
    pub scores: String,
}

/// What the detector has to tell.
#[derive(Clone, Debug)]
pub enum Heard<'a> {
    /// The scores of one hop, once for each, in order.
    Scores(Scores<'a>),
    /// An event has begun and lasted for its `min_seconds`. It is told once, and an [`Event`](Heard::Event) of this start follows.
    Start(Lasting<'a>),
    /// An event whose start was told is still heard, its `repeat_seconds` after it was told last.
    Repeat(Lasting<'a>),
    /// An event that is over, and that nothing can join any more.
    Event(Event),
}

/// The scores of one hop.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// Seconds: from here on they count.
    pub start: f64,
    /// Seconds: until here.
    pub end: f64,
    /// One for each label.
    pub scores: &'a [f32],
    /// YAMNet's embedding of the patch that was heard last, never negative.
    pub embedding: &'a [f32],
}

/// A class that is listened for.
#[derive(Clone, Copy, Debug)]
pub struct ClassOutputs<'a> {
    /// Its name.
    pub name: &'a str,
    /// Labels: the largest of their scores counts.
    pub outputs: &'a [usize],
    /// How scores become events.
    pub rules: Rules,
    /// What has to be heard near an event, of [`Detector::near_labels`].
    pub near: Option<&'a Near>,
    /// What speaks against an event, of the same: it does not count where the largest score of these reaches the threshold and is more than
    /// that of `near`.
    pub unless: Option<&'a Near>,
}

/// Turns samples into events. Memory is fixed whatever the length.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use ossicle::Detector;
/// use ossicle::events::{Options, Settings};
///
/// let model = "models-int8/sound-events".as_ref();
/// let mut detector = Detector::open(model, &Settings::of_model(model)?, Options::default())?;
/// let mut count = 0;
/// detector.push(&[0.0; 16_000], &mut |_| count += 1)?;
/// detector.finish(&mut |_| count += 1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Detector {
    graph: YamnetGraph,
    /// With their names in traces.
    heads: Vec<(String, ClassHead)>,
    /// Sounds in words, whose labels come last.
    queries: Vec<Query>,
    labels: Labels,
    /// Labels of the model itself.
    model_labels: usize,
    /// What a patch gave for each of them, cell after cell.
    model_scores: Vec<f32>,
    /// What the last patches gave for added labels, in a ring: a head's scores are of patches before the last.
    own_scores: Vec<f32>,
    /// Of a cell one for each label.
    scores: Vec<f32>,
    near: NearScores,
    classes: Vec<String>,
    trackers: Vec<Tracker>,
    /// Of each tracker, what is around the cells of one patch.
    around: Vec<Around>,
    mel: YamnetMel,
    scratch: Box<YamnetScratch>,
    timing: Timing,
    /// Samples that no frame has been computed from yet, and those that the next frame shares with the last.
    pending: Vec<f32>,
    /// The last patch.
    patch: Vec<f32>,
    /// Patches scored.
    hops: u64,
    received: u64,
    hashers: Option<Box<[Sha256; 2]>>,
    tap: Option<Arc<dyn Tap>>,
}

impl Detector {
    /// Opens the YAMNet in `model`.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Detector;
    /// use ossicle::events::{Options, Settings};
    ///
    /// let model = "models-int8/sound-events".as_ref();
    /// let detector = Detector::open(model, &Settings::of_model(model)?, Options::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EventsError`] if the folder, the settings or the hop cannot be used.
    pub fn open(model: &Path, settings: &Settings, options: Options) -> Result<Self, EventsError> {
        let folder = ModelFolder::open(model)?;
        let config: &YamnetConfig = folder.config();
        if (config.patch_frames, config.num_mel_bins) != (PATCH_FRAMES, BINS) {
            let (frames, bins) = (config.patch_frames, config.num_mel_bins);
            let problem = format!("patches of {frames} frames of {bins} bands, not {PATCH_FRAMES} of {BINS}");
            return Err(FolderError::Malformed { path: folder.path().join("config.json"), problem }.into());
        }
        if config.head.is_some() && config.cells() != HEAD_CELLS {
            let problem = format!("a head of {} cells for each patch, not {HEAD_CELLS}", config.cells());
            return Err(FolderError::Malformed { path: folder.path().join("config.json"), problem }.into());
        }
        let timing = Timing::new(config, options.hop_frames)?;
        let names = labels(&folder, LABELS_FILE, config.num_labels)?;
        let model_labels = names.len();
        let near = if config.near_labels == 0 { vec![] } else { labels(&folder, NEAR_LABELS_FILE, config.near_labels)? };
        let near_scores = NearScores::new(near.len(), timing);
        let mut labels = Labels { thresholds: vec![None; names.len()], names, near };
        let own = |(i, path): (usize, &PathBuf)| Ok((format!("yamnet.classes.{i}"), head(path, &folder, options.isa, &mut labels)?));
        let heads = options.add_classes.iter().enumerate().map(own).collect::<Result<_, EventsError>>()?;
        let queries = words(&options, &folder, &mut labels, model_labels)?;
        let classes = options.find.iter().chain(&options.classes).cloned().collect();
        let graph = YamnetGraph::new(folder, ossicle_models::Options { isa: options.isa, threads: options.threads })?;
        let mut detector = Self {
            graph,
            heads,
            queries,
            model_scores: Vec::with_capacity(timing.cells * model_labels),
            own_scores: vec![0.0; timing.patches_kept() * (labels.names.len() - model_labels)],
            scores: Vec::with_capacity(labels.names.len()),
            model_labels,
            labels,
            near: near_scores,
            classes,
            trackers: vec![],
            around: vec![],
            mel: YamnetMel::new(options.isa),
            scratch: Box::default(),
            timing,
            pending: Vec::with_capacity(PATCH_SAMPLES),
            patch: vec![0.0; PATCH_FRAMES * BINS],
            hops: 0,
            received: 0,
            hashers: options.digests.then(Box::default),
            tap: None,
        };
        detector.pending.resize(timing.lead, 0.0);
        detector.set_settings(settings, &mut |_| {})?;
        Ok(detector)
    }

    /// Memory a detector needs beside the program, in bytes: weights, network, front end.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// let plan = ossicle::Detector::memory_plan("models-int8/sound-events".as_ref(), ossicle::Isa::detect(), 1)?;
    /// assert!(plan.total() < 100_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn memory_plan(model: &Path, isa: Isa, threads: usize) -> Result<MemoryPlan, EventsError> {
        let folder = ModelFolder::open(model)?;
        let mut plan = YamnetGraph::memory_plan(&folder, ossicle_models::Options { isa, threads }, 1)?;
        plan.state += size_of::<YamnetScratch>() + 4 * (PATCH_SAMPLES + PATCH_FRAMES * BINS);
        Ok(plan)
    }

    /// Memory that the added classes need beside [`memory_plan`](Self::memory_plan), in bytes.
    pub fn added_bytes(&self) -> usize {
        let heads: usize = self.heads.iter().map(|(_, head)| head.weight_bytes() + head.state_bytes()).sum();
        heads + 4 * self.own_scores.len()
    }

    /// Frames of 10 ms from one patch to the next.
    pub fn hop_frames(&self) -> usize {
        self.timing.hop
    }

    /// The model's labels and those of added classes, one for each score.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Detector;
    /// use ossicle::events::{Options, Settings};
    ///
    /// let model = "models-int8/sound-events".as_ref();
    /// let detector = Detector::open(model, &Settings::of_model(model)?, Options::default())?;
    /// assert!(!detector.labels().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn labels(&self) -> &[String] {
        &self.labels.names
    }

    /// Labels that a model with a head scores for whole patches beside its classes; none of others.
    pub fn near_labels(&self) -> &[String] {
        &self.labels.near
    }

    /// The classes that are listened for, by the settings in use.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Detector;
    /// use ossicle::events::{Options, Settings};
    ///
    /// let model = "models-int8/sound-events".as_ref();
    /// let detector = Detector::open(model, &Settings::of_model(model)?, Options::default())?;
    /// assert!(detector.classes().count() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classes(&self) -> impl Iterator<Item = ClassOutputs<'_>> {
        self.trackers.iter().map(|tracker| {
            let class = &tracker.class;
            let (near, unless) = (class.near.as_ref(), class.unless.as_ref());
            ClassOutputs { name: &class.name, outputs: &class.outputs, rules: class.rules, near, unless }
        })
    }

    /// Goes on by other settings. Events of classes that are no longer there end here.
    ///
    /// # Errors
    /// [`SettingsError`] if the model or the classes asked for do not fit them; then nothing changes.
    pub fn set_settings(&mut self, settings: &Settings, sink: &mut impl FnMut(Heard<'_>)) -> Result<(), SettingsError> {
        let resolved = settings.resolve(&self.labels, &self.classes)?;
        let now = self.timing.start_of(self.timing.told(self.hops)).min(self.received);
        let mut old = std::mem::take(&mut self.trackers);
        for class in resolved {
            match old.iter().position(|tracker| tracker.class.name == class.name) {
                Some(at) => self.trackers.push(old.swap_remove(at).with(class)),
                None => self.trackers.push(Tracker::new(class)),
            }
        }
        self.around = vec![Around::default(); self.trackers.len()];
        for mut tracker in old {
            tracker.finish(now, &mut |class, change| sink(heard(class, change)));
        }
        Ok(())
    }

    /// Seconds: every event of this recording that is still to be told begins here or later.
    ///
    /// ```
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    /// use ossicle::Detector;
    /// use ossicle::events::{Options, Settings};
    ///
    /// let model = "models-int8/sound-events".as_ref();
    /// let mut detector = Detector::open(model, &Settings::of_model(model)?, Options::default())?;
    /// detector.push(&[0.0; 32_000], &mut |_| ())?;
    /// assert!(detector.settled() > 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settled(&self) -> f64 {
        let next = self.timing.start_of(self.timing.told(self.hops));
        seconds(self.trackers.iter().filter_map(Tracker::open_since).fold(next, u64::min))
    }

    /// Hands every tensor from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.graph.set_tap(tap.clone());
        self.tap = tap;
    }

    /// Takes finite 16 kHz samples, and tells what they complete.
    ///
    /// # Errors
    /// [`EventsError::Graph`] if the network cannot run.
    pub fn push(&mut self, samples: &[f32], sink: &mut impl FnMut(Heard<'_>)) -> Result<(), EventsError> {
        self.received += samples.len() as u64;
        self.take(samples, sink)
    }

    /// Ends the recording: silence fills up the last patch, if its samples have not been scored, and what is open ends. Then a new one may
    /// begin.
    ///
    /// # Errors
    /// [`EventsError::Graph`] if the network cannot run.
    pub fn finish(&mut self, sink: &mut impl FnMut(Heard<'_>)) -> Result<(), EventsError> {
        while self.timing.scored(self.hops) < self.received {
            let missing = samples_of(self.wanted_frames()) - self.pending.len();
            self.take(&vec![0.0; missing], sink)?;
        }
        let end = self.received;
        for tracker in &mut self.trackers {
            tracker.finish(end, &mut |class, change| sink(heard(class, change)));
        }
        self.restart();
        Ok(())
    }

    /// Forgets the recording.
    pub(super) fn restart(&mut self) {
        for tracker in &mut self.trackers {
            *tracker = Tracker::new(tracker.class.clone());
        }
        self.graph.reset();
        self.pending.clear();
        self.pending.resize(self.timing.lead, 0.0);
        (self.hops, self.received) = (0, 0);
    }

    /// The digests since the detector was opened or asked last, if it collects them.
    pub fn take_digests(&mut self) -> Option<Digests> {
        let [mel, scores] = *std::mem::take(self.hashers.as_mut()?);
        Some(Digests { mel: ossicle_trace::hex(&mel.finalize()), scores: ossicle_trace::hex(&scores.finalize()) })
    }

    /// Frames that the next patch lacks.
    fn wanted_frames(&self) -> usize {
        if self.hops == 0 { PATCH_FRAMES } else { self.timing.hop }
    }

    fn take(&mut self, mut samples: &[f32], sink: &mut impl FnMut(Heard<'_>)) -> Result<(), EventsError> {
        loop {
            let wanted = self.wanted_frames();
            let taken = samples.len().min(samples_of(wanted) - self.pending.len());
            let (now, later) = samples.split_at(taken);
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() < samples_of(wanted) {
                return Ok(());
            }
            self.score(wanted, sink)?;
            self.pending.drain(..wanted * HOP_SAMPLES);
        }
    }

    /// Computes `new` frames, and scores the patch they complete.
    fn score(&mut self, new: usize, sink: &mut impl FnMut(Heard<'_>)) -> Result<(), EventsError> {
        self.patch.copy_within(new * BINS.., 0);
        let frames = &mut self.patch[(PATCH_FRAMES - new) * BINS..];
        self.mel.frames(&self.pending, frames, &mut self.scratch).expect("as many samples as these frames see");
        if let Some(tap) = &self.tap {
            tap.step(Step { stage: "hop", at: self.hops, count: new as u32 });
            let values = Values::F32(frames);
            tap.tensor(&Tensor { op: "mel", kernel: "YamnetMel", part: "", shape: &[new, BINS], values });
        }
        if let Some(hashers) = &mut self.hashers {
            le_bytes(Values::F32(frames), |bytes| hashers[0].update(bytes));
        }
        let told = self.timing.told(self.hops)..self.timing.told(self.hops + 1);
        self.model_scores.clear();
        self.model_scores.extend_from_slice(self.graph.run(&self.patch, 1)?);
        let (cells, kept) = (self.timing.cells as u64, self.timing.patches_kept() as u64);
        let own_labels = self.labels.names.len() - self.model_labels;
        let own_of = |patch: u64| (patch % kept) as usize * own_labels..((patch % kept) as usize + 1) * own_labels;
        let mut own = &mut self.own_scores[own_of(self.hops)];
        for (op, head) in &mut self.heads {
            let scores = head.run(self.graph.embeddings())?;
            if let Some(tap) = &self.tap {
                let values = Values::F32(scores);
                tap.tensor(&Tensor { op, kernel: "ClassHead", part: "", shape: &[scores.len()], values });
            }
            let (now, later) = std::mem::take(&mut own).split_at_mut(scores.len());
            now.copy_from_slice(scores);
            own = later;
        }
        for (score, query) in own.iter_mut().zip(&self.queries) {
            *score = query.score(&self.model_scores);
        }
        self.near.keep(self.hops, self.graph.near_scores());
        self.hops += 1;
        // A head's first scores are of what lies before the recording, its last ones of the silence behind it.
        let skipped = self.timing.cells - (told.end - told.start) as usize;
        let mut patch = None;
        for (cell, of_model) in told.zip(self.model_scores.chunks_exact(self.model_labels).skip(skipped)) {
            let start = self.timing.start_of(cell);
            if start >= self.received {
                break;
            }
            let end = self.timing.start_of(cell + 1).min(self.received);
            self.scores.clear();
            self.scores.extend_from_slice(of_model);
            self.scores.extend_from_slice(&self.own_scores[own_of(cell / cells)]);
            let scores = self.scores.as_slice();
            if let Some(hashers) = &mut self.hashers {
                le_bytes(Values::F32(scores), |bytes| hashers[1].update(bytes));
            }
            let embedding = self.graph.embeddings();
            sink(Heard::Scores(Scores { start: seconds(start), end: seconds(end), scores, embedding }));
            if patch.replace(cell / cells) != Some(cell / cells) {
                for (around, tracker) in self.around.iter_mut().zip(&self.trackers) {
                    let largest = |of: &Option<Near>| of.as_ref().map_or(0.0, |of| self.near.largest(cell, &of.outputs));
                    *around = Around { near: largest(&tracker.class.near), against: largest(&tracker.class.unless) };
                }
            }
            for (tracker, &around) in self.trackers.iter_mut().zip(&self.around) {
                let score = tracker.class.outputs.iter().map(|&output| scores[output]).fold(0.0, f32::max);
                tracker.take(start, end, score, around, &mut |class, change| sink(heard(class, change)));
            }
        }
        Ok(())
    }
}

pub(super) fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

/// What becomes of an event of the class `class`, in seconds.
pub(crate) fn heard(class: &str, change: Change) -> Heard<'_> {
    match change {
        Change::Start(on) => Heard::Start(Lasting { class, start: seconds(on.start), at: seconds(on.at), peak: on.peak }),
        Change::Repeat(on) => Heard::Repeat(Lasting { class, start: seconds(on.start), at: seconds(on.at), peak: on.peak }),
        Change::Over(span) => Heard::Event(Event {
            class: class.to_owned(),
            start: seconds(span.start),
            end: seconds(span.end),
            peak: span.peak,
            mean: span.mean,
        }),
    }
}

/// Classes on the embedding of `base`; their labels are put behind those that are known.
fn head(path: &Path, base: &ModelFolder<YamnetConfig>, isa: Isa, known: &mut Labels) -> Result<ClassHead, EventsError> {
    let folder = ModelFolder::<ClassesConfig>::open(path)?;
    let refuse = |problem: String| EventsError::Classes { path: path.to_owned(), problem };
    let ClassesConfig { num_labels, embedding, thresholds, .. } = folder.config();
    if !folder.config().is_of(base) {
        let model = base.path().display();
        return Err(refuse(format!(
            "was learned on other weights than those of {model}: name that model, or make it again with ossicle-quantize events"
        )));
    }
    let given = base.config().embedding();
    if *embedding != given {
        return Err(refuse(format!(
            "reads an embedding of {embedding} values, not of {given}: make it again with ossicle-quantize events"
        )));
    }
    for name in labels(&folder, LABELS_FILE, *num_labels)? {
        if known.names.contains(&name) {
            return Err(refuse(format!("has a label {name:?}, and so has another model: learn it under another name")));
        }
        known.names.push(name);
    }
    known.thresholds.extend(thresholds.iter().copied().map(Some));
    Ok(ClassHead::new(folder, isa)?)
}

/// Sounds in words; their labels are put behind those that are known. What is a label of the model already is that label.
fn words(
    options: &Options,
    folder: &ModelFolder<YamnetConfig>,
    known: &mut Labels,
    model_labels: usize,
) -> Result<Vec<Query>, EventsError> {
    if options.find.is_empty() {
        return Ok(vec![]);
    }
    if folder.config().head.is_some() {
        return Err(EventsError::Classes {
            path: folder.path().to_owned(),
            problem: "has a head of its own, and knows no other sounds to find words by: use --model yamnet".into(),
        });
    }
    if options.find.len() > MAX_QUERIES {
        let problem = format!("{} sounds in words, at most {MAX_QUERIES} are looked for at once", options.find.len());
        return Err(EventsError::Classes { path: options.find_model.clone(), problem });
    }
    let mut encoder = TextEncoder::open(&options.find_model, options.isa, options.threads)?;
    let sounds = SoundWords::new(&encoder, &known.names[..model_labels])?;
    let mut queries = vec![];
    for text in &options.find {
        if known.names[..model_labels].contains(text) {
            continue;
        }
        if text.contains(char::is_control) {
            return Err(FindError::Text { text: text.clone(), problem: "holds control characters: give plain text".into() }.into());
        }
        queries.push(sounds.query(options.isa, encoder.encode(text)?));
        known.names.push(text.clone());
        known.thresholds.push(Some(WORDS_THRESHOLD));
    }
    Ok(queries)
}

pub(super) fn labels<C>(folder: &ModelFolder<C>, file: &str, wanted: usize) -> Result<Vec<String>, FolderError> {
    let labels: Vec<String> = folder.read_text(file)?.lines().map(str::to_owned).collect();
    if labels.len() != wanted || labels.iter().any(|label| label.is_empty() || label.contains(char::is_control)) {
        let problem = format!("has {} lines, not a label in each of {wanted}", labels.len());
        return Err(FolderError::Malformed { path: folder.path().join(file), problem });
    }
    Ok(labels)
}
