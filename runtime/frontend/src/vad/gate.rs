//! The energy gate: is there anything but the room's own noise?
//!
//! The noise floor is the smallest power of the last two seconds, by blocks, as in minimum statistics (Martin, IEEE Trans. Speech and Audio
//! Processing 9(5), 2001) without its smoothing: it falls at once and rises when a louder noise has lasted two seconds, which speech does
//! not without a pause.

use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use super::Hop;
use crate::mel::HOP_SAMPLES;

/// Hops of one block: 0.25 s.
const BLOCK_HOPS: u32 = 25;
/// Blocks remembered beside the current one.
const BLOCKS: usize = 8;
/// Power over the floor that opens the gate: 5 dB.
const RATIO: f32 = 3.162_277_7;
/// Below this power there is nothing to hear: -70 dB relative to full scale.
const SILENCE: f32 = 1e-7;
/// Hops that the gate stays open after the last loud one.
const HOLD_HOPS: u32 = 30;

/// Mean and mean square distance from it.
#[derive(Clone, Copy)]
struct Moments {
    mean: f32,
    variance: f32,
}

/// The gate's memory: 80 bytes.
pub(super) struct Gate {
    isa: Isa,
    /// Of the hop before, if there was one.
    previous: Option<Moments>,
    blocks: [f32; BLOCKS],
    block: usize,
    smallest: f32,
    hops: u32,
    /// Hops until it closes.
    hold: u32,
    /// Blocks to go until the floor is known.
    unknown: usize,
}

impl Gate {
    pub(super) const fn new(isa: Isa) -> Self {
        Self { isa, previous: None, blocks: [f32::INFINITY; BLOCKS], block: 0, smallest: f32::INFINITY, hops: 0, hold: 0, unknown: BLOCKS }
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// The power over this hop and the one before, and whether the gate is open. Two hops are a whole period of 50 Hz, so that hum has the
    /// same power in each; the first hop by itself says nothing.
    pub(super) fn push(&mut self, hop: &Hop) -> (f32, bool) {
        let now = self.isa.dispatch(MomentsOf(hop));
        let Some(previous) = self.previous.replace(now) else { return (now.variance, false) };
        let between = (now.mean - previous.mean) * 0.5;
        let power = (now.variance + previous.variance) * 0.5 + between * between;

        // Until the floor is known all that can be heard is loud.
        let floor = self.blocks.iter().fold(self.smallest, |floor, &block| floor.min(block));
        let loud = power > SILENCE && (self.unknown > 0 || power > floor * RATIO);
        self.hold = if loud { HOLD_HOPS } else { self.hold.saturating_sub(1) };
        self.remember(power);
        (power, self.hold > 0)
    }

    fn remember(&mut self, power: f32) {
        self.smallest = self.smallest.min(power);
        self.hops += 1;
        if self.hops == BLOCK_HOPS {
            self.blocks[self.block] = self.smallest;
            self.block = (self.block + 1) % BLOCKS;
            self.unknown = self.unknown.saturating_sub(1);
            (self.smallest, self.hops) = (f32::INFINITY, 0);
        }
    }
}

struct MomentsOf<'a>(&'a Hop);

impl SimdOp for MomentsOf<'_> {
    type Output = Moments;

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Moments {
        const COUNT: f32 = HOP_SAMPLES as f32;
        // A hop is whole vectors.
        let samples: &[[f32; LANES]] = self.0.as_chunks().0;
        let mut sum = s.splat(0.0);
        for x in samples {
            sum = s.add(sum, s.load(x));
        }
        let mean = s.reduce_add(sum) / COUNT;
        let center = s.splat(mean);
        let mut squares = s.splat(0.0);
        for x in samples {
            let distance = s.sub(s.load(x), center);
            squares = s.add(squares, s.mul(distance, distance));
        }
        Moments { mean, variance: s.reduce_add(squares) / COUNT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hops of a tone of `amplitude` at `hz`, from hop `first` on.
    fn tone(amplitude: f32, hz: f32, first: usize) -> Hop {
        std::array::from_fn(|n| amplitude * (std::f32::consts::TAU * hz / 16_000.0 * (first * HOP_SAMPLES + n) as f32).sin())
    }

    #[test]
    fn power_is_that_of_twenty_milliseconds_without_offset() {
        for isa in Isa::available() {
            let mut gate = Gate::new(isa);
            for hop in 0..10 {
                let (power, _) = gate.push(&tone(0.1, 50.0, hop).map(|x| x + 0.5));
                assert!(hop == 0 || (power - 0.005).abs() < 1e-5, "{isa}: {power}");
            }
        }
    }

    #[test]
    fn steady_sounds_close_it_and_louder_ones_open_it() {
        for hz in [50.0, 60.0, 1000.0] {
            let mut gate = Gate::new(Isa::detect());
            let open: Vec<bool> = (0..1000).map(|hop| gate.push(&tone(if hop / 20 == 30 { 0.03 } else { 0.01 }, hz, hop)).1).collect();
            let after_start = (BLOCKS as u32 * BLOCK_HOPS + HOLD_HOPS) as usize;
            assert!(open[1..after_start].iter().all(|&open| open), "{hz} Hz");
            assert!(!open[after_start..600].contains(&true), "{hz} Hz");
            assert!(open[600..620 + HOLD_HOPS as usize - 1].iter().all(|&open| open), "{hz} Hz");
            assert!(!open[622 + HOLD_HOPS as usize..].contains(&true), "{hz} Hz");
        }
    }

    #[test]
    fn what_nobody_hears_leaves_it_shut() {
        let mut gate = Gate::new(Isa::detect());
        assert!((0..500).all(|hop| !gate.push(&tone(4e-4, 300.0, hop)).1));
        let mut gate = Gate::new(Isa::detect());
        assert!((0..500).all(|_| !gate.push(&[0.9; HOP_SAMPLES]).1));
    }
}
