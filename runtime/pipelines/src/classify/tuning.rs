//! From a few images of one's own: how near is near enough, label by label.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Labels, PLACE};

/// What an image is that shows none of the labels.
pub const NONE: &str = "none of these";

/// A label is there from this score on, once it is tuned.
pub const THRESHOLD: f32 = 0.5;

/// Fewest images of each label, and of none, that anything can be learned from.
pub const LEAST: usize = 3;

/// Parts that images are divided into to be judged by the rest; no more images than that are judged one by one.
const PARTS: usize = 32;

/// Pulls the labels' offsets towards their mean, which decides where a label has few images.
const RIDGE: f64 = 0.01;

/// Pulls the slope to 0.
const SLOPE_RIDGE: f64 = 1e-3;

/// Steps of Newton's method, and the longest one.
const STEPS: usize = 60;
const LONGEST: f64 = 2.0;

const SCHEMA: &str = "ossicle.tuned/1";

/// Largest file of a tuning.
const MAX_BYTES: u64 = 16 << 20;

/// How cosines become a probability for each label by itself: a sigmoid of `scale` times the cosine, plus the label's bias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// [`identity`](crate::find::identity) of the model that it was learned with.
    pub model_sha256: String,
    /// The same for all labels.
    pub scale: f32,
    /// One for each label.
    pub biases: Vec<f32>,
}

/// An image's cosines to the labels, and which of them it shows, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// One for each label.
    pub cosines: Vec<f32>,
    /// The label that it shows.
    pub label: Option<usize>,
}

/// Why a file of a tuning cannot be used.
#[derive(Debug)]
pub enum TuningError {
    /// It cannot be read.
    Read(io::Error),
    /// It is not JSON of that form.
    Json(serde_json::Error),
    /// It says what cannot be.
    Value(String),
}

impl fmt::Display for TuningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Json(error) => error.fmt(f),
            Self::Value(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for TuningError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Json(error) => Some(error),
            Self::Value(_) => None,
        }
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    schema: String,
    model_sha256: String,
    labels: Vec<String>,
    #[serde(default)]
    templates: Vec<String>,
    scale: f32,
    biases: Vec<f32>,
}

impl Labels {
    /// Labels as [`to_json`](Self::to_json) wrote them, tuned.
    ///
    /// # Errors
    /// It cannot be read, is not JSON of that form, or says what cannot be.
    pub fn read(path: &Path) -> Result<Self, TuningError> {
        let mut text = String::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(TuningError::Read)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(TuningError::Value(format!("more than {MAX_BYTES} bytes")));
        }
        let Contents { schema, model_sha256, labels, templates, scale, biases } = serde_json::from_str(&text).map_err(TuningError::Json)?;
        let problem = if schema != SCHEMA {
            Some(format!("schema {schema:?} is not {SCHEMA:?}"))
        } else if labels.is_empty() || labels.len() != biases.len() {
            Some(format!("{} labels, {} biases", labels.len(), biases.len()))
        } else if !(scale.is_finite() && scale > 0.0 && biases.iter().all(|bias| bias.is_finite())) {
            Some("scale and biases have to be finite, the scale above 0".into())
        } else {
            templates.iter().find(|template| !template.contains(PLACE)).map(|template| format!("template {template:?} has no {PLACE}"))
        };
        match problem {
            Some(problem) => Err(TuningError::Value(problem)),
            None => Ok(Self { names: labels, templates, tuning: Some(Tuning { model_sha256, scale, biases }) }),
        }
    }

    /// The text of a file that [`read`](Self::read) reads; none of labels that are not tuned.
    pub fn to_json(&self) -> Option<String> {
        let Tuning { model_sha256, scale, biases } = self.tuning.clone()?;
        let (labels, templates) = (self.names.clone(), self.templates.clone());
        let file = Contents { schema: SCHEMA.into(), model_sha256, labels, templates, scale, biases };
        serde_json::to_string_pretty(&file).ok().map(|text| text + "\n")
    }
}

impl Tuning {
    /// Learns it from images of each label and of none, by logistic regression with one slope and an offset for each label, in which images with
    /// the label count as much as those without (Platt 1999 gives the targets). `labels` is their number.
    ///
    /// None if some label, or none of them, has no images, or the nearer ones are not the right ones: the model does not tell them apart.
    pub fn learn(model_sha256: String, examples: &[Example], labels: usize) -> Option<Self> {
        let (scale, biases) = fit(examples.iter(), labels)?;
        Some(Self { model_sha256, scale: scale as f32, biases: biases.iter().map(|&bias| bias as f32).collect() })
    }
}

/// How each image is classified when it is left out of training: those of a part by all other parts, each image a part of its own where there are up to 32.
///
/// An image's outer `None` says that the others alone do not tell the labels apart, the inner one that it was taken for none of the labels.
pub fn held_out(examples: &[Example], labels: usize) -> Vec<Option<Option<usize>>> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    // A label's images lie in as many parts as they can.
    order.sort_by_key(|&at| examples[at].label);
    let part: Vec<usize> = {
        let mut part = vec![0; examples.len()];
        order.iter().enumerate().for_each(|(place, &at)| part[at] = place % PARTS);
        part
    };
    let mut verdicts = vec![None; examples.len()];
    for left_out in 0..PARTS.min(examples.len()) {
        let others = examples.iter().zip(&part).filter(|(_, part)| **part != left_out).map(|(example, _)| example);
        let Some((scale, biases)) = fit(others, labels) else { continue };
        for ((example, verdict), _) in examples.iter().zip(&mut verdicts).zip(&part).filter(|(_, part)| **part == left_out) {
            *verdict = Some(verdict_of(&example.cosines, scale, &biases));
        }
    }
    verdicts
}

fn verdict_of(cosines: &[f32], scale: f64, biases: &[f64]) -> Option<usize> {
    let sums = cosines.iter().zip(biases).map(|(&cosine, bias)| scale * f64::from(cosine) + bias);
    // The first of equal ones.
    let best = sums.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.filter(|(_, sum)| *sum >= 0.0).map(|(label, _)| label)
}

/// Scale and biases for cosines.
fn fit<'a>(examples: impl Iterator<Item = &'a Example>, labels: usize) -> Option<(f64, Vec<f64>)> {
    let examples: Vec<&Example> = examples.collect();
    let with: Vec<usize> = (0..labels).map(|label| examples.iter().filter(|example| example.label == Some(label)).count()).collect();
    if labels == 0 || with.iter().any(|&with| with == 0 || with == examples.len()) {
        return None;
    }
    let all = || examples.iter().flat_map(|example| &example.cosines).map(|&cosine| f64::from(cosine));
    let count = all().count() as f64;
    let mean = all().sum::<f64>() / count;
    let deviation = (all().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
    if deviation.is_nan() || deviation < 1e-9 {
        return None;
    }
    let rows = examples.iter().flat_map(|example| {
        let with = &with;
        let of = examples.len();
        example.cosines.iter().take(labels).enumerate().map(move |(label, &cosine)| {
            let (with, without) = (with[label] as f64, (of - with[label]) as f64);
            let (target, weight) = if example.label == Some(label) {
                ((with + 1.0) / (with + 2.0), 0.5 / with)
            } else {
                (1.0 / (without + 2.0), 0.5 / without)
            };
            Row { label, x: (f64::from(cosine) - mean) / deviation, target, weight }
        })
    });
    let rows: Vec<Row> = rows.collect();
    let mut at = Place { slope: 0.0, offset: 0.0, own: vec![0.0; labels] };
    for _ in 0..STEPS {
        let step = newton(&rows, &at);
        let length = step.own.iter().chain([&step.slope, &step.offset]).fold(0.0f64, |most, x| most.max(x.abs()));
        let share = if length > LONGEST { LONGEST / length } else { 1.0 };
        at.slope += share * step.slope;
        at.offset += share * step.offset;
        at.own.iter_mut().zip(&step.own).for_each(|(own, step)| *own += share * step);
        if length < 1e-9 {
            break;
        }
    }
    let scale = at.slope / deviation;
    (scale.is_finite() && scale > 1e-6).then(|| (scale, at.own.iter().map(|own| at.offset + own - scale * mean).collect()))
}

/// An image and a label.
struct Row {
    label: usize,
    /// The cosine, of zero mean and unit variance.
    x: f64,
    target: f64,
    weight: f64,
}

/// Slope, offset, and each label's own.
struct Place {
    slope: f64,
    offset: f64,
    own: Vec<f64>,
}

/// A step of Newton's method. Labels' own offsets touch each other by nothing but slope and offset, so they are eliminated one by one.
fn newton(rows: &[Row], at: &Place) -> Place {
    let labels = at.own.len();
    // Of each label: the sum of curvatures, the same times x, and the gradient.
    let mut own = vec![[0.0f64; 3]; labels];
    let (mut slope, mut slope_gradient) = (SLOPE_RIDGE, -SLOPE_RIDGE * at.slope);
    for row in rows {
        let p = 1.0 / (1.0 + (-(at.slope * row.x + at.offset + at.own[row.label])).exp());
        let (curvature, error) = (row.weight * p * (1.0 - p), row.weight * (row.target - p));
        slope += curvature * row.x * row.x;
        slope_gradient += error * row.x;
        let [sum, with_x, gradient] = &mut own[row.label];
        *sum += curvature;
        *with_x += curvature * row.x;
        *gradient += error;
    }
    // [slope, offset] once every label's own offset is eliminated.
    let (mut a, mut b, mut c) = (slope, 0.0, 1e-9);
    let (mut g, mut h) = (slope_gradient, 0.0);
    for ([sum, with_x, gradient], own) in own.iter().zip(&at.own) {
        let (pivot, pull) = (sum + RIDGE, gradient - RIDGE * own);
        a -= with_x * with_x / pivot;
        b += with_x - sum * with_x / pivot;
        c += sum - sum * sum / pivot;
        g -= with_x * pull / pivot;
        h += gradient - sum * pull / pivot;
    }
    let determinant = a * c - b * b;
    let (slope, offset) = ((g * c - h * b) / determinant, (a * h - b * g) / determinant);
    let own = own
        .iter()
        .zip(&at.own)
        .map(|([sum, with_x, gradient], own)| (gradient - RIDGE * own - with_x * slope - sum * offset) / (sum + RIDGE));
    Place { slope, offset, own: own.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images whose label is at `near`, the others and those of none at `far`, each label shifted by its number.
    fn examples(each: usize, near: f32, far: f32) -> Vec<Example> {
        let mut noise = 0u32;
        let mut noise = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let labels = [Some(0), Some(1), None];
        let all = labels.into_iter().flat_map(|label| std::iter::repeat_n(label, each));
        all.map(|label| Example {
            cosines: (0..2).map(|of| if label == Some(of) { near } else { far } + 0.02 * noise() + 0.05 * of as f32).collect(),
            label,
        })
        .collect()
    }

    #[test]
    fn thresholds_lie_between() {
        let examples = examples(5, 0.28, 0.2);
        let tuning = Tuning::learn("m".into(), &examples, 2).unwrap();
        for (label, bias) in tuning.biases.iter().enumerate() {
            // Where a score is a half.
            let threshold = -bias / tuning.scale - 0.05 * label as f32;
            assert!((0.21..0.27).contains(&threshold), "{label}: {threshold} {tuning:?}");
        }
        let verdicts = held_out(&examples, 2);
        assert!(verdicts.iter().zip(&examples).all(|(verdict, example)| *verdict == Some(example.label)), "{verdicts:?}");
    }

    #[test]
    fn more_images_than_parts_are_judged_too() {
        let examples = examples(30, 0.3, 0.2);
        let verdicts = held_out(&examples, 2);
        assert!(verdicts.iter().zip(&examples).all(|(verdict, example)| *verdict == Some(example.label)));
    }

    #[test]
    fn what_the_others_do_not_tell_apart_is_not_judged() {
        // One image alone shows the second label.
        let mut examples = examples(5, 0.3, 0.2);
        let second = examples.iter().position(|example| example.label == Some(1)).unwrap();
        let alone = examples[second].clone();
        examples.retain(|example| example.label != Some(1));
        examples.push(alone);
        let verdicts = held_out(&examples, 2);
        assert_eq!(verdicts.last(), Some(&None));
        assert!(verdicts[..verdicts.len() - 1].iter().all(Option::is_some));
    }

    #[test]
    fn what_is_not_told_apart_is_not_learned() {
        assert_eq!(Tuning::learn("m".into(), &examples(5, 0.2, 0.3), 2), None);
        let same = [Some(0), None].map(|label| Example { cosines: vec![0.5], label });
        assert_eq!(Tuning::learn("m".into(), &same, 1), None);
        assert_eq!(Tuning::learn("m".into(), &examples(5, 0.3, 0.2)[..10], 3), None);
        assert_eq!(Tuning::learn("m".into(), &[], 0), None);
    }

    #[test]
    fn nothing_near_the_fit_is_much_likelier() {
        let examples = examples(4, 0.25, 0.22);
        let (scale, biases) = fit(examples.iter(), 2).unwrap();
        let loss = |scale: f64, biases: &[f64]| {
            let mut sum = 0.0;
            for example in &examples {
                for (label, &cosine) in example.cosines.iter().enumerate() {
                    let p = 1.0 / (1.0 + (-(scale * f64::from(cosine) + biases[label])).exp());
                    let (target, weight) = if example.label == Some(label) { (5.0 / 6.0, 0.5 / 4.0) } else { (1.0 / 10.0, 0.5 / 8.0) };
                    sum -= weight * (target * p.ln() + (1.0 - target) * (1.0 - p).ln());
                }
            }
            sum
        };
        let best = loss(scale, &biases);
        // The two pulls cost 0.009 of the 0.819 there are.
        for change in [0.9, 1.1] {
            let turned: Vec<f64> = biases.iter().map(|bias| bias * change).collect();
            assert!(loss(scale * change, &turned) > best - 0.01, "{change}");
            assert!(loss(scale, &turned) > best + 0.5, "{change}");
        }
    }
}
