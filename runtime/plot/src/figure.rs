//! What is shown: a spectrogram, and a lane for each class that was heard.

use std::collections::BTreeMap;

use ossicle::events::{ClassOutputs, Event};

use crate::pooled::Pooled;

/// Most lanes, as many as there are colours; classes that were heard less, by length times mean score, are counted.
pub const MOST_LANES: usize = colorous::TABLEAU10.len();

/// Columns and when they are.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    /// Seconds at which the first row begins.
    pub(crate) start: f64,
    /// Seconds from one row to the next.
    pub(crate) step: f64,
    pub(crate) columns: Pooled,
}

impl Timed {
    /// Seconds at which a column begins; one behind the last is where that ends.
    pub(crate) fn begin(&self, column: usize) -> f64 {
        let row = (column as u64 * self.columns.rows_per_column()).min(self.columns.rows());
        self.start + row as f64 * self.step
    }
}

/// From when to when a class was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// The largest score.
    pub peak: f32,
    /// The mean score.
    pub mean: f32,
}

/// A class that was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Its name.
    pub class: String,
    /// As `#rrggbb`.
    pub color: String,
    /// The score that begins an event; `None` if the class is no longer in the settings.
    pub threshold: Option<f32>,
    /// When, in order.
    pub marks: Vec<Mark>,
    /// Seconds and scores, in order.
    pub curve: Vec<(f64, f32)>,
}

/// A recording and its events, ready to be shown.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The recording's name.
    pub name: String,
    /// Its length.
    pub seconds: f64,
    /// Classes, those that were heard first before the others.
    pub lanes: Vec<Lane>,
    /// Classes that were heard, but have no lane.
    pub more: usize,
    pub(crate) bands: Timed,
}

impl Figure {
    pub(crate) fn new<'a>(
        name: &str,
        seconds: f64,
        bands: Timed,
        scores: Timed,
        events: Vec<Event>,
        classes: impl Iterator<Item = ClassOutputs<'a>>,
    ) -> Self {
        let mut by_class: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
        for Event { class, start, end, peak, mean } in events {
            by_class.entry(class).or_default().push(Mark { start, end, peak, mean });
        }
        let mut heard: Vec<(String, Vec<Mark>)> = by_class.into_iter().collect();
        let weight = |marks: &[Mark]| marks.iter().map(|mark| (mark.end - mark.start) * f64::from(mark.mean)).sum::<f64>();
        heard.sort_by(|a, b| weight(&b.1).total_cmp(&weight(&a.1)));
        let more = heard.len().saturating_sub(MOST_LANES);
        heard.truncate(MOST_LANES);
        heard.iter_mut().for_each(|(_, marks)| marks.sort_by(|a, b| a.start.total_cmp(&b.start)));
        heard.sort_by(|a, b| a.1[0].start.total_cmp(&b.1[0].start));
        let classes: BTreeMap<&str, ClassOutputs<'a>> = classes.map(|class| (class.name, class)).collect();
        let lanes = heard.into_iter().enumerate().map(|(index, (class, marks))| {
            let known = classes.get(class.as_str());
            let curve = known.map_or_else(Vec::new, |known| curve(&scores, known.outputs, seconds));
            let colorous::Color { r, g, b } = colorous::TABLEAU10[index];
            Lane { color: format!("#{r:02x}{g:02x}{b:02x}"), threshold: known.map(|known| known.rules.threshold), class, marks, curve }
        });
        let lanes = lanes.collect();
        Self { name: name.to_owned(), seconds, lanes, more, bands }
    }
}

/// The largest of some scores, at the middle of each column; if there is only one, at its ends.
fn curve(scores: &Timed, outputs: &[usize], seconds: f64) -> Vec<(f64, f32)> {
    let largest = |column| outputs.iter().map(|&output| scores.columns.column(column)[output]).fold(0.0, f32::max);
    if scores.columns.columns() == 1 {
        return [0, 1].map(|edge| (scores.begin(edge).min(seconds), largest(0))).to_vec();
    }
    let middle = |column| ((scores.begin(column) + scores.begin(column + 1)) / 2.0).min(seconds);
    (0..scores.columns.columns()).map(|column| (middle(column), largest(column))).collect()
}
