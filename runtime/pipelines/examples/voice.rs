//! A sentence as a wav file: `cargo run --release --example voice [TEXT [FILE]]`

use std::error::Error;

use ossicle::speak::Settings;
use ossicle::{Options, Voice, models};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let text = args.next().unwrap_or_else(|| "The light is on.".into());
    let file = args.next().unwrap_or_else(|| "answer.wav".into());
    let mut voice = Voice::open(&models::find("hibari")?, Options::default())?;
    let spec =
        hound::WavSpec { channels: 1, sample_rate: voice.sample_rate(), bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(&file, spec)?;
    for samples in voice.speak(&text, Settings::default())? {
        for sample in samples? {
            writer.write_sample((sample * 32_767.0) as i16)?;
        }
    }
    writer.finalize()?;
    println!("{file}");
    Ok(())
}
