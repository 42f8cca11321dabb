//! Comparing a run with a trace while it computes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_trace::{Descriptor, Owned, Step, Tap, Tensor, Trace, digest};

use crate::finding::{Differing, Finding, Parting, Spread};
use crate::spread::difference;

/// Tensors kept from the first that differs on, to show how it spread: more than a step of an encoder or a decoder has.
const KEPT_TENSORS: usize = 96;
/// Bytes of them.
const KEPT_BYTES: usize = 1 << 30;

/// A tap that compares each tensor of a run with the one in a trace.
///
/// The first that differs, and those that follow it, are kept with their values. Then the run may stop: see [`stopped`](Check::stopped).
#[derive(Debug)]
pub struct Check {
    trace: Arc<Trace>,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tensors: usize,
    steps: usize,
    /// Index of the first tensor that differs.
    first: Option<usize>,
    kept: Vec<(Descriptor, Owned)>,
    kept_bytes: usize,
    parting: Option<Parting>,
}

impl Check {
    /// Compares with `trace`.
    pub fn new(trace: Arc<Trace>) -> Self {
        Self { trace, stopped: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Whether enough has been seen.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// What was found once the run is over.
    pub fn finish(self) -> Outcome {
        let stopped = self.stopped();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = self.trace.records.get(state.tensors);
        let parting = match (state.parting, left) {
            (Some(parting), _) => Some(parting),
            (None, Some(record)) if !stopped => {
                Some(Parting { tensor: state.tensors, traced: Some(self.trace.descriptor(record).to_string()), here: None })
            }
            _ => None,
        };
        match (state.first, parting) {
            (None, None) => Outcome::Identical { tensors: state.tensors, steps: state.steps },
            (first, parting) => Outcome::Differs(Kept { first, tensors: state.kept, parting }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, state: &mut State, traced: Option<String>, here: String) {
        if traced.is_some() || self.trace.complete {
            state.parting = Some(Parting { tensor: state.tensors, traced, here: Some(here) });
        }
        // A trace that ends early is compared as far as it goes.
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// How a checked run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every tensor is that of the trace.
    Identical {
        /// Tensors compared.
        tensors: usize,
        /// Steps they belong to.
        steps: usize,
    },
    /// Something is not.
    Differs(Kept),
}

/// What a run computed from the first difference on.
#[derive(Debug)]
pub struct Kept {
    /// Index of the first tensor that differs; `None` if the run does something else before any does.
    pub first: Option<usize>,
    /// That tensor and those behind it, one after the other.
    pub tensors: Vec<(Descriptor, Owned)>,
    /// Where the run does not do what the trace does.
    pub parting: Option<Parting>,
}

impl Tap for Check {
    fn step(&self, step: Step<'_>) {
        if self.stopped() {
            return;
        }
        let mut state = self.state();
        let traced = self.trace.steps.get(state.steps);
        if traced.is_some_and(|t| t.first == state.tensors && t.stage == step.stage && t.at == step.at && t.count == step.count) {
            state.steps += 1;
            return;
        }
        let traced = match (traced, self.trace.records.get(state.tensors)) {
            (Some(traced), _) if traced.first == state.tensors => {
                Some(format!("step {} at {} of {}", traced.stage, traced.at, traced.count))
            }
            (_, record) => record.map(|record| self.trace.descriptor(record).to_string()),
        };
        self.part(&mut state, traced, format!("step {} at {} of {}", step.stage, step.at, step.count));
    }

    fn tensor(&self, tensor: &Tensor<'_>) {
        if self.stopped() {
            return;
        }
        let mut state = self.state();
        let record = self.trace.records.get(state.tensors);
        let Some(record) = record.filter(|record| self.trace.descriptor(record).describes(tensor)) else {
            let traced = record.map(|record| self.trace.descriptor(record).to_string());
            return self.part(&mut state, traced, Descriptor::from(tensor).to_string());
        };
        if state.first.is_none() && record.digest != digest(tensor.values) {
            state.first = Some(state.tensors);
        }
        if state.first.is_some() {
            state.kept_bytes += tensor.values.len() * tensor.values.dtype().size();
            state.kept.push((tensor.into(), tensor.values.to_owned()));
            if state.kept.len() == KEPT_TENSORS || state.kept_bytes > KEPT_BYTES {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
        state.tensors += 1;
    }
}

/// A tap that compares the values of a run which repeats a trace with what another run kept.
#[derive(Debug)]
pub struct Regain {
    trace: Arc<Trace>,
    kept: Arc<Kept>,
    first: usize,
    stopped: AtomicBool,
    state: Mutex<Regained>,
}

#[derive(Debug, Default)]
struct Regained {
    tensors: usize,
    spreads: Vec<Option<Spread>>,
    values: Option<Owned>,
}

impl Regain {
    /// Compares the tensors from the first that differs on with what was kept; there is nothing to do if none does.
    pub fn new(trace: Arc<Trace>, kept: Arc<Kept>) -> Self {
        let first = kept.first.unwrap_or(usize::MAX);
        let state = Regained { spreads: vec![None; kept.tensors.len()], ..Regained::default() };
        Self { trace, kept, first, stopped: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Whether enough has been seen.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How each kept tensor differs from the trace's, where this run had the trace's digest; and the first one's traced values.
    pub fn finish(self) -> (Vec<Option<Spread>>, Option<Owned>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.spreads, state.values)
    }
}

impl Tap for Regain {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        if self.stopped() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = state.tensors;
        state.tensors += 1;
        let Some(at) = index.checked_sub(self.first) else { return };
        let (Some((descriptor, ours)), Some(record)) = (self.kept.tensors.get(at), self.trace.records.get(index)) else {
            self.stopped.store(true, Ordering::Relaxed);
            return;
        };
        if descriptor.describes(tensor) && record.digest == digest(tensor.values) {
            state.spreads[at] = Some(Spread::of(difference(tensor.values, ours.values())));
            if at == 0 {
                state.values = Some(tensor.values.to_owned());
            }
        }
    }
}

/// Puts together what a check kept and what is known of the trace's values: those in the trace, or of a run that repeats it.
pub(crate) fn finding(trace: &Trace, kept: &Kept, (spreads, values): (Vec<Option<Spread>>, Option<Owned>)) -> Finding {
    let parting = kept.parting.clone();
    let Some(first) = kept.first else { return Finding { first: None, parting } };
    let mut spreads = spreads.into_iter();
    let mut rows = vec![];
    for (at, (descriptor, ours)) in kept.tensors.iter().enumerate() {
        let record = &trace.records[first + at];
        let spread = match (&record.values, spreads.next().flatten()) {
            (Some(traced), _) => Spread::of(difference(traced.values(), ours.values())),
            (None, Some(spread)) => spread,
            (None, None) if record.digest == digest(ours.values()) => Spread::None,
            (None, None) => Spread::Unknown,
        };
        rows.push((descriptor.clone(), spread));
    }
    let traced = trace.records[first].values.clone().or(values);
    let here = kept.tensors.first().map(|(_, ours)| ours.clone());
    Finding { first: Some(Differing { tensor: first, traced, here, rows }), parting }
}
