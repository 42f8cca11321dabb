//! Sounds of a recording: `cargo run --release --example sounds [FILE]`

use std::error::Error;

use ossicle::events::{Options, Settings};
use ossicle::{Audio, Detector, models};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "samples/sounds.wav".into());
    let model = models::find("sound-events")?;
    let mut detector = Detector::open(&model, &Settings::of_model(&model)?, Options::default())?;
    for event in detector.events(&mut Audio::open(file)?) {
        let event = event?;
        println!("{:6.2} {:6.2}  {} ({:.2})", event.start, event.end, event.class, event.peak);
    }
    Ok(())
}
