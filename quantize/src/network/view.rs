//! How an ONNX tensor's elements lie in a map: reshapes and transposes as arithmetic on strides, without moving anything.

use std::ops::Range;

/// One factor of an axis: how many steps, and how far apart in the map. Outermost first.
type Factor = (usize, usize);

/// An ONNX tensor as elements of a map, `[height][width][channels]` without padding.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// The element of index zero.
    pub(super) offset: usize,
    /// For each axis of the tensor its factors; those of one step are left out.
    pub(super) axes: Vec<Vec<Factor>>,
}

/// Joins neighbouring factors that are one run, and drops those of one step.
fn joined(factors: impl IntoIterator<Item = Factor>) -> Vec<Factor> {
    let mut out: Vec<Factor> = vec![];
    for (size, stride) in factors {
        match out.last_mut() {
            _ if size == 1 => {}
            Some((outer, step)) if *step == size * stride => (*outer, *step) = (*outer * size, stride),
            _ => out.push((size, stride)),
        }
    }
    out
}

fn length(axis: &[Factor]) -> usize {
    axis.iter().map(|&(size, _)| size).product()
}

/// How far element `index` of an axis is from its first.
fn along(axis: &[Factor], index: usize) -> usize {
    let mut rest = index;
    axis.iter().rev().fold(0, |sum, &(size, stride)| {
        let step = rest % size;
        rest /= size;
        sum + step * stride
    })
}

impl View {
    /// Axes with these sizes and strides.
    pub(super) fn strided(axes: &[(usize, usize)]) -> Self {
        Self { offset: 0, axes: axes.iter().map(|&axis| joined([axis])).collect() }
    }

    /// A tensor that lies as it is.
    pub(super) fn dense(shape: &[usize]) -> Self {
        let axes: Vec<Factor> = (0..shape.len()).map(|i| (shape[i], shape[i + 1..].iter().product())).collect();
        Self::strided(&axes)
    }

    /// The tensor's shape.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| length(axis)).collect()
    }

    /// All elements in row-major order, as places in the map.
    pub(super) fn places(&self) -> Vec<usize> {
        let all = joined(self.axes.iter().flatten().copied());
        (0..length(&all)).map(|index| self.offset + along(&all, index)).collect()
    }

    /// Elements of one axis, as distances.
    pub(super) fn steps(&self, axis: usize) -> Vec<usize> {
        (0..length(&self.axes[axis])).map(|index| along(&self.axes[axis], index)).collect()
    }

    /// All axes but the last as one run.
    pub(super) fn rows(&self) -> Vec<Factor> {
        joined(self.axes[..self.axes.len().saturating_sub(1)].iter().flatten().copied())
    }

    /// Whether the elements are, in some order, all of a run of the map without gaps; its first place and its length.
    pub(super) fn run(&self) -> Option<Range<usize>> {
        let mut factors: Vec<Factor> = self.axes.iter().flatten().copied().collect();
        factors.sort_by_key(|&(_, stride)| stride);
        let mut length = 1;
        for (size, stride) in factors {
            if stride != length {
                return None;
            }
            length *= size;
        }
        Some(self.offset..self.offset + length)
    }

    /// The channels that the tensor has of every position of a map, in its own order, and how it lies in a map of these alone. None if it has
    /// not all positions, or mixes them with channels.
    pub(super) fn selected(&self, positions: usize, channels: usize) -> Option<(Vec<usize>, Self)> {
        if self.axes.iter().flatten().any(|&(size, _)| size == 0) {
            return None;
        }
        let is_position = |&(_, stride): &Factor| stride.is_multiple_of(channels) && stride > 0;
        let (mut places, inner): (Vec<Factor>, Vec<Factor>) = self.axes.iter().flatten().partition(|&factor| is_position(factor));
        places.sort_by_key(|&(_, stride)| stride);
        let mut covered = 1;
        for (size, stride) in places {
            if stride != covered * channels {
                return None;
            }
            covered *= size;
        }
        let count: usize = length(&inner);
        let last = self.offset + inner.iter().map(|&(size, stride)| (size - 1) * stride).sum::<usize>();
        if covered != positions || last >= channels {
            return None;
        }
        let table = Self { offset: self.offset, axes: vec![inner] }.places();
        let mut rest = count;
        let dense = |factor: Factor| {
            if is_position(&factor) {
                return (factor.0, factor.1 / channels * count);
            }
            rest /= factor.0;
            (factor.0, rest)
        };
        let factors: Vec<Factor> = self.axes.iter().flatten().copied().map(dense).collect();
        let mut factors = factors.into_iter();
        let axes = self.axes.iter().map(|axis| joined(factors.by_ref().take(axis.len()))).collect();
        Some((table, Self { offset: 0, axes }))
    }

    /// The tensor with other dimensions; none if an axis would have to be cut within a step.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let mut left: Vec<Factor> = joined(self.axes.iter().flatten().copied());
        left.reverse();
        let mut axes = vec![];
        for &wanted in shape {
            let (mut axis, mut have) = (vec![], 1);
            while have < wanted {
                let (size, stride) = left.pop()?;
                let need = wanted / have;
                if wanted % have != 0 || (size % need != 0 && need % size != 0) {
                    return None;
                }
                let taken = size.min(need);
                axis.push((taken, stride * (size / taken)));
                if taken < size {
                    left.push((size / taken, stride));
                }
                have *= taken;
            }
            axes.push(joined(axis));
        }
        left.is_empty().then_some(Self { offset: self.offset, axes })
    }

    /// The tensor with its axes in another order.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        Self { offset: self.offset, axes: order.iter().map(|&axis| self.axes[axis].clone()).collect() }
    }

    /// Some elements of an axis in a row; none if there are none, or they do not lie in a run of its outermost steps.
    pub(super) fn sliced(&self, axis: usize, range: Range<usize>) -> Option<Self> {
        if range.is_empty() {
            return None;
        }
        let mut view = self.clone();
        view.offset += along(&self.axes[axis], range.start);
        let factors = &mut view.axes[axis];
        match factors.first_mut() {
            None => (range == (0..1)).then_some(view),
            Some(_) if range.len() == 1 => {
                factors.clear();
                Some(view)
            }
            Some((outer, _)) => {
                let inner = length(&self.axes[axis]) / *outer;
                *outer = range.len() / inner;
                *factors = joined(std::mem::take(factors));
                (range.start.is_multiple_of(inner) && range.len().is_multiple_of(inner)).then_some(view)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the view makes of a map whose element i is i.
    fn read(view: &View) -> Vec<usize> {
        view.places()
    }

    #[test]
    fn a_map_is_seen_channels_first() {
        // Two rows of three positions of four channels.
        let view = View::strided(&[(1, 0), (4, 1), (2, 12), (3, 4)]);
        assert_eq!(view.shape(), [1, 4, 2, 3]);
        assert_eq!(read(&view)[..7], [0, 4, 8, 12, 16, 20, 1]);
        assert_eq!(view.run(), Some(0..24));
        // Flattened over positions and turned round, it lies as the map does.
        let tokens = view.reshaped(&[1, 4, 6]).unwrap().transposed(&[0, 2, 1]);
        assert_eq!(tokens, View::dense(&[1, 6, 4]));
        // All in one axis the order is kept.
        assert_eq!(read(&view.reshaped(&[1, 24]).unwrap()), read(&view));
        assert_eq!(view.reshaped(&[1, 24]).unwrap().reshaped(&[4, 2, 3]).unwrap().axes, view.axes[1..]);
        assert_eq!(view.reshaped(&[1, 5, 5]), None);
    }

    #[test]
    fn heads_of_queries_keys_and_values_are_found() {
        // Five tokens of three times two heads of four.
        let qkv = View::dense(&[1, 5, 24]).reshaped(&[1, 5, 3, 2, 4]).unwrap().transposed(&[2, 0, 3, 1, 4]);
        let keys = qkv.sliced(0, 1..2).unwrap().reshaped(&[1, 2, 5, 4]).unwrap();
        assert_eq!((keys.offset, keys.shape()), (8, vec![1, 2, 5, 4]));
        assert_eq!(keys.axes, [vec![], vec![(2, 4)], vec![(5, 24)], vec![(4, 1)]]);
        assert_eq!(keys.run(), None);
    }

    #[test]
    fn channels_are_told_from_positions() {
        // Two groups of three channels, shuffled; then the last four of them.
        let map = View::strided(&[(1, 0), (6, 1), (2, 12), (2, 6)]);
        assert_eq!(map.selected(4, 6), Some(((0..6).collect(), map.clone())));
        let shuffled = map.reshaped(&[1, 2, 3, 2, 2]).unwrap().transposed(&[0, 2, 1, 3, 4]).reshaped(&[1, 6, 2, 2]).unwrap();
        let (table, view) = shuffled.selected(4, 6).unwrap();
        assert_eq!((&table[..], &view), (&[0, 3, 1, 4, 2, 5][..], &map));
        let (table, view) = shuffled.sliced(1, 2..6).unwrap().selected(4, 6).unwrap();
        assert_eq!((&table[..], view), (&[1, 4, 2, 5][..], View::strided(&[(1, 0), (4, 1), (2, 8), (2, 4)])));
        // The same elements, found through either map.
        let own: Vec<usize> = (0..4).flat_map(|position| table.iter().map(move |c| position * 6 + c)).collect();
        let through: Vec<usize> = read(&map.selected(4, 6).unwrap().1.sliced(1, 0..4).unwrap().selected(4, 6).unwrap().1);
        assert_eq!(through.iter().map(|&at| own[at]).collect::<Vec<_>>(), read(&shuffled.sliced(1, 2..6).unwrap()));
        // One channel of each, some positions, and channels mixed with positions.
        assert_eq!(map.sliced(1, 5..6).unwrap().selected(4, 6), Some((vec![5], View::strided(&[(1, 0), (1, 0), (2, 2), (2, 1)]))));
        assert_eq!(map.sliced(2, 0..1).unwrap().selected(4, 6), None);
        assert_eq!(View::dense(&[24]).selected(4, 6), None);
        assert_eq!(View::dense(&[1, 5]).selected(1, 5), Some(((0..5).collect(), View::dense(&[1, 5]))));
        assert_eq!(View::dense(&[4, 1]).selected(4, 1), Some((vec![0], View::dense(&[4, 1]))));
    }

    #[test]
    fn slices_are_runs_of_outer_steps() {
        let view = View::dense(&[6, 4]);
        assert_eq!(view.sliced(0, 2..5).unwrap().run(), Some(8..20));
        assert_eq!(view.sliced(1, 1..3).unwrap().run(), None);
        let composite = View::strided(&[(1, 0), (4, 1), (6, 4)]).reshaped(&[24]).unwrap();
        assert_eq!(read(&composite.sliced(0, 6..12).unwrap()), [1, 5, 9, 13, 17, 21]);
        assert_eq!(composite.sliced(0, 3..9), None);
        assert_eq!(composite.sliced(0, 6..6), None);
        assert_eq!(read(&composite.sliced(0, 7..8).unwrap()), [5]);
    }
}
