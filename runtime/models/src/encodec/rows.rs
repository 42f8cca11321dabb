//! Rows that are kept between chunks.

/// The last rows of a recording, in memory that does not grow.
#[derive(Debug)]
pub(super) struct Kept<T> {
    values: Vec<T>,
    width: usize,
    /// The first row that is here.
    first: usize,
    /// Rows that there is room for.
    room: usize,
}

impl<T: Copy + Default> Kept<T> {
    pub(super) fn new(width: usize, room: usize) -> Self {
        Self { values: Vec::with_capacity(width * room), width, first: 0, room }
    }

    /// Bytes of their memory.
    pub(super) fn bytes(&self) -> usize {
        self.room * self.width * size_of::<T>()
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.first = 0;
    }

    /// One more than the last row that has been put here.
    pub(super) fn end(&self) -> usize {
        self.first + self.values.len() / self.width
    }

    /// Adds rows behind the last. Those that there is no room for any more are given up, the oldest first.
    pub(super) fn push(&mut self, rows: &[T]) {
        let spare = (self.values.len() + rows.len()).saturating_sub(self.room * self.width).min(self.values.len());
        if spare > 0 {
            self.values.copy_within(spare.., 0);
            self.values.truncate(self.values.len() - spare);
            self.first += spare / self.width;
        }
        self.values.extend_from_slice(rows);
    }

    /// Rows `from ..`, as many as `out` holds; zeros where there are none.
    pub(super) fn copy(&self, from: isize, out: &mut [T]) {
        for (at, out) in (from..).zip(out.chunks_exact_mut(self.width)) {
            let place = usize::try_from(at).ok().and_then(|at| at.checked_sub(self.first));
            match place.and_then(|place| self.values.chunks_exact(self.width).nth(place)) {
                Some(row) => out.copy_from_slice(row),
                None => out.fill(T::default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_kept() {
        let mut kept = Kept::<i32>::new(2, 3);
        for row in 0..5 {
            kept.push(&[row, 10 * row]);
        }
        let mut out = [7; 10];
        kept.copy(1, &mut out);
        assert_eq!((kept.end(), out), (5, [0, 0, 2, 20, 3, 30, 4, 40, 0, 0]));
        kept.clear();
        kept.push(&[1, 2, 3, 4]);
        kept.copy(-1, &mut out[..4]);
        assert_eq!((kept.end(), &out[..4]), (2, &[0, 0, 1, 2][..]));
    }
}
