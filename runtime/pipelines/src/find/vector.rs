//! Vectors in bytes, and their products with a query.

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
    /// -[`FINEST`] to [`FINEST`].
    values: Vec<i16>,
    scale: f32,
}

/// Products of values up to this with bytes do not overflow for vectors of [`MAX_WIDTH`].
const FINEST: f32 = 2047.0;

/// Widest vectors.
pub(super) const MAX_WIDTH: usize = 4096;

const _: () = assert!(2047 * 128 * MAX_WIDTH < 1 << 31);

impl PictureQuery {
    /// Looks for pictures near a vector of length 1, of 4096 finite values at most.
    pub fn new(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let scale = largest / FINEST;
        Self { values: vector.iter().take(MAX_WIDTH).map(|x| (x / scale).round() as i16).collect(), scale }
    }

    /// The cosine to a picture's vector. Its sum is of whole numbers, so no order of additions changes a bit.
    pub(super) fn cosine(&self, values: &[i8], scale: f32) -> f32 {
        let sum: i32 = self.values.iter().zip(values).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        sum as f32 * (self.scale * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = PictureQuery::new(&a).cosine(&values, scale);
            assert!((found - exact).abs() < 2e-3, "{found} {exact}");
        }
        assert_eq!(PictureQuery::new(&[0.0; 8]).cosine(&[127; 8], 1.0), 0.0);
        // The largest sum there can be.
        let most = PictureQuery::new(&[1.0; MAX_WIDTH]).cosine(&[-128; MAX_WIDTH], 1.0);
        assert!((most + 128.0 * MAX_WIDTH as f32).abs() < 64.0, "{most}");
        assert_eq!(ByteVector::new(&[0.0; 3]), ByteVector { values: vec![0; 3], scale: 0.0 });
    }
}
