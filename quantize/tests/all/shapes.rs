//! Small noisy images of ten shapes, pixel by pixel those of `tests/networks/make.py`.

const SIDE: i64 = 32;

/// The linear congruential generator of Numerical Recipes.
struct Random(u32);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (i64::from(self.0 >> 16) * n) >> 16
    }
}

/// Image `index`, `[32][32][3]`, and its class.
pub(crate) fn shape(index: u32) -> (Vec<u8>, usize) {
    let mut r = Random(index.wrapping_mul(2_654_435_761).wrapping_add(12345));
    r.below(1);
    let label = r.below(10);
    let back = [(); 3].map(|()| r.below(256));
    let contrast = [(); 3].map(|()| r.below(97) + 48);
    let front: [i64; 3] = std::array::from_fn(|c| if back[c] < 128 { back[c] + contrast[c] } else { back[c] - contrast[c] });
    let (cx, cy) = (10 + r.below(13), 10 + r.below(13));
    let (s, noise) = (6 + r.below(5), 8 + r.below(40));
    let mut pixels = vec![];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (dx, dy) = (x - cx, y - cy);
            let (ax, ay, d) = (dx.abs(), dy.abs(), dx * dx + dy * dy);
            let square = ax.max(ay) <= s;
            let inside = match label {
                0 => d <= s * s,
                1 => d <= s * s && 4 * d >= s * s,
                2 => square,
                3 => square && 2 * ax.max(ay) > s,
                4 => square && ax.min(ay) * 3 <= s,
                5 => square && (ax - ay).abs() * 3 <= s,
                6 => square && 2 * ax <= dy + s,
                7 => square && 2 * ax <= s - dy,
                8 => square && (dy + s) / 3 % 2 == 0,
                _ => square && (dx + s) / 3 % 2 == 0,
            };
            for c in 0..3 {
                let value = if inside { front[c] } else { back[c] };
                let value = value + ((r.below(511) - 255) * noise).div_euclid(256);
                pixels.push(value.clamp(0, 255) as u8);
            }
        }
    }
    (pixels, label as usize)
}
