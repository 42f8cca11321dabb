//! What is in a picture: `cargo run --release --features images --example pictures [FILE [LABEL...]]`
//!
//! With labels, in these words; without, by the classes that the model was trained on.

use std::error::Error;

use ossicle::embed::Options;
use ossicle::{Classifier, Image, Labels, models};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap_or_else(|| "samples/cat.jpg".into());
    let labels: Vec<String> = args.collect();
    let words = (!labels.is_empty()).then(|| Labels::new(labels));
    let mut classifier = Classifier::open(&models::find("efficientnet-lite0")?, words.as_ref(), Options::default())?;
    let names = classifier.labels().to_vec();
    let scores = classifier.image(&Image::read(file.as_ref())?)?;
    let mut best: Vec<_> = scores.iter().zip(&names).collect();
    best.sort_by(|a, b| b.0.total_cmp(a.0));
    for (score, name) in best.into_iter().take(5) {
        println!("{score:.3}  {name}");
    }
    Ok(())
}
