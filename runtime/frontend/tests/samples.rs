//! The door.

use ossicle_frontend::samples::*;

#[test]
fn the_first_bad_sample_is_named() {
    assert_eq!(check_finite(&[]), Ok(()));
    assert_eq!(check_finite(&[0.0, -1.0, MAX_MAGNITUDE, -0.0, f32::MIN_POSITIVE / 2.0]), Ok(()));
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2.0 * MAX_MAGNITUDE] {
        for index in [0, 3, 31] {
            let mut samples = [0.5; 33];
            samples[index] = bad;
            samples[32] = bad;
            let error = check_finite(&samples).unwrap_err();
            assert_eq!((error.index, error.value.to_bits()), (index, bad.to_bits()));
        }
    }
    assert_eq!(check_finite(&[f32::NAN]).unwrap_err().to_string(), "sample 0 is not a finite number (NaN)");
}

#[test]
fn integers_reach_minus_one_and_stay_below_one() {
    let mut out = [9.0; 4];
    from_u8(&[0, 128, 255], &mut out);
    assert_eq!(out, [-1.0, 0.0, 127.0 / 128.0, 9.0]);
    from_i16(&[i16::MIN, 0, i16::MAX, 1, 5], &mut out);
    assert_eq!(out, [-1.0, 0.0, 32_767.0 / 32_768.0, 1.0 / 32_768.0]);
    from_i32(&[-(1 << 23), (1 << 23) - 1, 1], 24, &mut out);
    assert_eq!(out[..3], [-1.0, 8_388_607.0 / 8_388_608.0, 1.0 / 8_388_608.0]);
    from_i32(&[i32::MIN, i32::MAX, 1 << 30], 32, &mut out);
    assert_eq!(out[..3], [-1.0, 1.0, 0.5]);
    from_i32(&[3, -4], 1, &mut out);
    assert_eq!(out[..2], [3.0, -4.0]);
}

#[test]
fn downmix_averages() {
    let mut mono = [9.0; 3];
    downmix(&[1.0, 2.0, 3.0, -1.0, 0.0, 4.0, 7.0], 3, &mut mono);
    assert_eq!(mono, [2.0, 1.0, 9.0]);
    downmix(&[0.1, 0.2, 0.3], 1, &mut mono);
    assert_eq!(mono, [0.1, 0.2, 0.3]);
    downmix(&[1.0], 0, &mut mono);
    assert_eq!(mono, [0.1, 0.2, 0.3]);
}
