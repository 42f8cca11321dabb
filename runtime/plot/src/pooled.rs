//! Rows pooled into a bounded number of columns.

/// Rows of equal width, pooled by their maxima: never more than a fixed number of columns, each of as many rows as the others but the last.
#[derive(Clone, Debug)]
pub(crate) struct Pooled {
    width: usize,
    /// Most columns, an even number.
    most: usize,
    /// Rows of a column: a power of two.
    rows: u64,
    /// Rows in the last column.
    last: u64,
    values: Vec<f32>,
}

impl Pooled {
    pub(crate) fn new(width: usize, most: usize) -> Self {
        Self { width, most: most.next_multiple_of(2), rows: 1, last: 1, values: vec![] }
    }

    /// Takes the next row.
    pub(crate) fn push(&mut self, row: &[f32]) {
        if self.last < self.rows {
            let at = self.values.len() - self.width;
            self.values[at..].iter_mut().zip(row).for_each(|(most, &value)| *most = most.max(value));
            self.last += 1;
            return;
        }
        if self.columns() == self.most {
            self.halve();
        }
        self.values.extend_from_slice(row);
        self.last = 1;
    }

    fn halve(&mut self) {
        let half = self.columns() / 2;
        for column in 0..half {
            for i in 0..self.width {
                let (a, b) = (self.values[2 * column * self.width + i], self.values[(2 * column + 1) * self.width + i]);
                self.values[column * self.width + i] = a.max(b);
            }
        }
        self.values.truncate(half * self.width);
        self.rows *= 2;
    }

    pub(crate) fn columns(&self) -> usize {
        self.values.len() / self.width
    }

    /// Rows in each column but the last, which may have fewer.
    pub(crate) fn rows_per_column(&self) -> u64 {
        self.rows
    }

    /// Rows taken so far.
    pub(crate) fn rows(&self) -> u64 {
        (self.columns() as u64).saturating_sub(1) * self.rows + if self.values.is_empty() { 0 } else { self.last }
    }

    pub(crate) fn column(&self, column: usize) -> &[f32] {
        &self.values[column * self.width..][..self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_the_largest_of_their_rows() {
        for count in [0, 1, 7, 8, 9, 16, 17, 100, 1000] {
            let row = |i: u64| [(i * 37 % 101) as f32, -(i as f32)];
            let mut pooled = Pooled::new(2, 8);
            (0..count).for_each(|i| pooled.push(&row(i)));
            assert!(pooled.columns() <= 8 && pooled.rows() == count);
            let per = pooled.rows_per_column();
            assert!(count <= 8 && per == 1 || pooled.columns() > 4);
            for column in 0..pooled.columns() {
                let first = column as u64 * per;
                let wanted = (first..(first + per).min(count)).map(|i| row(i)[0]).fold(f32::MIN, f32::max);
                assert_eq!(pooled.column(column), [wanted, row(first)[1]], "{count} rows, column {column}");
            }
        }
    }
}
