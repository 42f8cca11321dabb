//! How far two tensors lie apart.

use ossicle_trace::Values;

/// What two tensors of one shape differ in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Values.
    pub values: usize,
    /// Values that differ.
    pub differing: usize,
    /// Index of the first of them.
    pub first: usize,
    /// The largest distance; NaN if one of two values is.
    pub largest: f64,
    /// The largest distance of f32 counted in representable numbers; `None` for integers.
    pub ulp: Option<u64>,
}

/// Compares bit for bit; `None` if nothing differs.
///
/// Values of two types or lengths count as differing in all, as far as both go.
pub fn difference(a: Values<'_>, b: Values<'_>) -> Option<Difference> {
    match (a, b) {
        (Values::F32(a), Values::F32(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| (a.to_bits() == b.to_bits(), f64::from(*a) - f64::from(*b), ulp(*a, *b)));
            over(a.len(), pairs, true)
        }
        (Values::I8(a), Values::I8(b)) => over(a.len(), a.iter().zip(b).map(|(a, b)| (a == b, f64::from(*a) - f64::from(*b), 0)), false),
        (Values::I32(a), Values::I32(b)) => over(a.len(), a.iter().zip(b).map(|(a, b)| (a == b, f64::from(*a) - f64::from(*b), 0)), false),
        (Values::U32(a), Values::U32(b)) => over(a.len(), a.iter().zip(b).map(|(a, b)| (a == b, f64::from(*a) - f64::from(*b), 0)), false),
        (a, b) => over(a.len(), (0..a.len().min(b.len())).map(|_| (false, f64::NAN, 0)), false),
    }
}

/// Of pairs: whether they are equal, their distance, and that in representable numbers.
fn over(values: usize, pairs: impl Iterator<Item = (bool, f64, u64)>, float: bool) -> Option<Difference> {
    let mut found: Option<Difference> = None;
    for (index, (equal, distance, ulp)) in pairs.enumerate() {
        if equal {
            continue;
        }
        let found = found.get_or_insert(Difference { values, differing: 0, first: index, largest: 0.0, ulp: float.then_some(0) });
        found.differing += 1;
        if distance.is_nan() || found.largest.is_nan() {
            found.largest = f64::NAN;
        } else {
            found.largest = found.largest.max(distance.abs());
        }
        found.ulp = found.ulp.map(|largest| largest.max(ulp));
    }
    found
}

/// Steps from one f32 to the next that lie between two; both zeros count as one.
pub fn ulp(a: f32, b: f32) -> u64 {
    // Bits in the order of the numbers: the negative ones are mirrored.
    let ordered = |x: f32| {
        let bits = i64::from(x.to_bits().cast_signed());
        if bits < 0 { i64::from(i32::MIN) - bits } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

/// The place of a flat index in a tensor, slowest dimension first.
pub fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (place, &size) in place.iter_mut().zip(shape).rev() {
        (*place, index) = (index % size.max(1), index / size.max(1));
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_differs() {
        let a = [1.0, -0.0, 3.0, 1e-45];
        assert_eq!(difference(Values::F32(&a), Values::F32(&a)), None);
        let b = [1.0, 0.0, f32::from_bits(3.0f32.to_bits() + 5), -1e-45];
        let found = difference(Values::F32(&a), Values::F32(&b)).unwrap();
        assert_eq!((found.values, found.differing, found.first, found.ulp), (4, 3, 1, Some(5)));
        assert!((found.largest - 5.0 * f64::from(f32::EPSILON) * 2.0).abs() < 1e-9, "{}", found.largest);
        let found = difference(Values::I8(&[-127, 5]), Values::I8(&[127, 5])).unwrap();
        assert_eq!(found, Difference { values: 2, differing: 1, first: 0, largest: 254.0, ulp: None });
        let found = difference(Values::F32(&[1.0, 2.0]), Values::F32(&[f32::NAN, 3.0])).unwrap();
        assert!(found.largest.is_nan() && found.differing == 2);
    }

    #[test]
    fn ulps_cross_zero() {
        assert_eq!(ulp(0.0, -0.0), 0);
        assert_eq!(ulp(f32::from_bits(1), -f32::from_bits(1)), 2);
        assert_eq!(ulp(1.0, 1.0 + f32::EPSILON), 1);
        assert_eq!(ulp(-1.0, -1.0 - f32::EPSILON), 1);
    }

    #[test]
    fn indices_have_places() {
        assert_eq!(unravel(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(unravel(5, &[6]), [5]);
        assert_eq!(unravel(0, &[]), [0; 0]);
    }
}
