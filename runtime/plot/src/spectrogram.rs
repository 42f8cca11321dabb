//! Columns of mel bands as colours.

use ossicle_frontend::yamnet::BINS;

use crate::figure::Timed;

/// Decibels between the darkest and the brightest colour.
pub(crate) const RANGE_DB: f32 = 70.0;

/// Decibels of a band beside a tone of full scale: the bands hold `ln(magnitude + 0.001)`, and such a tone has a magnitude of 100 (half of what
/// the window's 400 samples sum up to).
pub(crate) fn decibels(band: f32) -> f32 {
    (band - 100f32.ln()) * (20.0 / std::f32::consts::LN_10)
}

/// A spectrogram of `width` x `height` pixels over `seconds`.
pub(crate) struct Spectrogram<'a> {
    bands: &'a Timed,
    seconds: f64,
    /// The brightest colour's decibels.
    pub(crate) top: f32,
    /// First and last column of each pixel from left to right.
    spans: Vec<(usize, usize)>,
    height: usize,
}

impl<'a> Spectrogram<'a> {
    pub(crate) fn new(bands: &'a Timed, seconds: f64, width: usize, height: usize) -> Self {
        let columns = bands.columns.columns();
        let loudest = (0..columns).flat_map(|column| bands.columns.column(column)).fold(f32::MIN, |a, &b| a.max(b));
        let mut spectrogram = Self { bands, seconds, top: decibels(loudest).max(RANGE_DB - 100.0), spans: vec![], height };
        spectrogram.spans = (0..width).map(|x| spectrogram.span(x, width)).collect();
        spectrogram
    }

    /// The columns under pixel `x`, at least one.
    fn span(&self, x: usize, width: usize) -> (usize, usize) {
        let columns = self.bands.columns.columns();
        let step = self.bands.step * self.bands.columns.rows_per_column() as f64;
        let column = |x: usize| ((x as f64 / width as f64 * self.seconds - self.bands.start) / step).max(0.0);
        let first = (column(x) as usize).min(columns - 1);
        // A column belongs to a pixel if most of it does.
        (first, ((column(x + 1) - 0.5) as usize).clamp(first, columns - 1))
    }

    /// The colour of a pixel; `y` 0 is the highest frequency.
    pub(crate) fn color(&self, x: usize, y: usize) -> [u8; 3] {
        let (first, last) = self.spans[x];
        // Between the middles of two bands.
        let band = ((self.height - 1 - y) as f32 + 0.5) / self.height as f32 * BINS as f32 - 0.5;
        let low = (band.max(0.0) as usize).min(BINS - 1);
        let (high, part) = ((low + 1).min(BINS - 1), (band - low as f32).clamp(0.0, 1.0));
        let value = |column: usize| {
            let bands = self.bands.columns.column(column);
            bands[low] + (bands[high] - bands[low]) * part
        };
        let loudest = (first..=last).map(value).fold(f32::MIN, f32::max);
        shade((decibels(loudest) - self.top) / RANGE_DB + 1.0)
    }
}

/// The colour of a part of the range; perceptually even.
pub(crate) fn shade(part: f32) -> [u8; 3] {
    let color = colorous::INFERNO.eval_continuous(f64::from(part.clamp(0.0, 1.0)));
    [color.r, color.g, color.b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooled::Pooled;

    #[test]
    fn a_loud_band_is_bright_where_it_is() {
        let mut columns = Pooled::new(BINS, 100);
        for row in 0..100 {
            let mut bands = [0.001f32.ln(); BINS];
            bands[48] = if (50..60).contains(&row) { 100f32.ln() } else { bands[48] };
            columns.push(&bands);
        }
        let bands = Timed { start: 0.0, step: 0.01, columns };
        for (width, height) in [(100, 64), (1000, 320), (25, 64)] {
            let picture = Spectrogram::new(&bands, 1.0, width, height);
            let y = height - 1 - (48 * height / BINS + height / BINS / 2);
            assert_eq!(picture.color(width * 55 / 100, y), shade(1.0), "{width} pixels");
            for (x, y) in
                [(width * 45 / 100, y), (width * 65 / 100, y), (width * 55 / 100, height - 1 - y), (0, 0), (width - 1, height - 1)]
            {
                assert_eq!(picture.color(x, y), shade(0.0), "{width} pixels: {x}, {y}");
            }
            assert!(picture.top.abs() < 0.01);
        }
    }
}
