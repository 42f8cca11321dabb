//! When each token was spoken, from the cross-attention of the alignment heads.
//!
//! openai-whisper's method: each head's weights are standardised over the tokens, smoothed by a median over seven positions, averaged over
//! the heads, and a monotonic path of least cost gives each token its first position. All sums run in a fixed order in f64.

/// Positions the median looks at.
const MEDIAN_WIDTH: usize = 7;

/// Working memory for [`Aligner::first_positions`], kept from window to window: at most tokens x positions of 4 + 4 + 1 bytes, whatever the
/// number of heads.
#[derive(Clone, Debug, Default)]
pub struct Aligner {
    head: Vec<f32>,
    mean: Vec<f32>,
    /// Of each column the mean, then of each the deviation.
    moments: Vec<f64>,
    path: Path,
}

impl Aligner {
    /// The first position of each token.
    ///
    /// `weights` fills in the weights of one head after another, `[tokens][stride]`.
    ///
    /// # Errors
    /// Those of `weights`.
    ///
    /// # Panics
    /// If the shape does not fit together.
    pub fn first_positions<E>(
        &mut self,
        heads: usize,
        shape: &Shape,
        mut weights: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<&[usize], E> {
        let Shape { tokens, stride, positions, rows } = shape;
        let (tokens, stride, positions) = (*tokens, *stride, *positions);
        assert!(heads > 0 && positions >= 1 && positions <= stride && rows.end <= tokens && rows.start < rows.end);
        zeroed(&mut self.mean, rows.len() * positions);
        zeroed(&mut self.head, tokens * stride);
        for head in 0..heads {
            weights(head, &mut self.head)?;
            crop(&mut self.head, stride, positions);
            let cropped = &mut self.head[..tokens * positions];
            standardise(cropped, positions, &mut self.moments);
            for (row, mean) in cropped.chunks_exact(positions).skip(rows.start).zip(self.mean.chunks_exact_mut(positions)) {
                add_median(row, mean);
            }
        }
        for value in &mut self.mean {
            *value /= heads as f32;
        }
        Ok(self.path.first_columns(&self.mean, positions))
    }
}

/// What the weights of a head look like, and which part of them counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub tokens: usize,
    /// Values of a row.
    pub stride: usize,
    /// Of these, the first so many cover the audio: at least 1.
    pub positions: usize,
    /// The tokens to align; all of them take part in standardising.
    pub rows: std::ops::Range<usize>,
}

/// Makes `buffer` hold `len` zeros, and no more memory than the longest so far needed.
fn zeroed(buffer: &mut Vec<f32>, len: usize) {
    buffer.clear();
    buffer.reserve_exact(len);
    buffer.resize(len, 0.0);
}

/// Moves the first `positions` of each row together, scaled to sum to 1: a softmax over these positions alone.
fn crop(head: &mut [f32], stride: usize, positions: usize) {
    for row in 0..head.len() / stride {
        let from = row * stride;
        let sum: f64 = head[from..from + positions].iter().map(|&x| f64::from(x)).sum();
        let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
        for i in 0..positions {
            head[row * positions + i] = (f64::from(head[from + i]) * scale) as f32;
        }
    }
}

/// Subtracts each column's mean and divides by its standard deviation over the rows; a constant column becomes 0.
///
/// Row after row, so that memory is read in its order; each column's sums still run over the rows from the first to the last.
fn standardise(matrix: &mut [f32], columns: usize, moments: &mut Vec<f64>) {
    let rows = (matrix.len() / columns) as f64;
    moments.clear();
    moments.resize(2 * columns, 0.0);
    let (means, scales) = moments.split_at_mut(columns);
    for row in matrix.chunks_exact(columns) {
        means.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x));
    }
    means.iter_mut().for_each(|mean| *mean /= rows);
    for row in matrix.chunks_exact(columns) {
        for ((scale, &mean), &x) in scales.iter_mut().zip(&*means).zip(row) {
            let difference = f64::from(x) - mean;
            *scale += difference * difference;
        }
    }
    for scale in &mut *scales {
        let variance = *scale / rows;
        *scale = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
    }
    for row in matrix.chunks_exact_mut(columns) {
        for ((value, &mean), &scale) in row.iter_mut().zip(&*means).zip(&*scales) {
            *value = ((f64::from(*value) - mean) * scale) as f32;
        }
    }
}

/// Adds the running median of `row` to `sum`; beyond its ends the row is mirrored. Rows too short to mirror stay as they are.
fn add_median(row: &[f32], sum: &mut [f32]) {
    const HALF: usize = MEDIAN_WIDTH / 2;
    let n = row.len();
    if n <= HALF {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        return;
    }
    let last = n as isize - 1;
    let at = |i: isize| {
        let i = i.unsigned_abs() as isize;
        row[if i > last { 2 * last - i } else { i } as usize]
    };
    let mirrored = |i: usize| median(std::array::from_fn(|k| at(i as isize + k as isize - HALF as isize)));
    // Between the ends nothing is mirrored, and the compiler takes several medians at a time.
    let inner = HALF..(n - HALF).max(HALF);
    for i in (0..inner.start).chain(inner.end..n) {
        sum[i] += mirrored(i);
    }
    for (near, s) in row.windows(MEDIAN_WIDTH).zip(&mut sum[inner]) {
        *s += median(std::array::from_fn(|k| near[k]));
    }
}

/// The fourth of seven numbers by size: exchanges that are the same for all, after N. Devillard's list.
fn median(mut x: [f32; MEDIAN_WIDTH]) -> f32 {
    const EXCHANGES: [(usize, usize); 13] =
        [(0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)];
    for (low, high) in EXCHANGES {
        let (a, b) = (x[low], x[high]);
        x[low] = if b < a { b } else { a };
        x[high] = if b < a { a } else { b };
    }
    x[MEDIAN_WIDTH / 2]
}

/// Dynamic time warping: the monotonic path of the largest sum of similarities.
#[derive(Clone, Debug, Default)]
struct Path {
    /// Which way each cell's best path came.
    from: Vec<From>,
    previous: Vec<f64>,
    current: Vec<f64>,
    first: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Diagonal,
    Above,
    Left,
}

impl Path {
    /// For each row the first column of the path through it. The path starts at the first cell and ends at the last.
    fn first_columns(&mut self, similarity: &[f32], columns: usize) -> &[usize] {
        let rows = similarity.len() / columns;
        self.from.clear();
        self.from.reserve_exact(similarity.len());
        // Costs of paths to the cells above, with a border that only the first cell can be reached from.
        self.previous.clear();
        self.previous.resize(columns + 1, f64::INFINITY);
        self.previous[0] = 0.0;
        self.current.clear();
        self.current.resize(columns + 1, f64::INFINITY);
        for row in similarity.chunks_exact(columns) {
            self.current[0] = f64::INFINITY;
            for (j, &x) in row.iter().enumerate() {
                let (diagonal, above, left) = (self.previous[j], self.previous[j + 1], self.current[j]);
                let (best, from) = if diagonal < above && diagonal < left {
                    (diagonal, From::Diagonal)
                } else if above < diagonal && above < left {
                    (above, From::Above)
                } else {
                    (left, From::Left)
                };
                self.current[j + 1] = best - f64::from(x);
                self.from.push(from);
            }
            std::mem::swap(&mut self.previous, &mut self.current);
        }

        self.first.clear();
        self.first.resize(rows, 0);
        let (mut i, mut j) = (rows - 1, columns - 1);
        loop {
            self.first[i] = j;
            match self.from[i * columns + j] {
                _ if i == 0 && j == 0 => break,
                From::Left if j > 0 => j -= 1,
                From::Diagonal if i > 0 && j > 0 => (i, j) = (i - 1, j - 1),
                _ if i > 0 => i -= 1,
                _ => j -= 1,
            }
        }
        &self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, n: usize) -> Vec<f32> {
        let mut x = seed.wrapping_mul(2_654_435_761) | 1;
        (0..n)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                (x >> 8) as f32 / (1 << 24) as f32
            })
            .collect()
    }

    /// Every monotonic path from the first to the last cell, the best sum and its first columns.
    fn best_by_trying_all(similarity: &[f32], columns: usize) -> (f64, Vec<usize>) {
        fn walk(s: &[f32], columns: usize, path: &mut Vec<(usize, usize)>, sum: f64, best: &mut (f64, Vec<usize>)) {
            let rows = s.len() / columns;
            let &(i, j) = path.last().unwrap();
            let sum = sum + f64::from(s[i * columns + j]);
            if (i, j) == (rows - 1, columns - 1) && sum > best.0 {
                let first = (0..rows).map(|r| path.iter().find(|p| p.0 == r).unwrap().1).collect();
                *best = (sum, first);
            }
            for (di, dj) in [(1, 1), (1, 0), (0, 1)] {
                if i + di < rows && j + dj < columns {
                    path.push((i + di, j + dj));
                    walk(s, columns, path, sum, best);
                    path.pop();
                }
            }
        }
        let mut best = (f64::NEG_INFINITY, vec![]);
        walk(similarity, columns, &mut vec![(0, 0)], 0.0, &mut best);
        best
    }

    #[test]
    fn the_path_is_the_best_of_all() {
        let mut path = Path::default();
        for (seed, (rows, columns)) in [(1, 1), (1, 5), (4, 1), (2, 2), (3, 6), (4, 4), (5, 3), (4, 7)].into_iter().enumerate() {
            for round in 0..20 {
                let similarity: Vec<f32> = noise(seed as u32 * 100 + round + 1, rows * columns).iter().map(|x| x - 0.7).collect();
                let (_, expected) = best_by_trying_all(&similarity, columns);
                assert_eq!(path.first_columns(&similarity, columns), expected, "{rows} x {columns}, round {round}");
            }
        }
    }

    #[test]
    fn median_against_sorting() {
        for n in [1, 2, 3, 4, 5, 7, 8, 20] {
            let row = noise(n as u32, n);
            let mut sum = vec![1.0; n];
            add_median(&row, &mut sum);
            for i in 0..n {
                let expected = if n <= 3 {
                    row[i]
                } else {
                    let mut near: Vec<f32> = (-3..=3)
                        .map(|k| {
                            let p = (i as i32 + k).abs();
                            row[if p >= n as i32 { 2 * (n as i32 - 1) - p } else { p } as usize]
                        })
                        .collect();
                    near.sort_by(f32::total_cmp);
                    near[3]
                };
                assert_eq!(sum[i], 1.0 + expected);
            }
        }
    }

    #[test]
    fn standardised_columns_have_mean_zero_and_deviation_one() {
        let mut matrix = noise(3, 6 * 4);
        for row in 0..6 {
            matrix[row * 4 + 2] = 0.5;
        }
        standardise(&mut matrix, 4, &mut Vec::new());
        for column in [0, 1, 3] {
            let values: Vec<f32> = (0..6).map(|row| matrix[row * 4 + column]).collect();
            assert!(values.iter().sum::<f32>().abs() < 1e-5);
            assert!((values.iter().map(|x| x * x).sum::<f32>() / 6.0 - 1.0).abs() < 1e-5);
        }
        assert!((0..6).all(|row| matrix[row * 4 + 2] == 0.0));
    }

    #[test]
    fn tokens_are_found_where_the_heads_look() {
        let (tokens, stride, heads) = (6, 80, 2);
        let mut weights = vec![0.001; heads * tokens * stride];
        for head in 0..heads {
            for token in 0..tokens {
                for position in 10 * token..10 * token + 10 {
                    weights[(head * tokens + token) * stride + position] = 0.1;
                }
            }
        }
        let mut aligner = Aligner::default();
        let shape = Shape { tokens, stride, positions: 60, rows: 1..6 };
        let firsts = aligner.first_positions(heads, &shape, |head, out| {
            out.copy_from_slice(&weights[head * tokens * stride..][..tokens * stride]);
            Ok::<(), ()>(())
        });
        assert_eq!(firsts, Ok(&[0, 20, 30, 40, 50][..]));
    }
}
