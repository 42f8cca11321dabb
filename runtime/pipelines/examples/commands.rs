//! Which command was said, if any: `cargo run --release --example commands [FILE [SENTENCES]]`
//!
//! SENTENCES is a file, or a pack that comes with the library.

use std::error::Error;

use ossicle::{Audio, Commands, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap_or_else(|| "samples/lights.wav".into());
    let sentences = args.next().unwrap_or_else(|| "home".into());
    let mut commands = Commands::open("whisper-tiny.en", &sentences, Options::default())?;
    let recognition = commands.recognise(&mut Audio::open(file)?)?;
    match recognition.command {
        Some(command) => println!("{} ({:.2}): {:?}", command.text, command.confidence, command.meaning.slots),
        None => println!("no command; heard: {}", recognition.heard),
    }
    Ok(())
}
