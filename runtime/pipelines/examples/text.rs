//! A recording as text: `cargo run --release --example text [FILE]`

use std::error::Error;

use ossicle::{Audio, Options, TranscribeOptions, Transcriber};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "samples/kitchen.wav".into());
    let mut transcriber = Transcriber::open("whisper-tiny.en", Options::default())?;
    for segment in transcriber.segments(&mut Audio::open(file)?, &TranscribeOptions::default())? {
        let segment = segment?;
        println!("{:6.2} {:6.2}  {}", segment.start, segment.end, segment.text.trim());
    }
    Ok(())
}
