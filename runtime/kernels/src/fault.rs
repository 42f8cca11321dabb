//! Planted faults, for tests of the tools that find them: one bit of one value that a kernel computes is flipped on one instruction set.
//!
//! Only with the feature `fault-injection`, which no device build has. One fault can be planted at a time; it belongs to the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::simd::{LANES, Simd};

/// Kernels that a fault can be planted in.
pub const KERNELS: [&str; 35] = [
    "activate",
    "add",
    "affine_channels",
    "attend",
    "attend_causal",
    "channel_moments",
    "convolve_plane",
    "depthwise",
    "depthwise_map",
    "exp",
    "exp2_softmax",
    "gelu",
    "layer_norm_quantize_rows",
    "layer_norm_rows",
    "linear",
    "linear_u8",
    "log10",
    "log_all",
    "mean_rows",
    "multiply",
    "multiply_rows",
    "normalize_channels",
    "pack_values",
    "pool_map",
    "probabilities",
    "quantize_heads",
    "quantize_offset_patches",
    "quantize_offset_rows",
    "quantize_patches",
    "quantize_rows",
    "quantize_unsigned_rows",
    "scale_channels",
    "sigmoid_all",
    "softmax",
    "softmax_f32",
];

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`KERNELS`].
    pub kernel: &'static str,
    /// The instruction set's name.
    pub isa: &'static str,
    /// The one call of the kernel on that instruction set that it strikes, counted from 0 since it was planted.
    pub call: u64,
    /// Which of the call's values; one beyond the last is taken as the last.
    pub element: usize,
    /// Which bit of it; one beyond the last is taken as the last. Of s8 the sign stays, as no kernel may see -128.
    pub bit: u32,
}

#[derive(Debug)]
struct Planted {
    fault: Fault,
    calls: u64,
    struck: bool,
}

static ARMED: AtomicBool = AtomicBool::new(false);
static PLANTED: Mutex<Option<Planted>> = Mutex::new(None);

fn planted() -> MutexGuard<'static, Option<Planted>> {
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plants a fault in place of the one before.
///
/// # Panics
/// If its kernel is not among [`KERNELS`].
pub fn plant(fault: Fault) {
    assert!(KERNELS.contains(&fault.kernel), "no kernel {:?} to plant a fault in", fault.kernel);
    *planted() = Some(Planted { fault, calls: 0, struck: false });
    ARMED.store(true, Ordering::Relaxed);
}

/// Takes the fault away; returns whether it has struck.
pub fn clear() -> bool {
    ARMED.store(false, Ordering::Relaxed);
    planted().take().is_some_and(|planted| planted.struck)
}

/// Calls of the planted fault's kernel, on its instruction set, so far.
pub fn calls() -> u64 {
    planted().as_ref().map_or(0, |planted| planted.calls)
}

/// The fault, if this call is the one it strikes.
fn strike(kernel: &str, isa: &str) -> Option<Fault> {
    if !ARMED.load(Ordering::Relaxed) {
        return None;
    }
    let mut planted = planted();
    let Planted { fault, calls, struck } = planted.as_mut().filter(|planted| planted.fault.kernel == kernel && planted.fault.isa == isa)?;
    let strikes = *calls == fault.call;
    *calls += 1;
    *struck |= strikes;
    strikes.then_some(*fault)
}

fn element<T>(values: &mut [T], fault: Fault) -> Option<&mut T> {
    let last = values.len().checked_sub(1)?;
    values.get_mut(fault.element.min(last))
}

pub(crate) fn f32s(kernel: &str, isa: &str, values: &mut [f32]) {
    if let Some(fault) = strike(kernel, isa)
        && let Some(value) = element(values, fault)
    {
        *value = f32::from_bits(value.to_bits() ^ 1 << fault.bit.min(31));
    }
}

pub(crate) fn i8s(kernel: &str, isa: &str, values: &mut [i8]) {
    if let Some(fault) = strike(kernel, isa)
        && let Some(value) = element(values, fault)
    {
        *value ^= 1 << fault.bit.min(6);
    }
}

pub(crate) fn u8s(kernel: &str, isa: &str, values: &mut [u8]) {
    if let Some(fault) = strike(kernel, isa)
        && let Some(value) = element(values, fault)
    {
        *value ^= 1 << fault.bit.min(7);
    }
}

#[inline(always)]
pub(crate) fn lanes<S: Simd>(s: S, kernel: &str, v: S::F32) -> S::F32 {
    let Some(fault) = strike(kernel, S::NAME) else { return v };
    let mut lanes = [0.0; LANES];
    s.store(v, &mut lanes);
    let lane = &mut lanes[fault.element.min(LANES - 1)];
    *lane = f32::from_bits(lane.to_bits() ^ 1 << fault.bit.min(31));
    s.load(&lanes)
}
