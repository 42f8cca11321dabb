//! Voice activity: for every 10 ms the probability that somebody speaks, in two stages and fixed memory.
//!
//! The first stage, an energy gate, costs two passes over the samples and runs always. Only while something is louder than the room
//! does the second one run: mel powers as [`mel`](crate::mel) has them and a small recurrent network with 8-bit weights. When it wakes it is
//! run over the last 160 ms first, which were kept. So nothing but the gate runs in a quiet room.
//!
//! The network is a dense layer, a gated recurrent unit (Cho et al. 2014) and a logistic output, 18 thousand weights;
//! `scripts/vad/train.py` trained it. Every step follows the numerics contract, so probabilities have the same bits on every instruction set,
//! however the samples are cut.
//!
//! ```
//! use ossicle_frontend::vad::Vad;
//! use ossicle_kernels::simd::Isa;
//!
//! let mut vad = Vad::new(Isa::detect());
//! let mut hops = 0;
//! for chunk in [[0.0; 100]; 16] {
//!     vad.push(&chunk, |activity| {
//!         assert!(!activity.awake && activity.probability == 0.0);
//!         hops += 1;
//!     });
//! }
//! assert_eq!(hops, 10);
//! ```

mod gate;
mod network;

use ossicle_kernels::simd::Isa;

use crate::mel::{FRAME_SAMPLES, HOP_SAMPLES};
use gate::Gate;
use network::Network;

/// Hops by which a probability lags behind the sound it speaks about: 40 ms.
pub const LOOKAHEAD_HOPS: u64 = 4;

/// Hops that the network is run over when it wakes: 160 ms.
const WARM_UP_HOPS: u64 = 16;
/// Hops kept: those, and what the window of the first of them and that of the last hop see beside them.
const KEPT_HOPS: usize = WARM_UP_HOPS as usize + FRAME_SAMPLES.div_ceil(HOP_SAMPLES);
/// Samples of the third last hop in a window: the last two are whole.
const PART: usize = FRAME_SAMPLES - 2 * HOP_SAMPLES;
/// While the network finds speech likelier than this it stays awake, however quiet it is.
const STAY_AWAKE: f32 = 0.1;

type Hop = [f32; HOP_SAMPLES];

/// What is known after a hop of 160 samples.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Activity {
    /// Mean power of the last 20 ms without its constant part; full scale is 1.
    pub power: f32,
    /// Whether the network ran.
    pub awake: bool,
    /// The probability that somebody spoke [`LOOKAHEAD_HOPS`] hops before; 0 unless awake.
    pub probability: f32,
}

/// Both stages over a stream of 16 kHz samples. About 18 KiB, for ever.
pub struct Vad {
    gate: Gate,
    network: Network,
    /// The hop in work, and how many of its samples have come.
    hop: Hop,
    filled: usize,
    /// The last hops, each at its number modulo their count.
    kept: [Hop; KEPT_HOPS],
    /// Hops so far.
    count: u64,
    awake: bool,
    probability: f32,
}

impl Vad {
    /// A stream at its start. The instruction set changes the speed, never a bit.
    pub const fn new(isa: Isa) -> Self {
        Self {
            gate: Gate::new(isa),
            network: Network::new(isa),
            hop: [0.0; HOP_SAMPLES],
            filled: 0,
            kept: [[0.0; HOP_SAMPLES]; KEPT_HOPS],
            count: 0,
            awake: false,
            probability: 0.0,
        }
    }

    /// Forgets everything: the next sample is the first of another stream.
    pub fn reset(&mut self) {
        self.gate = Gate::new(self.gate.isa());
        self.network.reset();
        // What is kept of before is not looked at: windows begin with silence.
        (self.filled, self.count, self.awake, self.probability) = (0, 0, false, 0.0);
    }

    /// Takes finite 16 kHz samples and hands over what is known after each hop they complete.
    pub fn push(&mut self, mut samples: &[f32], mut each: impl FnMut(Activity)) {
        while !samples.is_empty() {
            let taken = samples.len().min(HOP_SAMPLES - self.filled);
            let (now, later) = samples.split_at(taken);
            self.hop[self.filled..self.filled + taken].copy_from_slice(now);
            self.filled += taken;
            samples = later;
            if self.filled == HOP_SAMPLES {
                self.filled = 0;
                each(self.advance());
            }
        }
    }

    fn advance(&mut self) -> Activity {
        let number = self.count;
        self.kept[index(number)] = self.hop;
        self.count += 1;
        let (power, loud) = self.gate.push(&self.hop);
        let was_awake = self.awake;
        self.awake = loud || (was_awake && self.probability > STAY_AWAKE);
        if self.awake {
            if !was_awake {
                self.network.reset();
                for earlier in number.saturating_sub(WARM_UP_HOPS)..number {
                    self.network.step(&self.window(earlier));
                }
            }
            self.probability = self.network.step(&self.window(number));
        } else {
            self.probability = 0.0;
        }
        Activity { power, awake: self.awake, probability: self.probability }
    }

    /// The 400 samples up to the end of a hop; silence before the stream.
    fn window(&self, number: u64) -> [f32; FRAME_SAMPLES] {
        let mut window = [0.0; FRAME_SAMPLES];
        let (part, whole) = window.split_at_mut(PART);
        if let Some(third_last) = number.checked_sub(2) {
            part.copy_from_slice(&self.kept[index(third_last)][HOP_SAMPLES - PART..]);
        }
        let (second_last, last) = whole.split_at_mut(HOP_SAMPLES);
        if let Some(number) = number.checked_sub(1) {
            second_last.copy_from_slice(&self.kept[index(number)]);
        }
        last.copy_from_slice(&self.kept[index(number)]);
        window
    }
}

fn index(number: u64) -> usize {
    (number % KEPT_HOPS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_back_as_far_as_the_network_wakes() {
        let samples: Vec<f32> = (0..40 * HOP_SAMPLES).map(|n| (n + 1) as f32).collect();
        let mut vad = Box::new(Vad::new(Isa::detect()));
        for (number, hop) in samples.chunks(HOP_SAMPLES).enumerate() {
            vad.push(hop, |_| {});
            for earlier in number.saturating_sub(WARM_UP_HOPS as usize)..=number {
                let end = (earlier + 1) * HOP_SAMPLES;
                let silence = FRAME_SAMPLES.saturating_sub(end);
                let wanted: Vec<f32> =
                    std::iter::repeat_n(0.0, silence).chain(samples[end + silence - FRAME_SAMPLES..end].iter().copied()).collect();
                assert_eq!(vad.window(earlier as u64)[..], wanted, "hop {earlier} of {number}");
            }
        }
    }
}
