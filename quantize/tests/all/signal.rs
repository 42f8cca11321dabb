//! Signal-to-noise figures on cases that can be worked out by hand.

use ossicle_quantize::pack::quantize_rows;
use ossicle_quantize::signal::{conv_row, output_noise, weight_noise};

#[test]
fn exact_values_have_no_noise() {
    let weight = [127.0, -127.0, 64.0, 0.0];
    let q = quantize_rows(&weight, 1, 4);
    assert_eq!(weight_noise(&weight, &q).decibels(), Some(f64::INFINITY));
    assert_eq!(output_noise(&[127.0, 1.0, 2.0, 3.0], &weight, &q).decibels(), Some(f64::INFINITY));
    assert_eq!(output_noise(&[0.0; 4], &weight, &q).decibels(), None);
}

#[test]
fn a_known_error_gives_the_known_ratio() {
    // 0.5 becomes 0: signal 127^2 + 0.25, noise 0.25.
    let weight = [127.0, 0.5, 0.0, 0.0];
    let q = quantize_rows(&weight, 1, 4);
    let expected = 10.0 * ((127.0f64 * 127.0 + 0.25) / 0.25).log10();
    assert!((weight_noise(&weight, &q).decibels().unwrap() - expected).abs() < 1e-9);
    // The product 127 * 127 + 127 * 0.5 loses 63.5.
    let expected = 20.0 * ((127.0f64 * 127.0 + 63.5) / 63.5).log10();
    assert!((output_noise(&[127.0, 127.0, 0.0, 0.0], &weight, &q).decibels().unwrap() - expected).abs() < 1e-9);
}

#[test]
fn convolution_rows_are_windows_of_three_frames() {
    let frames = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(conv_row(&frames, 2, 1, 0), [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(conv_row(&frames, 2, 1, 3), [5.0, 6.0, 7.0, 8.0, 0.0, 0.0]);
    assert_eq!(conv_row(&frames, 2, 2, 1), [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
}
