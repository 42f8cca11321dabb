//! Keys of Hugging Face's image processors: what this runtime does, and what it refuses to leave out in silence.

use serde::Deserialize;

use super::pixels::{Pixels, Resample, Size, Target};

/// What has to be given beside an ONNX file.
pub(super) const WANTED: &str =
    "give image_mean, image_std and rescale_factor of an image classifier, or frontend (\"yamnet\") of an audio tagger";

/// The keys that change what a network reads; null is as good as nothing.
#[derive(Deserialize)]
struct Processor {
    rescale_factor: Option<f32>,
    image_mean: Option<Vec<f32>>,
    image_std: Option<Vec<f32>>,
    resample: Option<Resample>,
    size: Option<Sides>,
    crop_size: Option<Sides>,
    crop_pct: Option<f32>,
    do_center_crop: Option<bool>,
    do_resize: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    do_pad: Option<bool>,
    do_flip_channel_order: Option<bool>,
    rescale_offset: Option<bool>,
}

/// Sides as any version of Transformers writes them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "a size is {\"shortest_edge\": 256}, {\"height\": 224, \"width\": 224} or 224")]
enum Sides {
    Square(usize),
    Named(Size),
}

impl Sides {
    fn are(self, height: usize, width: usize) -> bool {
        match self {
            Self::Square(side) | Self::Named(Size::Shortest { shortest_edge: side }) => (side, side) == (height, width),
            Self::Named(Size::Sides { height: rows, width: columns }) => (rows, columns) == (height, width),
        }
    }
}

/// What a file's text asks for, for a network of this input.
pub(super) fn pixels(value: &serde_json::Value, target: Target) -> Result<Pixels, String> {
    let Target { height, width, .. } = target;
    let file = Processor::deserialize(value).map_err(|e| e.to_string())?;
    let refused = [
        (file.do_resize == Some(false), "do_resize false: every image is resized; leave it out"),
        (file.do_flip_channel_order == Some(true), "do_flip_channel_order true: export the model for red, green and blue"),
        (file.rescale_offset == Some(true), "rescale_offset true: image_mean and image_std say the same; add 1 to each mean"),
        (file.do_pad == Some(true), "do_pad true: images are resized, not padded; give size and do_center_crop instead"),
        (file.crop_pct.is_some(), "crop_pct: give the size before cropping as {\"shortest_edge\": ...}, and do_center_crop true"),
    ];
    if let Some((_, problem)) = refused.into_iter().find(|&(asked, _)| asked) {
        return Err(problem.to_owned());
    }
    let do_center_crop = file.do_center_crop.unwrap_or(false);
    if let Some(crop) = file.crop_size.filter(|crop| do_center_crop && !crop.are(height, width)) {
        return Err(format!("crop_size {crop:?}: the network reads {height} x {width}; give that"));
    }
    let size = match file.size {
        Some(Sides::Square(side)) if do_center_crop => {
            let both = format!("{{\"shortest_edge\": {side}}} or {{\"height\": {side}, \"width\": {side}}}");
            return Err(format!("size {side} with do_center_crop: give {both}, whichever the model was trained with"));
        }
        Some(Sides::Square(side)) => Some(Size::Sides { height: side, width: side }),
        Some(Sides::Named(size)) => Some(size),
        None => None,
    };
    let rescale_factor = if file.do_rescale == Some(false) { Some(1.0) } else { file.rescale_factor };
    let normalize = file.do_normalize.unwrap_or(true);
    let (mean, std) = if normalize { (file.image_mean, file.image_std) } else { (Some(vec![0.0]), Some(vec![1.0])) };
    let (Some(rescale_factor), Some(image_mean), Some(image_std)) = (rescale_factor, mean, std) else { return Err(WANTED.into()) };
    let resample = file.resample.unwrap_or(Resample::Bilinear);
    Ok(Pixels { size, do_center_crop, resample, rescale_factor, image_mean, image_std })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Image, Preprocessor};

    const TARGET: Target = Target { height: 4, width: 4, channels: 3 };

    fn read(more: &str) -> Result<Preprocessor, String> {
        let text = format!("{{\"rescale_factor\": 0.5, \"image_mean\": [1, 2, 3], \"image_std\": [2, 4, 8]{more}}}");
        Preprocessor::parse(text.as_bytes(), TARGET)
    }

    fn first(more: &str) -> [f32; 3] {
        let Ok(Preprocessor::Pixels(pixels)) = read(more) else { panic!("{more}") };
        let values = pixels.apply(&Image::new(4, [100, 50, 20].repeat(16)).unwrap(), TARGET);
        [values[0], values[1], values[2]]
    }

    #[test]
    fn steps_that_are_left_out_are_not_done() {
        assert_eq!(first(""), [24.5, 5.75, 0.875]);
        assert_eq!(first(", \"do_rescale\": false"), [49.5, 12.0, 2.125]);
        assert_eq!(first(", \"do_normalize\": false"), [50.0, 25.0, 10.0]);
        assert_eq!(first(", \"do_normalize\": false, \"do_rescale\": false"), [100.0, 50.0, 20.0]);
        assert!(Preprocessor::parse(b"{\"do_normalize\": false, \"do_rescale\": false}", TARGET).is_ok());
        assert!(Preprocessor::parse(b"{\"do_normalize\": false}", TARGET).unwrap_err().contains("give image_mean"));
        for more in
            [", \"size\": 4", ", \"size\": null, \"do_center_crop\": null, \"resample\": null", ", \"crop_size\": 9, \"do_resize\": true"]
        {
            assert_eq!(first(more), first(""), "{more}");
        }
        let cropped = ", \"do_center_crop\": true, \"size\": {\"shortest_edge\": 5}, \"crop_size\": {\"height\": 4, \"width\": 4}";
        assert_eq!(first(cropped), first(""));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for (more, wanted) in [
            ("\"do_resize\": false", "leave it out"),
            ("\"do_flip_channel_order\": true", "red, green and blue"),
            ("\"rescale_offset\": true", "image_mean and image_std say the same"),
            ("\"do_pad\": true", "not padded"),
            ("\"crop_pct\": 0.875", "shortest_edge"),
            (
                "\"do_center_crop\": true, \"size\": {\"shortest_edge\": 9}, \"crop_size\": {\"height\": 8, \"width\": 4}",
                "the network reads 4 x 4",
            ),
            ("\"do_center_crop\": true, \"size\": 9", "{\"shortest_edge\": 9} or {\"height\": 9, \"width\": 9}"),
            ("\"size\": 9", "the network reads 4 x 4"),
            ("\"size\": \"large\"", "a size is {\"shortest_edge\": 256}"),
        ] {
            let line = read(&format!(", {more}")).unwrap_err();
            assert!(line.contains(wanted) && !line.contains('\n'), "{more}: {line}");
        }
    }
}
