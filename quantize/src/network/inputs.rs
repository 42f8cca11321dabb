//! Images and recordings as a network reads them, to calibrate and to compare with.

use std::path::{Path, PathBuf};

use ossicle::audio::{AudioReader, ENDINGS};
use ossicle::label::{Image, Preprocessor, Target, Windows};
use ossicle_kernels::simd::Isa;

use crate::Error;
use crate::calibration::files;

/// File name endings looked for in folders.
const IMAGES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "gif", "ppm"];

/// Up to `limit` images, or recordings' first windows, evenly spread over all files named and all below the folders named.
///
/// # Errors
/// Nothing to read, or a file that is none.
pub fn read(paths: &[PathBuf], limit: usize, preprocessor: &Preprocessor, target: Target) -> Result<Vec<Vec<f32>>, Error> {
    let refused = |path: &Path, reason: String| Error::unsupported(path, reason);
    match preprocessor {
        Preprocessor::Pixels(pixels) => {
            let image = |path: &PathBuf| {
                let bytes = crate::source::read(path)?;
                let image = Image::decode(&bytes).map_err(|problem| refused(path, problem))?;
                Ok(pixels.apply(&image, target))
            };
            files(paths, limit, "image", &IMAGES)?.iter().map(image).collect()
        }
        Preprocessor::Frames(frames) => {
            let window = |path: &PathBuf| {
                let mut reader = AudioReader::open(path).map_err(|e| refused(path, e.to_string()))?;
                let mut windows = Windows::new(frames.clone(), target, Isa::detect());
                let window = windows.next(&mut reader).map_err(|e| refused(path, e.to_string()))?;
                Ok(window.unwrap_or_default().to_vec())
            };
            files(paths, limit, "recording", &ENDINGS)?.iter().map(window).collect()
        }
    }
}
