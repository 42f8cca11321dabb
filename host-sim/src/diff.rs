//! Comparing two traces.

use ossicle_trace::{Descriptor, Record, Trace};

use crate::finding::{Differing, Finding, Parting, Spread};
use crate::spread::difference;

/// Rows from the first difference on.
const ROWS: usize = 96;

/// Where two traces of the same input differ; `None` if they do not, as far as both go.
pub fn diff(a: &Trace, b: &Trace) -> Option<Finding> {
    let pairs = a.records.iter().zip(&b.records);
    let parts = pairs.clone().position(|(x, y)| a.descriptor(x) != b.descriptor(y));
    let steps = a.steps.iter().zip(&b.steps).find(|(x, y)| x != y).map(|(x, y)| x.first.min(y.first));
    let shorter = a.records.len().min(b.records.len());
    let common = [parts, steps].into_iter().flatten().min().unwrap_or(shorter).min(shorter);
    let first = pairs.take(common).position(|(x, y)| x.digest != y.digest);
    let first = first.map(|first| {
        let rows = (first..common).take(ROWS).map(|i| row(a, &a.records[i], &b.records[i])).collect();
        let values = |trace: &Trace| trace.records[first].values.clone();
        Differing { tensor: first, traced: values(a), here: values(b), rows }
    });
    let describe = |trace: &Trace| {
        let step = trace.steps.iter().find(|step| step.first == common);
        let step = step.map(|step| format!("step {} at {} of {}", step.stage, step.at, step.count));
        step.or_else(|| trace.records.get(common).map(|record| trace.descriptor(record).to_string()))
    };
    let (traced, here) = (describe(a), describe(b));
    // A trace that ends early is compared as far as it goes.
    let over = (traced.is_none() && !a.complete) || (here.is_none() && !b.complete) || (traced.is_none() && here.is_none());
    let parting = (!over).then_some(Parting { tensor: common, traced, here });
    (first.is_some() || parting.is_some()).then_some(Finding { first, parting })
}

fn row(trace: &Trace, a: &Record, b: &Record) -> (Descriptor, Spread) {
    let spread = match (&a.values, &b.values) {
        _ if a.digest == b.digest => Spread::None,
        (Some(a), Some(b)) => Spread::of(difference(a.values(), b.values())),
        _ => Spread::Unknown,
    };
    (trace.descriptor(a).clone(), spread)
}
