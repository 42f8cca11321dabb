//! What is wrong with a figure of a `config.json`, in words; nothing if it is within its limits.

use ossicle_kernels::simd::LANES;

/// Of one that has to be within `1..=most`.
pub(crate) fn range(name: &str, value: usize, most: usize) -> Option<String> {
    (value == 0 || value > most).then(|| format!("{name} is {value}, 1 to {most} are possible"))
}

/// Of the values of a row: whole vectors of them.
pub(crate) fn width(name: &str, value: usize, most: usize) -> Option<String> {
    let uneven = || (!value.is_multiple_of(LANES)).then(|| format!("{name} is {value}, not a multiple of {LANES}"));
    range(name, value, most).or_else(uneven)
}

/// Of the taps of a convolution that keeps the length: an odd number.
pub(crate) fn kernel(name: &str, value: usize) -> Option<String> {
    range(name, value, 31).or_else(|| value.is_multiple_of(2).then(|| format!("{name} is {value}, not an odd number")))
}
