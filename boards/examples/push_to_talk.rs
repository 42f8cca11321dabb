//! Lights the ReSpeaker 2-Mics HAT on a Raspberry Pi while its button is down:
//! `cargo run -p ossicle-boards --features linux --example push_to_talk [GPIO CHIP]`. The header's chip is /dev/gpiochip0, on a Raspberry Pi 5
//! with an early kernel /dev/gpiochip4.

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ossicle_boards::hal::apa102::Rgb;
use ossicle_boards::hal::button::{Button, Event};
use ossicle_boards::{catalog, linux};

fn main() -> Result<(), Box<dyn Error>> {
    let hat = catalog::hat("respeaker-2mic")?;
    let (leds, line) = hat.leds.zip(hat.button_gpio).ok_or("the board has LEDs and a button")?;
    let clock = Instant::now();
    let now = || clock.elapsed().as_millis() as u32;
    let chip = std::env::args().nth(1).unwrap_or_else(|| "/dev/gpiochip0".to_owned());
    let mut button = Button::new(linux::input(Path::new(&chip), line)?, now());
    let mut lights = linux::apa102::<3>(Path::new(&leds.spi), 4)?;
    lights.off()?;
    loop {
        match button.poll(now())? {
            Some(Event::Pressed) => lights.show(&[Rgb { red: 0, green: 255, blue: 0 }; 3])?,
            Some(Event::Held) => lights.show(&[Rgb { red: 0, green: 0, blue: 255 }; 3])?,
            Some(Event::Released { after_ms }) => {
                println!("{after_ms} ms");
                lights.off()?;
            }
            None => {}
        }
        thread::sleep(Duration::from_millis(5));
    }
}
