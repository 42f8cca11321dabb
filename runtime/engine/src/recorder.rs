//! Where a run's tensors are handed out, while somebody listens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_trace::{Step, Tap, Tensor, Values};

/// The listener of a model, if there is one.
#[derive(Debug, Default)]
pub struct Recorder {
    on: AtomicBool,
    listener: Mutex<Listener>,
}

/// Who listens, and memory for tensors without their padding.
#[derive(Debug, Default)]
pub struct Listener {
    tap: Option<Arc<dyn Tap>>,
    bytes: Vec<i8>,
    floats: Vec<f32>,
}

impl Recorder {
    /// From now on `tap` gets every tensor, or nobody does.
    pub fn set(&self, tap: Option<Arc<dyn Tap>>) {
        let mut listener = self.lock();
        self.on.store(tap.is_some(), Ordering::Relaxed);
        *listener = Listener { tap, ..Listener::default() };
    }

    /// The listener. While there is none this costs one load.
    pub fn listener(&self) -> Option<MutexGuard<'_, Listener>> {
        self.on.load(Ordering::Relaxed).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// A step begins.
    pub fn step(&self, stage: &str, at: usize, count: usize) {
        if let Some(tap) = &self.tap {
            tap.step(Step { stage, at: at as u64, count: count as u32 });
        }
    }

    /// Takes the results of an operator.
    pub fn record<'a>(&'a mut self, op: &'a str, kernel: &'a str) -> Record<'a> {
        Record { listener: self, op, kernel }
    }
}

/// Takes one operator's results.
pub struct Record<'a> {
    listener: &'a mut Listener,
    op: &'a str,
    kernel: &'a str,
}

impl Record<'_> {
    /// A result that is in memory as it is.
    pub fn tensor(&self, part: &str, shape: &[usize], values: Values<'_>) {
        if let Some(tap) = &self.listener.tap {
            tap.tensor(&Tensor { op: self.op, kernel: self.kernel, part, shape, values });
        }
    }

    /// A result of bytes that `fill` has to take out of its padding.
    pub fn gather_i8(&mut self, part: &str, shape: &[usize], fill: impl FnOnce(&mut [i8])) {
        let mut bytes = std::mem::take(&mut self.listener.bytes);
        bytes.resize(shape.iter().product(), 0);
        fill(&mut bytes);
        self.tensor(part, shape, Values::I8(&bytes));
        self.listener.bytes = bytes;
    }

    /// As [`gather_i8`](Record::gather_i8), of f32.
    pub fn gather_f32(&mut self, part: &str, shape: &[usize], fill: impl FnOnce(&mut [f32])) {
        let mut floats = std::mem::take(&mut self.listener.floats);
        floats.resize(shape.iter().product(), 0.0);
        fill(&mut floats);
        self.tensor(part, shape, Values::F32(&floats));
        self.listener.floats = floats;
    }

    /// Packed keys and their scales, as [`ossicle_kernels::attention::Keys`] holds them, of tokens `first ..` on: `[tokens][heads][64]` and
    /// `[tokens][heads]`. The rest of the last block is not looked at.
    pub fn keys(&mut self, keys: &[i8], scales: &[f32], first: usize, tokens: usize, heads: usize) {
        use ossicle_kernels::attention::{HEAD, gather_key};
        use ossicle_kernels::simd::LANES;
        self.gather_i8("keys", &[tokens, heads, HEAD], |out| {
            for (i, out) in out.as_chunks_mut::<HEAD>().0.iter_mut().enumerate() {
                *out = gather_key(keys, first + i / heads, i % heads, heads);
            }
        });
        self.gather_f32("key_scales", &[tokens, heads], |out| {
            for (i, out) in out.iter_mut().enumerate() {
                let (token, head) = (first + i / heads, i % heads);
                *out = scales[(token / LANES * heads + head) * LANES + token % LANES];
            }
        });
    }
}
