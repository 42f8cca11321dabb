//! From a description to samples.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossicle_generate::{DelayPattern, Generator, TokenModel};
use ossicle_models::audiogen::{AudiogenConfig, AudiogenGraph, Limits};
use ossicle_models::folder::ModelFolder;
use ossicle_models::{GraphError, MemoryPlan, Options};
use ossicle_trace::{Step, Tap, Tensor, Values};

use super::codec::{Codec, Decoder, Facts};
use super::settings::Recommended;
use super::{Beginning, CODEC, Description, GenerateError, Request, describe};

/// What making sounds needs, in bytes: first the encoder of descriptions, then, when that has been let go, the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenerationPlan {
    /// The encoder's weights, and what it runs in.
    pub text: [usize; 2],
    /// The language model.
    pub model: MemoryPlan,
    /// The codec's decoder.
    pub codec: MemoryPlan,
    /// Codes and logits.
    pub codes: usize,
}

impl GenerationPlan {
    /// The larger of what is there at a time.
    pub fn total(&self) -> usize {
        let after = self.model.total().saturating_add(self.codec.total()).saturating_add(self.codes);
        after.max(self.text[0].saturating_add(self.text[1]))
    }
}

/// How far a sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps of the model taken.
    pub done: usize,
    /// Of so many.
    pub steps: usize,
}

/// The language model as the decode loop takes it.
pub(super) struct Model<'a>(pub(super) &'a mut AudiogenGraph);

impl TokenModel for Model<'_> {
    type Error = GraphError;

    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], GraphError> {
        self.0.step(tokens)
    }
}

/// How a sound is cut into windows, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// Frames that are there before the first is made.
    given: usize,
    /// All frames, those among them.
    total: usize,
    window: usize,
    stride: usize,
}

impl Windows {
    /// All frames, those that are given among them.
    pub(super) fn total(self) -> usize {
        self.total
    }

    /// First frame and number of frames of each window: the next begins `stride` later, and what both have is given to it.
    pub(super) fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let Self { given, total, window, stride } = self;
        // Of what is there already as much is seen as a later window sees of the one before.
        let start = given.saturating_sub(window - stride);
        let count = 1 + (total - start).saturating_sub(window).div_ceil(stride);
        (0..count).map(move |i| start + i * stride).map(move |first| (first, window.min(total - first)))
    }
}

/// Both model folders.
pub(super) struct Folders {
    path: PathBuf,
    pub(super) model: Arc<ModelFolder<AudiogenConfig>>,
    pub(super) codec: Codec,
    recommended: Recommended,
}

impl Folders {
    fn open(path: &Path) -> Result<Self, GenerateError> {
        let model = ModelFolder::<AudiogenConfig>::open(path)?;
        let codec = Codec::open(&path.join(CODEC))?;
        let (own, Facts { codebooks, codes, .. }) = (model.config(), codec.facts());
        let wrong = |problem| Err(GenerateError::Parts { path: path.to_owned(), problem });
        if own.vocab_size != codes {
            return wrong(format!("the model has {} codes, its codec {codes}", own.vocab_size));
        }
        if own.num_codebooks != codebooks {
            return wrong(format!("the model has {} codebooks, its codec {codebooks}", own.num_codebooks));
        }
        Ok(Self { recommended: Recommended::read(path)?, path: path.to_owned(), model, codec })
    }

    /// Frames a second.
    fn rate(&self) -> f64 {
        let Facts { rate, hop, .. } = self.codec.facts();
        rate as f64 / hop as f64
    }

    pub(super) fn pattern(&self) -> DelayPattern {
        DelayPattern::new(&self.model.config().delays)
    }

    pub(super) fn windows(&self, request: &Request) -> Result<Windows, GenerateError> {
        let given = request.given;
        let total = given + request.frames(self.rate())?;
        let frames = |seconds: f64| ((seconds * self.rate()).round() as usize).max(1);
        // As many steps as the model has positions for.
        let most = self.model.config().max_position_embeddings.saturating_sub(self.pattern().longest()).max(1);
        let window = frames(self.recommended.window_seconds).min(most);
        Ok(Windows { given, total, window, stride: frames(self.recommended.stride_seconds).min(window) })
    }

    fn limits(&self, request: &Request, text: usize) -> Result<Limits, GenerateError> {
        let longest = self.windows(request)?.iter().map(|(_, frames)| frames).max().unwrap_or(1);
        Ok(Limits { rows: if request.guidance == 1.0 { 1 } else { 2 }, steps: self.pattern().steps(longest) - 1, text })
    }
}

/// Makes sounds.
pub struct SoundGenerator {
    pub(super) folders: Folders,
    pub(super) options: Options,
    pub(super) model: AudiogenGraph,
    pub(super) decoder: Decoder,
    pub(super) limits: Limits,
    pub(super) tap: Option<Arc<dyn Tap>>,
}

impl fmt::Debug for SoundGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoundGenerator").field("folder", &self.folders.path).finish_non_exhaustive()
    }
}

impl SoundGenerator {
    /// A generator for sounds like `request`, of descriptions of at most `text` rows.
    ///
    /// # Errors
    /// A folder cannot be used, its parts do not fit each other, a setting is outside of its range, or more than eight gibibytes are needed.
    pub fn open(folder: &Path, options: Options, request: Request, text: usize) -> Result<Self, GenerateError> {
        Self::open_within(folder, options, request, text, 8 << 30)
    }

    /// As [`open`](Self::open), with another limit in bytes of the buffers and caches of each part.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_within(folder: &Path, options: Options, request: Request, text: usize, most: usize) -> Result<Self, GenerateError> {
        let folders = Folders::open(folder)?;
        check(&folders, &request)?;
        let limits = folders.limits(&request, text)?;
        let model = AudiogenGraph::new_within(Arc::clone(&folders.model), options, limits, most)?;
        let decoder = folders.codec.decoder(options, most)?;
        Ok(Self { folders, options, model, decoder, limits, tap: None })
    }

    /// What it all needs, without keeping any of it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn plan(folder: &Path, options: Options, request: Request, text: usize) -> Result<GenerationPlan, GenerateError> {
        let plan = Self::plan_prepared(folder, options, request, text)?;
        describe::check(folder, ModelFolder::<AudiogenConfig>::open(folder)?.config().text_size)?;
        Ok(GenerationPlan { text: describe::bytes(folder, options)?, ..plan })
    }

    /// As [`plan`](Self::plan), where descriptions were [prepared](super::Prepared): no encoder is needed.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn plan_prepared(folder: &Path, options: Options, request: Request, text: usize) -> Result<GenerationPlan, GenerateError> {
        let folders = Folders::open(folder)?;
        check(&folders, &request)?;
        let limits = folders.limits(&request, text)?;
        let model = AudiogenGraph::plan(&folders.model, options, limits)?;
        let codec = folders.codec.plan(options)?;
        let frames = folders.windows(&request)?.window.min(limits.steps);
        let codes = Generator::bytes(&folders.pattern(), folders.model.config().vocab_size, frames, &request.settings(options.isa));
        Ok(GenerationPlan { text: [0; 2], model, codec, codes })
    }

    /// What the language model has to be made for, and how many steps it takes for a sound.
    pub(crate) fn steps(folder: &Path, request: Request, text: usize) -> Result<(Limits, usize), GenerateError> {
        let folders = Folders::open(folder)?;
        check(&folders, &request)?;
        let steps = folders.windows(&request)?.iter().map(|(_, frames)| folders.pattern().steps(frames) - 1).sum();
        Ok((folders.limits(&request, text)?, steps))
    }

    /// Samples a second.
    pub fn sampling_rate(&self) -> usize {
        self.folders.codec.facts().rate
    }

    /// Hands every tensor that is computed from now on to `tap`; `None` ends that.
    pub fn set_tap(&mut self, tap: Option<Arc<dyn Tap>>) {
        self.model.set_tap(tap.clone());
        self.decoder.set_tap(tap.clone());
        self.tap = tap;
    }

    /// Makes a sound that goes on from a beginning of `request.given` frames: hands over that as the codec gives it back, then what follows, as
    /// [`generate`](Self::generate).
    ///
    /// # Errors
    /// As [`generate`](Self::generate), or if the request says another number of frames.
    pub fn go_on(
        &mut self,
        beginning: &Beginning,
        description: &Description,
        request: Request,
        sink: &mut dyn FnMut(&[f32]),
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), GenerateError> {
        self.make(description, request, &beginning.codes, sink, progress)
    }

    /// Makes a sound: hands samples in -1.0..=1.0 to `sink` as they come, and tells `progress` after each step how far it is. If that says no, the
    /// sound ends with what there is.
    ///
    /// # Errors
    /// A setting is outside of its range, or the request needs more room than the one that the generator was opened for.
    pub fn generate(
        &mut self,
        description: &Description,
        request: Request,
        sink: &mut dyn FnMut(&[f32]),
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), GenerateError> {
        self.make(description, request, &[], sink, progress)
    }

    /// Refuses what the generator was not opened for.
    pub(super) fn check(&self, description: &Description, request: &Request) -> Result<(), GenerateError> {
        check(&self.folders, request)?;
        let wanted = self.folders.limits(request, description.rows())?;
        if wanted.rows != self.limits.rows || wanted.steps > self.limits.steps || wanted.text > self.limits.text {
            return Err(GenerateError::Setting(
                "a longer sound or description than the generator was opened for, or other guidance".into(),
            ));
        }
        let width = self.folders.model.config().text_size;
        if description.shape[1] != width {
            let problem = format!("a description of {} values a row, {width} were expected", description.shape[1]);
            return Err(GenerateError::Description(problem));
        }
        Ok(())
    }

    fn make(
        &mut self,
        description: &Description,
        request: Request,
        before: &[u32],
        sink: &mut dyn FnMut(&[f32]),
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), GenerateError> {
        self.check(description, &request)?;
        let (pattern, windows) = (self.folders.pattern(), self.folders.windows(&request)?);
        let (codes, settings) = (self.folders.model.config().vocab_size, request.settings(self.options.isa));
        let steps = windows.iter().map(|(_, frames)| pattern.steps(frames) - 1).sum();
        let books = pattern.codebooks();
        if before.len() != request.given * books {
            let problem = format!("{} codes to go on from, {} were expected", before.len(), request.given * books);
            return Err(GenerateError::Setting(problem));
        }
        self.decoder.start(request.seed);
        for frame in before.chunks_exact(books.max(1)) {
            self.decoder.push(frame, sink)?;
        }
        // Of the first window: `[codebooks][frames]`, as windows hand them on.
        let seen = windows.iter().next().map_or(0, |(first, _)| request.given - first);
        let last = &before[before.len() - seen * books..];
        let mut prompt: Vec<u32> = (0..books).flat_map(|book| last.iter().skip(book).step_by(books.max(1)).copied()).collect();
        let (mut done, mut sent) = (0, request.given);
        'windows: for (first, frames) in windows.iter() {
            let failed = |error: &dyn fmt::Display| GenerateError::Setting(error.to_string());
            let generator = Generator::continuing(pattern.clone(), codes, &prompt, frames, first as u64, settings);
            let mut generator = generator.map_err(|error| failed(&error))?;
            self.model.start(&description.values)?;
            loop {
                let step = generator.step(&mut Model(&mut self.model));
                let Some(range) = step.map_err(|error| match error {
                    ossicle_generate::GenerateError::Model(error) => GenerateError::from(error),
                    error => failed(&error),
                })?
                else {
                    break;
                };
                for frame in range.start.max(sent.saturating_sub(first))..range.end {
                    let codes: Vec<u32> = generator.frame(frame).collect();
                    if let Some(tap) = &self.tap {
                        tap.step(Step { stage: "audiogen.frame", at: (first + frame) as u64, count: 1 });
                        let values = Values::U32(&codes);
                        tap.tensor(&Tensor { op: "audiogen.codes", kernel: "Choice", part: "", shape: &[books], values });
                    }
                    self.decoder.push(&codes, sink)?;
                    sent = first + frame + 1;
                }
                done += 1;
                if !progress(Progress { done, steps }) {
                    break 'windows;
                }
            }
            let all = generator.codes();
            prompt = all.chunks_exact(frames).flat_map(|codes| codes.iter().skip(windows.stride)).copied().collect();
        }
        Ok(self.decoder.finish(sink)?)
    }
}

/// Settings that the loop would refuse.
fn check(folders: &Folders, request: &Request) -> Result<(), GenerateError> {
    let settings = request.settings(ossicle_kernels::simd::Isa::detect());
    let checked = Generator::new(folders.pattern(), folders.model.config().vocab_size, 1, settings);
    checked.map(drop).map_err(|error| GenerateError::Setting(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_sounds_are_continued_from_what_was_last() {
        let windows = |total| Windows { given: 0, total, window: 500, stride: 100 }.iter().collect::<Vec<_>>();
        assert_eq!(windows(20), [(0, 20)]);
        assert_eq!(windows(500), [(0, 500)]);
        assert_eq!(windows(501), [(0, 500), (100, 401)]);
        assert_eq!(windows(750), [(0, 500), (100, 500), (200, 500), (300, 450)]);
        // Of what is given, 400 frames are seen.
        let windows = |given, total| Windows { given, total, window: 500, stride: 100 }.iter().collect::<Vec<_>>();
        assert_eq!(windows(300, 310), [(0, 310)]);
        assert_eq!(windows(450, 700), [(50, 500), (150, 500), (250, 450)]);
        assert_eq!(windows(1000, 1100), [(600, 500)]);
    }
}
