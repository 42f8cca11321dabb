//! Noise behind speech, for measuring.

/// A recording of noise.
#[derive(Clone, Debug)]
pub struct Noise(Vec<f32>);

impl Noise {
    /// Of 16 kHz mono samples.
    pub fn new(samples: Vec<f32>) -> Self {
        Self(samples)
    }
}

/// Mixes noises into recordings, one after the other and each from where it was left.
#[derive(Clone, Debug)]
pub struct Mixer {
    noises: Vec<(Noise, usize)>,
    next: usize,
}

impl Mixer {
    /// With these noises; without any, recordings stay as they are. Those without a sound are left out.
    pub fn new(noises: Vec<Noise>) -> Self {
        let noises = noises.into_iter().filter(|noise| power(&noise.0) > 0.0).map(|noise| (noise, 0)).collect();
        Self { noises, next: 0 }
    }

    /// `samples` with noise whose power is `snr_db` below theirs, both over the whole recording.
    pub fn mix(&mut self, samples: &[f32], snr_db: f32) -> Vec<f32> {
        let count = self.noises.len();
        let Some((noise, at)) = self.noises.get_mut(self.next) else { return samples.to_vec() };
        self.next = (self.next + 1) % count;
        let piece: Vec<f32> = noise.0.iter().copied().cycle().skip(*at).take(samples.len()).collect();
        *at = (*at + samples.len()) % noise.0.len();
        let (speech, noise) = (power(samples), power(&piece));
        if speech == 0.0 || noise == 0.0 {
            return samples.to_vec();
        }
        let gain = (speech / noise / 10f64.powf(f64::from(snr_db) / 10.0)).sqrt() as f32;
        samples.iter().zip(&piece).map(|(sample, noise)| (sample + gain * noise).clamp(-1.0, 1.0)).collect()
    }
}

/// Mean square.
fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / samples.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_far_below_as_asked() {
        let tone = |n: usize, step: f32, level: f32| (0..n).map(|i| level * (i as f32 * step).sin()).collect::<Vec<f32>>();
        let speech = tone(16_000, 0.1, 0.2);
        let mut mixer = Mixer::new(vec![Noise::new(vec![0.0; 9]), Noise::new(tone(5000, 0.77, 0.9)), Noise::new(tone(40_000, 1.3, 0.01))]);
        for snr in [0.0, 6.0, 24.0, -3.0] {
            let mixed = mixer.mix(&speech, snr);
            let noise: Vec<f32> = mixed.iter().zip(&speech).map(|(mixed, speech)| mixed - speech).collect();
            let measured = 10.0 * (power(&speech) / power(&noise)).log10();
            assert!((measured - f64::from(snr)).abs() < 0.1, "{measured} {snr}");
        }
        assert_eq!(Mixer::new(vec![]).mix(&speech, 6.0), speech);
        assert!(mixer.mix(&[], 6.0).is_empty());
    }
}
