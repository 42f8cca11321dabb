//! What a CLIP checkpoint's importer makes of images and texts in float, for `tests/accuracy/clip.py` to compare with Transformers:
//!
//!     clip_vectors CHECKPOINT IMAGES TEXTS
//!
//! IMAGES has a path a line, TEXTS a text a line. Writes a JSON object a line: `{"image", "pixels", "vector"}` or `{"text", "tokens", "vector"}`.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use ossicle::label::{Image, Preprocessor, Target};
use ossicle_quantize::clip::{Clip, Towers};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, images, texts] = &arguments[..] else { bail!("clip_vectors CHECKPOINT IMAGES TEXTS") };
    let clip = Clip::open(checkpoint.as_ref(), Towers::Both)?;
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let (images, texts) = (read(images)?, read(texts)?);
    let mut out = std::io::stdout().lock();
    let Some(Preprocessor::Pixels(pixels)) = clip.preprocessor() else { bail!("no images") };
    let side = clip.image_side();
    for path in images.lines() {
        let image = Image::read(Path::new(path))?;
        let pixels = pixels.apply(&image, Target { height: side, width: side, channels: 3 });
        let vector = clip.image_vectors(std::slice::from_ref(&pixels))?.remove(0);
        writeln!(out, "{}", json!({"image": path, "pixels": pixels, "vector": vector}))?;
    }
    let lines: Vec<&str> = texts.lines().collect();
    let vectors = clip.text_vectors(&lines)?;
    for (text, vector) in lines.iter().zip(vectors) {
        writeln!(out, "{}", json!({"text": text, "tokens": clip.tokens(text), "vector": vector}))?;
    }
    Ok(())
}
