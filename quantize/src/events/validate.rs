//! How good a class is, by what its training has not heard.

use super::corpus::{Example, HeldOut, Origin};
use super::embed::STEP;
use super::fit::fit;

/// Seconds between scores within which alarms are one, as the detector merges by default.
const MERGE_SECONDS: f64 = 0.5;

/// What cross-validation says of a class, at the logit with the best F1 of recordings and false alarms.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Recordings.
    pub clips: usize,
    /// Recordings that were heard.
    pub heard: usize,
    /// Alarms in the caller's background, in recordings of other classes, and in our own noises and speech.
    pub false_alarms: usize,
    /// Hours of the caller's background.
    pub hours: f64,
    /// False alarms in that background.
    pub background_alarms: usize,
    /// Folds.
    pub folds: usize,
}

impl Quality {
    /// Part of the recordings that were heard.
    pub fn recall(&self) -> f64 {
        self.heard as f64 / self.clips.max(1) as f64
    }

    /// Part of the alarms that were recordings; nothing if there was no alarm.
    pub fn precision(&self) -> Option<f64> {
        let alarms = self.heard + self.false_alarms;
        (alarms > 0).then(|| self.heard as f64 / alarms as f64)
    }

    /// False alarms in an hour of the caller's background, if there was any.
    pub fn alarms_an_hour(&self) -> Option<f64> {
        (self.hours > 0.0).then(|| self.background_alarms as f64 / self.hours)
    }
}

/// Scores each fold by a layer that was fitted without it; gives the quality and the logit that begins an event.
pub(super) fn cross_validate(examples: &[Example], held: &HeldOut, class: usize, folds: usize) -> (Quality, f32) {
    // The largest logit of each recording; logits in order, and whose it is, for each stretch of everything else.
    let (mut clips, mut stretches) = (vec![], vec![]);
    for fold in 0..folds {
        let layer = fit(examples, class, Some(fold));
        let own = held.clips[class].iter().filter(|clip| clip.0 == fold);
        // A recording is loud at the middle of some patch.
        clips.extend(own.filter_map(|(_, patches)| patches.iter().map(|patch| layer.logit(patch)).reduce(f32::max)));
        let others = held.stretches.iter().filter(|(of, origin, _)| *of == fold && *origin != Origin::Class(class));
        stretches.extend(others.map(|(_, origin, patches)| (*origin, patches.iter().map(|patch| layer.logit(patch)).collect())));
    }
    let threshold = best_threshold(&clips, &stretches);
    let alarms = |given: bool| {
        let stretches = stretches.iter().filter(|(origin, _)| (*origin == Origin::Given) == given);
        stretches.map(|(_, logits)| alarms(logits, threshold)).sum::<usize>()
    };
    let background_alarms = alarms(true);
    let quality = Quality {
        clips: clips.len(),
        heard: clips.iter().filter(|&&score| score >= threshold).count(),
        false_alarms: background_alarms + alarms(false),
        hours: held.seconds / 3600.0,
        background_alarms,
        folds,
    };
    (quality, threshold)
}

/// The threshold with the best F1, in the middle between the logits around it; of several the one that hears most.
fn best_threshold(clips: &[f32], stretches: &[(Origin, Vec<f32>)]) -> f32 {
    let f1 = |threshold: f32| {
        let heard = clips.iter().filter(|&&score| score >= threshold).count();
        let wrong: usize = stretches.iter().map(|stretch| alarms(&stretch.1, threshold)).sum();
        2.0 * heard as f64 / (clips.len() + heard + wrong).max(1) as f64
    };
    // Only a recording's own logit changes how many are heard; all thresholds down to the next one below give the same.
    let best = clips.iter().copied().map(|score| (f1(score), score)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let Some((_, score)) = best else { return 0.0 };
    let all = clips.iter().chain(stretches.iter().flat_map(|stretch| &stretch.1));
    all.copied().filter(|&other| other < score).reduce(f32::max).map_or(score, |below| (score + below) / 2.0)
}

/// Alarms of one stretch: logits at the threshold, those close to each other as one.
fn alarms(scores: &[f32], threshold: f32) -> usize {
    let merge = (MERGE_SECONDS * 16_000.0 / STEP as f64) as usize + 1;
    let (mut count, mut last) = (0, None);
    for (at, _) in scores.iter().enumerate().filter(|&(_, &score)| score >= threshold) {
        count += usize::from(last.is_none_or(|last| at - last > merge));
        last = Some(at);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_alarms_are_one() {
        assert_eq!(alarms(&[0.9, 0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.9], 0.5), 2);
        assert_eq!(alarms(&[0.4; 9], 0.5), 0);
    }

    #[test]
    fn the_threshold_lies_between_clips_and_alarms() {
        let stretch = |scores: &[f32]| (Origin::Own, scores.to_vec());
        assert!((best_threshold(&[0.9, 0.7], &[stretch(&[0.1, 0.3])]) - 0.5).abs() < 1e-6);
        // One recording is given up rather than five alarms taken.
        let noisy: Vec<_> = (0..5).map(|_| stretch(&[0.4])).collect();
        assert!((best_threshold(&[0.9, 0.8, 0.3], &noisy) - 0.6).abs() < 1e-6);
        assert_eq!((best_threshold(&[], &[]), best_threshold(&[0.7], &[])), (0.0, 0.7));
    }
}
