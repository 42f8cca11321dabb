//! Recordings and backgrounds as examples.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle_kernels::simd::Isa;

use super::embed::{Embedder, PATCH, STEP};
use super::{LEAST_CLIPS, Progress, Task, name_of};
use crate::folder::sha256;
use crate::{Error, calibration};

const SECOND: usize = SAMPLE_RATE as usize;

/// Samples of 10 ms.
const FRAME: usize = SECOND / 100;

/// Of a class's recording so much is used, in samples: 30 s.
const LONGEST: usize = 30 * SECOND;

/// Background is dealt to folds in stretches of at most so many samples.
const BLOCK: usize = 10 * SECOND;

/// Most background in all: two hours.
const MOST_BACKGROUND: usize = 7200 * SECOND;

/// How often a recording is played into a background.
const MIXES: usize = 8;

/// Every mix: at most so much quieter and louder than the recording, and over the background, in decibels.
const LEVELS_DB: Range<f32> = -24.0..3.0;
const DISTANCES_DB: Range<f32> = 0.0..30.0;

/// A patch with or without a sound.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) values: Vec<f32>,
    /// The class that is heard at its middle, if any.
    pub(super) class: Option<usize>,
    pub(super) fold: usize,
}

/// What a fold is checked with.
pub(super) struct HeldOut {
    /// For each class its recordings as they are: fold, and the patches in which they are heard.
    pub(super) clips: Vec<Vec<(usize, Vec<Vec<f32>>)>>,
    /// What a class has to be told from: fold, whose it is, and all patches.
    pub(super) stretches: Vec<(usize, Origin, Vec<Vec<f32>>)>,
    /// Seconds of background that the caller gave.
    pub(super) seconds: f64,
}

/// Whose sound a stretch is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    /// A recording of this class.
    Class(usize),
    /// The caller's background.
    Given,
    /// Our own noises and speech.
    Own,
}

/// The heard part of a recording.
pub(super) struct Clip {
    samples: Vec<f32>,
    /// Of each 10 ms, whether they are loud: what is quiet between and behind is not told from a background by its sound.
    loud: Vec<bool>,
}

/// Samples with a sound somewhere in them.
struct Played<'a> {
    samples: Vec<f32>,
    start: usize,
    clip: &'a Clip,
}

/// All sounds.
pub(super) struct Corpus {
    /// Of each class.
    pub(super) clips: Vec<Vec<Clip>>,
    /// Stretches of background, those of our own behind the caller's.
    blocks: Vec<Vec<f32>>,
    /// The caller's among them.
    given: usize,
}

impl Corpus {
    /// Decodes no more than is used, and tells `progress` what is left out.
    pub(super) fn read(task: &Task, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Self, Error> {
        let (mut clips, mut tested) = (vec![], vec![]);
        for (name, path) in &task.classes {
            let files = recordings(std::slice::from_ref(path))?;
            if files.len() < LEAST_CLIPS {
                let what = format!("class {name:?}: {} recordings: give at least {LEAST_CLIPS}, of different occasions", files.len());
                return Err(Error::unsupported(path, what));
            }
            let mut own = vec![];
            tested.extend(files.iter().cloned());
            for file in &files {
                let (samples, more) = calibration::beginning(file, LONGEST)?;
                if more {
                    progress(Progress::LeftOut(&format!("{}: only its first {} s are used", file.display(), LONGEST / SECOND)));
                }
                own.push(Clip::new(&samples).map_err(|what| Error::unsupported(file, what))?);
            }
            clips.push(own);
        }
        let background = if task.background.is_empty() { vec![] } else { recordings(&task.background)? };
        distinct(&tested, &background)?;
        let mut blocks: Vec<Vec<f32>> = vec![];
        let mut left = MOST_BACKGROUND;
        for file in &background {
            let (samples, more) = calibration::beginning(file, left)?;
            left -= samples.len();
            blocks.extend(samples.chunks(BLOCK).map(<[f32]>::to_vec));
            if more {
                let (hours, file) = (MOST_BACKGROUND / SECOND / 3600, file.display());
                progress(Progress::LeftOut(&format!(
                    "{file}: background beyond {hours} h in all is left out, here and in all files after it"
                )));
                break;
            }
        }
        let given = blocks.len();
        blocks.extend(noises());
        blocks.extend(speech());
        Ok(Self { clips, blocks, given })
    }

    /// The caller's background is dealt in stretches that are as long as can be, for what lies side by side sounds alike.
    fn fold_of_block(&self, block: usize, folds: usize) -> usize {
        if block < self.given { block * folds / self.given } else { (block - self.given) % folds }
    }

    /// All examples: every recording in [`MIXES`] backgrounds of its own fold, and the backgrounds.
    pub(super) fn examples(&self, embedder: &mut Embedder, folds: usize) -> Vec<Example> {
        let mut random = Random(1);
        let mut examples = vec![];
        for (class, clips) in self.clips.iter().enumerate() {
            for (index, clip) in clips.iter().enumerate() {
                let fold = index % folds;
                let blocks: Vec<&Vec<f32>> =
                    self.blocks.iter().enumerate().filter(|&(i, _)| self.fold_of_block(i, folds) == fold).map(|(_, block)| block).collect();
                for mix in 0..MIXES {
                    let background = blocks.get(random.below(blocks.len())).map_or(&[][..], |block| block.as_slice());
                    let played = clip.mixed(background, mix == 0, &mut random);
                    for (patch, values) in embedder.embed(&played.samples).into_iter().enumerate() {
                        match played.place(patch) {
                            Place::Middle => examples.push(Example { values, class: Some(class), fold }),
                            Place::Outside => examples.push(Example { values, class: None, fold }),
                            Place::Edge => {}
                        }
                    }
                }
            }
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let fold = self.fold_of_block(index, folds);
            // A level of its own for each stretch.
            let gain = decibels(random.within(LEVELS_DB));
            let samples: Vec<f32> = block.iter().map(|x| (x * gain).clamp(-1.0, 1.0)).collect();
            examples.extend(embedder.embed(&samples).into_iter().step_by(2).map(|values| Example { values, class: None, fold }));
        }
        examples
    }

    /// What folds are checked with: recordings and backgrounds as they are.
    pub(super) fn held_out(&self, embedder: &mut Embedder, folds: usize) -> HeldOut {
        let (mut clips, mut stretches) = (vec![], vec![]);
        for (class, own) in self.clips.iter().enumerate() {
            let mut heard = vec![];
            for (index, clip) in own.iter().enumerate() {
                let played = clip.alone();
                let patches = embedder.embed(&played.samples);
                let middle = |&(patch, _): &(usize, Vec<f32>)| matches!(played.place(patch), Place::Middle);
                heard.push((index % folds, patches.iter().cloned().enumerate().filter(middle).map(|(_, values)| values).collect()));
                stretches.push((index % folds, Origin::Class(class), patches));
            }
            clips.push(heard);
        }
        let mut seconds = 0.0;
        for (index, block) in self.blocks.iter().enumerate() {
            let given = index < self.given;
            seconds += if given { block.len() as f64 / SECOND as f64 } else { 0.0 };
            let origin = if given { Origin::Given } else { Origin::Own };
            stretches.push((self.fold_of_block(index, folds), origin, embedder.embed(block)));
        }
        HeldOut { clips, stretches, seconds }
    }
}

impl Clip {
    /// From the first to the last 10 ms within 35 dB of the loudest; what is within 20 dB is loud.
    ///
    /// # Errors
    /// What is wrong with the recording: silence, or less than 10 ms of sound.
    fn new(samples: &[f32]) -> Result<Self, &'static str> {
        let levels: Vec<f32> = samples.chunks(FRAME).map(rms).collect();
        let loudest = levels.iter().copied().fold(0.0, f32::max);
        let heard = |&level: &f32| level >= loudest * decibels(-35.0) && level > decibels(-75.0);
        let (Some(first), Some(last)) = (levels.iter().position(heard), levels.iter().rposition(heard)) else {
            return Err("nothing is heard in it: take it out");
        };
        let loud = levels[first..=last].iter().map(|&level| level >= loudest * decibels(-20.0)).collect();
        let samples = samples[first * FRAME..((last + 1) * FRAME).min(samples.len())].to_vec();
        if samples.len() < FRAME { Err("less than 10 ms are heard in it: take it out") } else { Ok(Self { samples, loud }) }
    }

    /// With silence around it.
    fn alone(&self) -> Played<'_> {
        let samples = [&[0.0; PATCH][..], &self.samples, &[0.0; PATCH]].concat();
        Played { samples, start: PATCH, clip: self }
    }

    /// Somewhere in a background, or in silence; `plain` at its own level.
    fn mixed(&self, background: &[f32], plain: bool, random: &mut Random) -> Played<'_> {
        // Where the sound lies among the hops is left to chance.
        let start = PATCH + random.below(STEP);
        let (gain, distance) = if plain { (1.0, 40.0) } else { (decibels(random.within(LEVELS_DB)), random.within(DISTANCES_DB)) };
        let own = rms(background);
        let level = if own > 0.0 { rms(&self.samples) / own / decibels(distance) } else { 0.0 };
        let from = random.below(background.len());
        let mix = |i: usize| {
            let noise = if background.is_empty() { 0.0 } else { background[(from + i) % background.len()] };
            let sound = i.checked_sub(start).and_then(|i| self.samples.get(i)).copied().unwrap_or(0.0);
            (gain * (sound + level * noise)).clamp(-1.0, 1.0)
        };
        Played { samples: (0..start + self.samples.len() + PATCH).map(mix).collect(), start, clip: self }
    }
}

/// How a patch lies to a sound.
#[derive(Debug, PartialEq)]
enum Place {
    /// The sound is loud within half a hop of its middle.
    Middle,
    /// The sound is in it, but not there.
    Edge,
    /// Not at all.
    Outside,
}

impl Played<'_> {
    fn place(&self, patch: usize) -> Place {
        let (start, middle) = (patch * STEP, patch * STEP + PATCH / 2);
        let end = self.start + self.clip.samples.len();
        if start >= end || self.start >= start + PATCH {
            return Place::Outside;
        }
        // The last frame may be a part of one.
        let from = (middle - STEP / 2).saturating_sub(self.start) / FRAME;
        let to = (middle + STEP / 2).min(end).saturating_sub(self.start).div_ceil(FRAME);
        let loud = self.clip.loud.get(from..to.max(from)).is_some_and(|frames| frames.contains(&true));
        if loud { Place::Middle } else { Place::Edge }
    }
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

fn decibels(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// All files named and all recordings below the folders named, sorted by path.
fn recordings(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    calibration::files(paths, usize::MAX, "recording", &ossicle::audio::ENDINGS)
}

/// Refuses a background that is also, byte for byte, a recording of a class: it would be learned against itself, and cross-validation would
/// hear in training what it tests on.
fn distinct(tested: &[PathBuf], background: &[PathBuf]) -> Result<(), Error> {
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).map_err(|error| Error::io(path, error));
    let digest = |path: &Path| sha256(path).map_err(|error| Error::io(path, error));
    let mut lengths: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
    for path in tested {
        lengths.entry(length(path)?).or_default().push(path);
    }
    for path in background {
        // Hours of background need not be read twice: what is equal is as long.
        let Some(alike) = lengths.get(&length(path)?) else { continue };
        let own = digest(path)?;
        for other in alike {
            if digest(other)? == own {
                let what = format!("background that is also a recording of a class, {}: give it as one of them", other.display());
                return Err(Error::unsupported(path, what));
            }
        }
    }
    Ok(())
}

/// Silence, white, pink and brown noise, hums and clicks: ten seconds each, always the same.
fn noises() -> Vec<Vec<f32>> {
    let mut random = Random(2);
    let mut noises = vec![vec![0.0; BLOCK]];
    for color in 0..3 {
        for level in [0.003, 0.03, 0.2] {
            let (mut slow, mut slower) = (0.0, 0.0);
            let noise = (0..BLOCK).map(|_| {
                let white = random.within(-1.0..1.0);
                slow += (white - slow) * 0.1;
                slower += (white - slower) * 0.01;
                level * [white, 0.3 * white + 1.5 * slow + 3.0 * slower, 8.0 * slower][color]
            });
            noises.push(noise.collect());
        }
    }
    for (hertz, level) in [(50.0, 0.1), (120.0, 0.03), (440.0, 0.05), (3000.0, 0.02)] {
        let turn = std::f32::consts::TAU * hertz / SECOND as f32;
        noises.push((0..BLOCK).map(|n| level * ((n as f32 * turn).sin() + 0.3 * (3.0 * n as f32 * turn).sin())).collect());
    }
    let clicks = |n: usize| if n % (SECOND / 2) < 40 { 0.5 * random.within(-1.0..1.0) } else { 0.0 };
    noises.push((0..BLOCK).map(clicks).collect());
    noises.extend(calibration::synthetic().into_iter().map(|clip| clip.samples));
    noises
}

/// The samples of this repository: whatever is learned, speech is not it.
fn speech() -> impl Iterator<Item = Vec<f32>> {
    let files = [&include_bytes!("../../../samples/kitchen.wav")[..], include_bytes!("../../../samples/lights.wav")];
    files.into_iter().map(|file| {
        let samples = AudioReader::stream(Cursor::new(file), Isa::detect()).and_then(|mut reader| reader.read_to_end());
        samples.expect("the repository's samples are recordings")
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn within(&mut self, range: Range<f32>) -> f32 {
        range.start + (self.next() >> 40) as f32 / (1 << 24) as f32 * (range.end - range.start)
    }
}

/// Names of what was read, for the card.
pub(super) fn sources(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| name_of(path)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_around_a_sound_is_not_of_it() {
        let mut samples = vec![0.0; 3 * SECOND];
        samples[SECOND..SECOND + 1600].fill(0.5);
        samples[SECOND + 1600..SECOND + 3200].fill(0.5 * decibels(-30.0));
        let clip = Clip::new(&samples).unwrap();
        assert_eq!((clip.samples.len(), clip.loud), (3200, [[true; 10], [false; 10]].concat()));
        for (samples, what) in [(&[0.0; 1000][..], "nothing"), (&[], "nothing"), (&[0.5; 100], "less than 10 ms")] {
            assert!(Clip::new(samples).is_err_and(|told| told.starts_with(what)), "{what}");
        }
    }

    #[test]
    fn patches_know_where_the_sound_is() {
        // Middles are 7800 samples behind starts that are 3840 apart; the sound is loud in its first half.
        let clip = Clip { samples: vec![0.0; 8000], loud: [[true; 25], [false; 25]].concat() };
        let played = Played { samples: vec![], start: 16_000, clip: &clip };
        let places = |place: Place| (0..12).filter(|&patch| played.place(patch) == place).collect::<Vec<_>>();
        assert_eq!(places(Place::Middle), [2, 3]);
        assert_eq!(places(Place::Edge), [1, 4, 5, 6]);
        assert_eq!(places(Place::Outside), [0, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn every_recording_is_heard_in_some_patch() {
        // Loud only where a last frame is cut short.
        for length in [FRAME, FRAME + 1, 2 * FRAME - 1, STEP, STEP + 37, PATCH + 159] {
            let mut samples = vec![0.01; length];
            samples[(length - 1) / FRAME * FRAME..].fill(0.5);
            let clip = Clip::new(&samples).unwrap();
            let played = clip.alone();
            let patches = (played.samples.len() - PATCH) / STEP + 1;
            assert!((0..patches).any(|patch| played.place(patch) == Place::Middle), "{length} samples");
        }
    }

    #[test]
    fn a_mix_keeps_levels_and_distance() {
        let clip = Clip { samples: vec![0.25; 4000], loud: vec![true; 25] };
        let played = clip.mixed(&[0.1, -0.1], true, &mut Random(3));
        assert!((rms(&played.samples[..played.start]) - 0.0025).abs() < 1e-4, "40 dB below");
        assert!((played.samples[played.start + 10] - 0.25).abs() < 0.003);
        assert_eq!(played.samples.len(), played.start + 4000 + PATCH);
        let silent = clip.mixed(&[], false, &mut Random(3));
        assert!(silent.samples[..PATCH].iter().all(|&x| x == 0.0));
    }
}
