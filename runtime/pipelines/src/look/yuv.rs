//! Planes of luma and chroma as colours (ITU-R BT.601).

/// Colours of a frame whose chroma is halved both ways: luma, then blue's, then red's difference. Luma is 16 to 235 unless `full`.
///
/// `planes` holds `width * height + 2 * ceil(width / 2) * ceil(height / 2)` bytes.
pub(super) fn colours_420(planes: &[u8], width: usize, height: usize, full: bool) -> Vec<u8> {
    let (luma, chroma) = planes.split_at(width * height);
    let (half, lines) = (width.div_ceil(2), height.div_ceil(2));
    let (blue, red) = chroma.split_at(half * lines);
    let mut out = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let at = y / 2 * half + x / 2;
            out.extend(colour(luma[y * width + x], blue[at], red[at], full));
        }
    }
    out
}

/// Grey levels as colours.
pub(super) fn grey(luma: &[u8], full: bool) -> Vec<u8> {
    luma.iter().flat_map(|&y| colour(y, 128, 128, full)).collect()
}

/// In 65536ths, rounded.
fn colour(y: u8, u: u8, v: u8, full: bool) -> [u8; 3] {
    let (y, u, v) = (i32::from(y), i32::from(u) - 128, i32::from(v) - 128);
    let (luma, [rv, gu, gv, bu]) = match full {
        true => (y * 65_536, [91_881, 22_554, 46_802, 116_130]),
        false => ((y - 16) * 76_309, [104_597, 25_675, 53_279, 132_201]),
    };
    let round = |sum: i32| ((sum + 32_768) >> 16).clamp(0, 255) as u8;
    [round(luma + rv * v), round(luma - gu * u - gv * v), round(luma + bu * u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_the_primaries() {
        assert_eq!([colour(16, 128, 128, false), colour(235, 128, 128, false)], [[0; 3], [255; 3]]);
        assert_eq!([colour(0, 128, 128, true), colour(255, 128, 128, true)], [[0; 3], [255; 3]]);
        // Red, green and blue of BT.601 with limited range.
        assert_eq!(colour(81, 90, 240, false), [254, 0, 0]);
        assert_eq!(colour(145, 54, 34, false), [0, 255, 1]);
        assert_eq!(colour(41, 240, 110, false), [0, 0, 255]);
    }

    #[test]
    fn odd_sizes_share_their_last_chroma() {
        let planes = [[16, 235, 16, 235, 16, 235, 16, 235, 16].as_slice(), &[128; 8]].concat();
        let image = colours_420(&planes, 3, 3, false);
        assert_eq!(image.len(), 27);
        assert_eq!(image[..9], [0, 0, 0, 255, 255, 255, 0, 0, 0]);
    }
}
