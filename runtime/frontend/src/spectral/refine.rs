//! Phases that fit the frames around (Griffin and Lim 1984), as frames come.

use ossicle_kernels::simd::{Isa, LANES, Simd, SimdOp};

use super::overlap::{Overlap, REACH};
use super::spectrum::{Spectrum, magnitude};
use super::{CURVE, STEP, WINDOW};

/// Frames that one comes later.
pub(super) const LATE: usize = REACH - 1;
/// Samples of the blocks that a frame lies in.
const HISTORY: usize = REACH * STEP;
/// Keeps a phase of nothing from being none.
const LEAST: f32 = 1e-20;

/// A frame: magnitudes, and a spectrum that has them.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) magnitudes: [f32; CURVE],
    pub(super) spectrum: Spectrum,
}

/// Gives each frame the phases that it has in the sum of all, and its own magnitudes.
pub(super) struct Refine {
    overlap: Overlap,
    /// The last blocks.
    history: [f32; HISTORY],
    /// Magnitudes of the frames that are still to come, by number.
    magnitudes: [[f32; CURVE]; REACH],
    blocks: usize,
}

impl Refine {
    pub(super) const fn new() -> Self {
        Self { overlap: Overlap::new(), history: [0.0; HISTORY], magnitudes: [[0.0; CURVE]; REACH], blocks: 0 }
    }

    pub(super) fn start(&mut self) {
        self.overlap.start();
        self.history.fill(0.0);
        self.blocks = 0;
    }

    /// Takes the next frame; gives the one [`LATE`] frames before.
    pub(super) fn push(&mut self, isa: Isa, frame: &Frame) -> Option<Frame> {
        self.magnitudes[self.overlap.frames() % REACH] = frame.magnitudes;
        let block = self.overlap.push(&frame.spectrum.samples());
        self.next(isa, block)
    }

    /// After the last frame, [`LATE`] times: gives the frames that are left, if there are so many.
    pub(super) fn flush(&mut self, isa: Isa) -> Option<Frame> {
        let block = self.overlap.take();
        self.next(isa, block)
    }

    fn next(&mut self, isa: Isa, block: [f32; STEP]) -> Option<Frame> {
        self.history.copy_within(STEP.., 0);
        self.history[HISTORY - STEP..].copy_from_slice(&block);
        self.blocks += 1;
        let number = self.blocks.checked_sub(REACH)?;
        if number >= self.overlap.frames() {
            return None;
        }
        let (magnitudes, Some(seen)) = (self.magnitudes[number % REACH], self.history.first_chunk::<WINDOW>()) else {
            unreachable!("a history is longer than a window")
        };
        let mut spectrum = Spectrum::of(seen);
        isa.dispatch(Rescale { magnitudes: &magnitudes, spectrum: &mut spectrum });
        Some(Frame { magnitudes, spectrum })
    }
}

/// Gives a spectrum other magnitudes.
struct Rescale<'a> {
    magnitudes: &'a [f32; CURVE],
    spectrum: &'a mut Spectrum,
}

impl SimdOp for Rescale<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Spectrum { re, im } = self.spectrum;
        let parts = re.as_chunks_mut::<LANES>().0.iter_mut().zip(im.as_chunks_mut::<LANES>().0);
        for ((re, im), wanted) in parts.zip(self.magnitudes.as_chunks::<LANES>().0) {
            let (x, y) = (s.load(re), s.load(im));
            let factor = s.div(s.load(wanted), s.add(magnitude(s, x, y), s.splat(LEAST)));
            s.store(s.mul(x, factor), re);
            s.store(s.mul(y, factor), im);
        }
    }
}
