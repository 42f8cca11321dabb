//! What becomes of an image before a network sees it.

use serde::{Deserialize, Serialize};

use super::Image;
use super::resize::resize;

/// Height, width and channels of what a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Rows of an image, frames or bands of a recording.
    pub height: usize,
    /// Columns of an image, bands or frames of a recording.
    pub width: usize,
    /// Colours of an image, 1 for a recording.
    pub channels: usize,
}

/// How images are resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Resample {
    /// Pillow's number 2.
    Bilinear,
    /// Pillow's number 3.
    Bicubic,
}

impl TryFrom<u8> for Resample {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            2 => Ok(Self::Bilinear),
            3 => Ok(Self::Bicubic),
            _ => Err(format!("resample {number}: 2 (bilinear) and 3 (bicubic) are possible")),
        }
    }
}

impl From<Resample> for u8 {
    fn from(resample: Resample) -> Self {
        if resample == Resample::Bilinear { 2 } else { 3 }
    }
}

/// Resizing, cropping and scaling: `(pixel * rescale_factor - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pixels {
    /// The shorter side is brought to this before the middle is cut out; without, the whole image is brought to the network's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Cuts the network's size out of the middle.
    #[serde(default)]
    pub do_center_crop: bool,
    /// Bilinear unless told otherwise.
    #[serde(default = "bilinear")]
    pub resample: Resample,
    /// Usually 1 / 255.
    pub rescale_factor: f32,
    /// Of red, green and blue, or one for all.
    pub image_mean: Vec<f32>,
    /// The same.
    pub image_std: Vec<f32>,
}

/// A size before cropping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// The sides keep their ratio.
    Shortest {
        /// The shorter one.
        shortest_edge: usize,
    },
    /// They do not.
    Sides {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

fn bilinear() -> Resample {
    Resample::Bilinear
}

impl Pixels {
    /// A byte of colour `c` as the network reads it.
    pub(super) fn scaled(&self, byte: f32, c: usize) -> f32 {
        let of = |values: &[f32]| values[if values.len() == 1 { 0 } else { c }];
        (byte * self.rescale_factor - of(&self.image_mean)) / of(&self.image_std)
    }

    /// An image as the network reads it, `[height][width][channels]`.
    pub fn apply(&self, image: &Image, target: Target) -> Vec<f32> {
        let Target { height, width, channels } = target;
        let (rows, columns) = match self.size {
            Some(Size::Shortest { shortest_edge: side }) => {
                let (short, long) = (image.width().min(image.height()), image.width().max(image.height()));
                let scaled = (side as u64 * long as u64 / short as u64) as usize;
                if image.height() <= image.width() { (side, scaled) } else { (scaled, side) }
            }
            Some(Size::Sides { height, width }) => (height, width),
            None => (height, width),
        };
        let (top, left) = ((rows - height) / 2, (columns - width) / 2);
        let middle = resize(image, (columns, rows), (left..left + width, top..top + height), self.resample);
        let mut out = Vec::with_capacity(height * width * channels);
        for &[r, g, b] in middle.as_chunks::<3>().0 {
            if channels == 1 {
                // Luma of ITU-R 601-2, in Pillow's whole numbers.
                let luma = (u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16;
                out.push(self.scaled(luma as f32, 0));
            } else {
                out.extend([r, g, b].iter().enumerate().map(|(c, &byte)| self.scaled(f32::from(byte), c)));
            }
        }
        out
    }
}
