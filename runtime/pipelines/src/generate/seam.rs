//! Sounds that can be played again and again.

/// What a sound has to be longer by to be [`looped`], in seconds.
pub const SEAM_SECONDS: f64 = 0.5;

/// Takes `seam` samples off the end of a sound and blends them into its beginning, so that the end runs on into the beginning: what came after
/// the end fades out while the beginning fades in, both by the square root of a line, as sounds without a common phase need it.
///
/// # Panics
/// If the sound has fewer than two seams of samples.
pub fn looped(mut samples: Vec<f32>, seam: usize) -> Vec<f32> {
    let length = samples.len().checked_sub(2 * seam).map(|rest| rest + seam).expect("a sound of two seams");
    let after = samples.split_off(length);
    for (i, (sample, after)) in samples.iter_mut().zip(after).enumerate() {
        // Both counts are small enough to be exact.
        let share = (i as f32 + 0.5) / seam as f32;
        *sample = *sample * share.sqrt() + after * (1.0 - share).sqrt();
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_runs_on_into_the_beginning() {
        let ramp: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let looped = looped(ramp, 100);
        assert_eq!(looped.len(), 900);
        // After the last sample comes nearly what came there before, and the fade ends without a step.
        assert!((looped[0] - 900.0).abs() < 5.0 && looped[899] == 899.0 && (looped[99] - looped[100]).abs() < 80.0, "{looped:?}");
    }
}
