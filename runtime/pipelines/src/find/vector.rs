//! Vectors in bytes, and their products with a query.

use ossicle_kernels::search::{self, products_of_rows};
use ossicle_kernels::simd::Isa;

/// A vector of length about 1 in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ByteVector {
    /// What `scale` is to be multiplied by, -127 to 127.
    pub values: Vec<i8>,
    /// 0 if nothing is known.
    pub scale: f32,
}

impl ByteVector {
    /// The nearest to a vector of finite values.
    pub fn new(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        if largest == 0.0 {
            return Self { values: vec![0; vector.len()], scale: 0.0 };
        }
        let scale = largest / 127.0;
        Self { values: vector.iter().map(|x| (x / scale).round() as i8).collect(), scale }
    }
}

/// A vector that pictures are looked for by.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureQuery {
    /// Up to [`search::MOST`] in magnitude.
    values: Vec<i16>,
    scale: f32,
    isa: Isa,
}

/// Widest vectors.
pub(super) const MAX_WIDTH: usize = search::MAX_WIDTH;

impl PictureQuery {
    /// Looks for pictures near a vector of length 1, of 4096 finite values at most.
    pub fn new(isa: Isa, vector: &[f32]) -> Self {
        let largest = vector.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let scale = largest / f32::from(search::MOST);
        Self { values: vector.iter().take(MAX_WIDTH).map(|x| (x / scale).round() as i16).collect(), scale, isa }
    }

    /// What [`cosine`](Self::cosine) makes cosines of, for pictures' vectors one after another. Sums are of whole numbers, so no order of additions
    /// changes a bit. Rows of another width give zeros: there is no such picture in an index that was made with the query's model.
    pub(super) fn sums(&self, rows: &[i8], count: usize) -> Vec<i32> {
        let mut sums = vec![0; count];
        if rows.len() == count * self.values.len() {
            products_of_rows(self.isa, &self.values, rows, &mut sums);
        }
        sums
    }

    /// The cosine to a picture's vector of that sum and scale.
    pub(super) fn cosine(&self, sum: i32, scale: f32) -> f32 {
        sum as f32 * (self.scale * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(query: &[f32], values: &[i8], scale: f32) -> f32 {
        let query = PictureQuery::new(Isa::detect(), query);
        query.cosine(query.sums(values, 1)[0], scale)
    }

    #[test]
    fn cosines_are_those_of_the_vectors() {
        let wave = |step: f32| -> Vec<f32> {
            let values: Vec<f32> = (0..384).map(|i| (i as f32 * step).sin()).collect();
            let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
            values.iter().map(|x| x / length).collect()
        };
        for (a, b) in [(0.1, 0.1), (0.1, 0.11), (0.1, 0.7), (2.0, 0.3)] {
            let (a, b) = (wave(a), wave(b));
            let exact: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            let ByteVector { values, scale } = ByteVector::new(&b);
            let found = cosine(&a, &values, scale);
            assert!((found - exact).abs() < 2e-3, "{found} {exact}");
        }
        assert_eq!(cosine(&[0.0; 8], &[127; 8], 1.0), 0.0);
        // The largest sum there can be.
        let most = cosine(&[1.0; MAX_WIDTH], &[-128; MAX_WIDTH], 1.0);
        assert!((most + 128.0 * MAX_WIDTH as f32).abs() < 64.0, "{most}");
        assert_eq!(ByteVector::new(&[0.0; 3]), ByteVector { values: vec![0; 3], scale: 0.0 });
    }
}
