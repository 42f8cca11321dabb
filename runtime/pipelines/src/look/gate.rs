//! Whether anything moved.

use crate::label::Image;

/// Cells that a frame is divided into, across and down.
const ACROSS: usize = 16;
const DOWN: usize = 12;

/// A cell whose mean brightness, of 255, differs by more than this has changed.
const CHANGED: u32 = 6;

/// Tells frames on which something moved, next to the last one that did.
///
/// Frames are compared by the mean brightness of 16 x 12 cells, in whole numbers, so noise of single pixels counts for nothing, and a light that
/// changes slowly counts once it has changed enough.
#[derive(Clone, Debug)]
pub struct MotionGate {
    /// Cells that have to change.
    least: usize,
    last: Option<[u32; ACROSS * DOWN]>,
}

impl Default for MotionGate {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl MotionGate {
    /// The share of the picture that has to change, 0 to 1.
    pub fn new(share: f32) -> Self {
        let cells = (ACROSS * DOWN) as f32;
        Self { least: ((share * cells).ceil() as usize).clamp(1, ACROSS * DOWN), last: None }
    }

    /// Whether something moved since the last frame of which this was true; the first frame moves.
    pub fn moved(&mut self, image: &Image) -> bool {
        let cells = means(image);
        let changed = self.last.is_none_or(|last| cells.iter().zip(&last).filter(|(a, b)| a.abs_diff(**b) > CHANGED).count() >= self.least);
        if changed {
            self.last = Some(cells);
        }
        changed
    }

    /// The next frame is a first one.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

/// Mean brightness of each cell; a cell without a pixel has 0.
fn means(image: &Image) -> [u32; ACROSS * DOWN] {
    let (width, height) = (image.width(), image.height());
    let (mut sums, mut counts) = ([0u64; ACROSS * DOWN], [0u64; ACROSS * DOWN]);
    for (y, row) in image.rgb().chunks_exact(3 * width).enumerate() {
        let down = y * DOWN / height;
        for across in 0..ACROSS {
            let (from, to) = ((across * width).div_ceil(ACROSS), ((across + 1) * width).div_ceil(ACROSS));
            // Green and red weigh as in luma, in eighths.
            let sum: u64 =
                row[3 * from..3 * to].as_chunks::<3>().0.iter().map(|&[r, g, b]| 2 * u64::from(r) + 5 * u64::from(g) + u64::from(b)).sum();
            sums[down * ACROSS + across] += sum / 8;
            counts[down * ACROSS + across] += (to - from) as u64;
        }
    }
    let mut out = [0; ACROSS * DOWN];
    for ((out, sum), count) in out.iter_mut().zip(sums).zip(counts) {
        *out = (sum / count.max(1)) as u32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(change: impl Fn(usize, usize) -> u8) -> Image {
        let (width, height) = (160, 120);
        Image::new(width, (0..width * height).flat_map(|at| [change(at % width, at / width); 3]).collect()).unwrap()
    }

    #[test]
    fn a_patch_moves_and_noise_does_not() {
        let mut gate = MotionGate::default();
        assert!(gate.moved(&grey(|_, _| 100)));
        assert!(!gate.moved(&grey(|x, y| 100 + ((x * 7 + y * 13) % 5) as u8)));
        // Two cells of ten pixels' side.
        assert!(gate.moved(&grey(|x, y| if (40..60).contains(&x) && (50..60).contains(&y) { 140 } else { 100 })));
        assert!(!gate.moved(&grey(|x, y| if (40..60).contains(&x) && (50..60).contains(&y) { 140 } else { 100 })));
        assert!(gate.moved(&grey(|_, _| 100)));
    }

    #[test]
    fn light_that_changes_slowly_counts_in_the_end() {
        let mut gate = MotionGate::default();
        let moved = (0..20).filter(|&i| gate.moved(&grey(|_, _| 100 + i as u8))).count();
        assert_eq!(moved, 3);
        gate.forget();
        assert!(gate.moved(&grey(|_, _| 119)));
    }

    #[test]
    fn images_smaller_than_the_cells_are_compared_too() {
        let mut gate = MotionGate::default();
        assert!(gate.moved(&Image::new(1, vec![0; 3]).unwrap()));
        assert!(gate.moved(&Image::new(3, vec![200; 9]).unwrap()));
        assert!(!gate.moved(&Image::new(3, vec![200; 9]).unwrap()));
    }
}
