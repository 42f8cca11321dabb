//! `preprocessor_config.json`: what becomes of an image or a recording before the network sees it, with the names of Hugging Face.

use std::path::Path;

use ossicle_frontend::yamnet::BINS;
use serde::{Deserialize, Serialize};

use super::LabelError;
use super::huggingface::{self, WANTED};
use super::pixels::{Pixels, Size, Target};

/// The file's name, in a model folder and beside an ONNX file.
const FILE: &str = "preprocessor_config.json";

/// Log-mel values lie within this distance of zero: `ln 0.001` is -7, and full scale gives less than 10.
const LOUDEST: f32 = 32.0;

/// What becomes of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Preprocessor {
    /// Of an image.
    Pixels(Pixels),
    /// Of a recording.
    Frames(Frames),
}

/// Log-mel frames, `(frame - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    /// Which.
    pub frontend: Frontend,
    /// Whether bands come before frames in the network's input.
    #[serde(default)]
    pub bands_first: bool,
    /// Taken away from every value.
    #[serde(default)]
    pub mean: f32,
    /// Every value is divided by it.
    #[serde(default = "one")]
    pub std: f32,
}

fn one() -> f32 {
    1.0
}

/// Log-mel frames that the runtime computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frontend {
    /// 16 kHz, 25 ms every 10 ms, 64 bands from 125 to 7500 Hz, `ln(magnitude + 0.001)`: [`ossicle_frontend::yamnet`].
    Yamnet,
}

impl Preprocessor {
    /// Reads the file of a folder, for a network of this input.
    ///
    /// # Errors
    /// [`LabelError::Preprocessor`] says what is missing, wrong, or does not fit the network.
    pub fn read(folder: &Path, target: Target) -> Result<Self, LabelError> {
        let path = folder.join(FILE);
        let wrong = |problem: String| LabelError::Preprocessor { path: path.clone(), problem };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(wrong(format!("missing: {WANTED}"))),
            Err(source) => return Err(LabelError::Read { path, source }),
        };
        Self::parse(&text, target).map_err(wrong)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// What is missing, wrong, or does not fit the network.
    pub fn parse(text: &[u8], target: Target) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let has = |key: &str| value.get(key).is_some();
        let parsed = if has("frontend") {
            Self::Frames(Frames::deserialize(&value).map_err(|e| e.to_string())?)
        } else if value.is_object() {
            Self::Pixels(huggingface::pixels(&value, target)?)
        } else {
            return Err(WANTED.into());
        };
        match parsed.problem(target) {
            Some(problem) => Err(problem),
            None => Ok(parsed),
        }
    }

    fn problem(&self, target: Target) -> Option<String> {
        let Target { height, width, channels } = target;
        match self {
            Self::Frames(frames) => {
                let bands = if frames.bands_first { height } else { width };
                if bands != BINS || channels != 1 {
                    return Some(format!("the network reads {height} x {width} x {channels}, the frontend gives frames of {BINS} bands"));
                }
                let fits = [-LOUDEST, LOUDEST].iter().all(|value| ((value - frames.mean) / frames.std).is_finite());
                (!fits).then(|| format!("mean {} and std {}: (frame - mean) / std is no finite number", frames.mean, frames.std))
            }
            Self::Pixels(pixels) => {
                let counted = [&pixels.image_mean, &pixels.image_std].iter().all(|of| of.len() == channels || of.len() == 1);
                if !matches!(channels, 1 | 3) {
                    return Some(format!("the network reads {channels} channels: images have 1 or 3"));
                }
                if !counted {
                    return Some(format!("image_mean and image_std: {channels} numbers each, or one"));
                }
                let scaled = (0..channels).flat_map(|c| [0.0, 255.0].map(|byte| pixels.scaled(byte, c)));
                if scaled.into_iter().any(|x| !x.is_finite()) {
                    return Some("(pixel * rescale_factor - image_mean) / image_std is no finite number for pixels from 0 to 255".into());
                }
                match pixels.size {
                    Some(Size::Shortest { shortest_edge: side })
                        if pixels.do_center_crop && (height.max(width)..=1 << 14).contains(&side) =>
                    {
                        None
                    }
                    Some(Size::Sides { height: rows, width: columns }) if pixels.do_center_crop => {
                        let fits = (height..=1 << 14).contains(&rows) && (width..=1 << 14).contains(&columns);
                        (!fits).then(|| format!("size {rows} x {columns}: {height} x {width} cannot be cut out of it"))
                    }
                    Some(Size::Sides { height: rows, width: columns }) if (rows, columns) == (height, width) => None,
                    None if !pixels.do_center_crop => None,
                    size => Some(format!("size {size:?}, do_center_crop {}: the network reads {height} x {width}", pixels.do_center_crop)),
                }
            }
        }
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let text = match self {
            Self::Pixels(pixels) => serde_json::to_string_pretty(pixels),
            Self::Frames(frames) => serde_json::to_string_pretty(frames),
        };
        // Plain structures of numbers, which JSON can always hold once they are finite.
        format!("{}\n", text.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Image;
    use super::super::pixels::Resample;
    use super::super::resize::resize;
    use super::*;

    const TARGET: Target = Target { height: 2, width: 4, channels: 3 };

    fn pixels(more: &str) -> Result<Preprocessor, String> {
        let text = format!("{{\"rescale_factor\": 0.5, \"image_mean\": [1, 2, 3], \"image_std\": [2], \"do_resize\": true{more}}}");
        Preprocessor::parse(text.as_bytes(), TARGET)
    }

    #[test]
    fn an_image_is_scaled_cropped_and_normalised() {
        let Ok(Preprocessor::Pixels(whole)) = pixels("") else { panic!("pixels") };
        let image = Image::new(4, (0..24).collect()).unwrap();
        let values = whole.apply(&image, TARGET);
        assert_eq!(values[..4], [(0.0 - 1.0) / 2.0, (0.5 - 2.0) / 2.0, (1.0 - 3.0) / 2.0, (1.5 - 1.0) / 2.0]);
        // The shorter side of 8 x 6 to 4, and the middle of what is left.
        let Ok(Preprocessor::Pixels(cropped)) = pixels(", \"size\": {\"shortest_edge\": 4}, \"do_center_crop\": true") else {
            panic!("crop")
        };
        let image = Image::new(8, (0..144).collect()).unwrap();
        let resized = resize(&image, (5, 4), (0..5, 0..4), Resample::Bilinear);
        let expected = (f32::from(resized[3 * 5]) * 0.5 - 1.0) / 2.0;
        assert_eq!(cropped.apply(&image, TARGET)[0], expected);
        // However thin an image is, and however large what the middle is cut out of.
        let thin = Image::new(1, vec![9; 3 * 32_768]).unwrap();
        assert_eq!(cropped.apply(&thin, TARGET)[..2], [(4.5 - 1.0) / 2.0, (4.5 - 2.0) / 2.0]);
        let Ok(Preprocessor::Pixels(large)) = pixels(", \"size\": {\"height\": 16384, \"width\": 16384}, \"do_center_crop\": true") else {
            panic!("large")
        };
        assert_eq!(large.apply(&thin, TARGET), cropped.apply(&thin, TARGET));
        let Ok(Preprocessor::Pixels(grey)) =
            Preprocessor::parse(b"{\"rescale_factor\": 1, \"image_mean\": [0], \"image_std\": [1]}", Target { channels: 1, ..TARGET })
        else {
            panic!("grey")
        };
        assert_eq!(grey.apply(&Image::new(4, [10, 200, 30].repeat(8)).unwrap(), Target { channels: 1, ..TARGET }), [124.0; 8]);
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_told() {
        let line = |text: &str, target| Preprocessor::parse(text.as_bytes(), target).unwrap_err();
        assert!(line("{}", TARGET).contains("give image_mean"));
        // Each figure finite, the values not.
        for figures in [
            "3e38, \"image_mean\": [0], \"image_std\": [1]",
            "1, \"image_mean\": [0], \"image_std\": [1e-44, 1, 1]",
            "1, \"image_mean\": [1], \"image_std\": [0]",
        ] {
            assert!(line(&format!("{{\"rescale_factor\": {figures}}}"), TARGET).contains("no finite number"), "{figures}");
        }
        let frames = Target { height: 96, width: 64, channels: 1 };
        assert!(line("{\"frontend\": \"yamnet\", \"std\": 1e-44}", frames).contains("no finite number"));
        assert!(line("{\"frontend\": \"yamnet\", \"std\": 0}", frames).contains("no finite number"));
        assert!(line("[]", TARGET).contains("give image_mean"));
        assert!(line("{\"frontend\": \"mfcc\"}", TARGET).contains("mfcc"));
        assert!(line("{\"frontend\": \"yamnet\"}", TARGET).contains("frames of 64 bands"));
        assert!(Preprocessor::parse(b"{\"frontend\": \"yamnet\"}", Target { height: 96, width: 64, channels: 1 }).is_ok());
        assert!(pixels(", \"resample\": 1").unwrap_err().contains("resample 1"));
        assert!(pixels(", \"do_center_crop\": true").unwrap_err().contains("do_center_crop true"));
        assert!(pixels(", \"size\": {\"shortest_edge\": 3}, \"do_center_crop\": true").unwrap_err().contains("the network reads 2 x 4"));
        assert!(pixels(", \"size\": {\"height\": 9, \"width\": 9}").unwrap_err().contains("the network reads 2 x 4"));
        let Ok(read) = pixels(", \"size\": {\"height\": 2, \"width\": 4}") else { panic!("sides") };
        assert_eq!(Preprocessor::parse(read.to_json().as_bytes(), TARGET), Ok(read));
    }
}
