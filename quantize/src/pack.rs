//! Row-wise symmetric quantisation and the packed weight layout `n16k4`.
//!
//! The packed bytes are `[N/16][K/4][16][4]`: blocks of 16 output channels by 4 inputs, so that one
//! block is one 512-bit register. Rows past the last output channel are zero.

/// Output channels of one packed block.
pub const BLOCK_ROWS: usize = 16;
/// Inputs of one packed block.
pub const BLOCK_INPUTS: usize = 4;
/// Largest magnitude of a quantised value.
pub const QMAX: f32 = 127.0;

/// A matrix of int8 rows with one scale each: `w ~ q * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedRows {
    /// Number of rows.
    pub rows: usize,
    /// Values in a row.
    pub inputs: usize,
    /// Values in [-127, 127], row-major.
    pub values: Vec<i8>,
    /// One scale per row; 0 for a row of zeros.
    pub scales: Vec<f32>,
}

/// Quantises one row: `scale = m / 127`, `q = round_ties_even(x * (127 / m))` with `m` the largest
/// magnitude. Returns the scale.
///
/// A row of zeros has scale 0, and so has one whose `127 / m` is not finite (m below 3.8e-37, where
/// every value is noise).
///
/// # Panics
/// When `row` and `out` differ in length.
pub fn quantize_row(row: &[f32], out: &mut [i8]) -> f32 {
    assert_eq!(row.len(), out.len());
    let max = row.iter().fold(0f32, |m, x| m.max(x.abs()));
    let inverse = QMAX / max;
    if max == 0.0 || !inverse.is_finite() {
        out.fill(0);
        return 0.0;
    }
    for (q, x) in out.iter_mut().zip(row) {
        *q = (x * inverse).round_ties_even().clamp(-QMAX, QMAX) as i8;
    }
    max / QMAX
}

/// Quantises a row-major matrix row by row. The values must be finite.
///
/// # Panics
/// When `values.len() != rows * inputs`.
pub fn quantize_rows(values: &[f32], rows: usize, inputs: usize) -> QuantizedRows {
    assert_eq!(values.len(), rows * inputs);
    let mut q = vec![0; values.len()];
    let scales = (0..rows).map(|r| quantize_row(&values[r * inputs..][..inputs], &mut q[r * inputs..][..inputs])).collect();
    QuantizedRows { rows, inputs, values: q, scales }
}

/// Rows after padding to whole blocks.
pub fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(BLOCK_ROWS)
}

/// Packs a row-major matrix of int8 into `n16k4`.
///
/// # Panics
/// When `values.len() != rows * inputs` or `inputs` is not a multiple of 4.
pub fn pack(values: &[i8], rows: usize, inputs: usize) -> Vec<i8> {
    assert_eq!(values.len(), rows * inputs);
    assert_eq!(inputs % BLOCK_INPUTS, 0);
    let mut packed = vec![0; padded_rows(rows) * inputs];
    for (at, slot) in packed.iter_mut().enumerate() {
        let (row, input) = position(at, inputs);
        if row < rows {
            *slot = values[row * inputs + input];
        }
    }
    packed
}

/// Undoes [`pack`], dropping the padding rows.
///
/// # Panics
/// When `packed` is not `padded_rows(rows) * inputs` long or `inputs` is not a multiple of 4.
pub fn unpack(packed: &[i8], rows: usize, inputs: usize) -> Vec<i8> {
    assert_eq!(packed.len(), padded_rows(rows) * inputs);
    assert_eq!(inputs % BLOCK_INPUTS, 0);
    let mut values = vec![0; rows * inputs];
    for (at, &value) in packed.iter().enumerate() {
        let (row, input) = position(at, inputs);
        if row < rows {
            values[row * inputs + input] = value;
        }
    }
    values
}

/// Row and input that the packed byte `at` holds.
fn position(at: usize, inputs: usize) -> (usize, usize) {
    let block = BLOCK_ROWS * inputs;
    let (band, in_band) = (at / block, at % block);
    let (k4, in_k4) = (in_band / (BLOCK_ROWS * BLOCK_INPUTS), in_band % (BLOCK_ROWS * BLOCK_INPUTS));
    (band * BLOCK_ROWS + in_k4 / BLOCK_INPUTS, k4 * BLOCK_INPUTS + in_k4 % BLOCK_INPUTS)
}

/// Reorders a convolution weight `[out, in, tap]` to `[out, tap, in]`, the order in which frames lie
/// in memory, so that a convolution is a matrix product over neighbouring frames.
///
/// # Panics
/// When `values.len() != rows * channels * taps`.
pub fn tap_major(values: &[f32], rows: usize, channels: usize, taps: usize) -> Vec<f32> {
    assert_eq!(values.len(), rows * channels * taps);
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks_exact(channels * taps) {
        for tap in 0..taps {
            out.extend((0..channels).map(|channel| row[channel * taps + tap]));
        }
    }
    out
}
