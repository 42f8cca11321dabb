//! A chain of APA102 colour LEDs on SPI, as on the ReSpeaker boards.

use embedded_hal::spi::{Operation, SpiDevice};

/// A colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

/// Most LEDs of a chain: the 32 clocks of the end frame push the last colour through twice as many.
const MOST: usize = 64;

/// `N` LEDs, at most 64.
#[derive(Debug)]
pub struct Apa102<S, const N: usize> {
    spi: S,
    /// Of 31.
    brightness: u8,
}

impl<S: SpiDevice, const N: usize> Apa102<S, N> {
    /// LEDs of a brightness from 0 to 31; more counts as 31. Their current, at 31 up to 60 mA each, scales with it.
    pub fn new(spi: S, brightness: u8) -> Self {
        const { assert!(N <= MOST) }
        Self { spi, brightness: brightness.min(31) }
    }

    /// Shows a colour on each LED, the nearest first.
    ///
    /// # Errors
    /// The bus's.
    pub fn show(&mut self, colours: &[Rgb; N]) -> Result<(), S::Error> {
        // Three ones lead the brightness; the colours follow in the order blue, green, red.
        let frames = colours.map(|Rgb { red, green, blue }| [0b1110_0000 | self.brightness, blue, green, red]);
        // 32 clocks push the colours through the chain. SK9822, a common stand-in, takes them over when it sees 32 zeros, which take
        // as many clocks again to reach the last one.
        self.spi.transaction(&mut [Operation::Write(&[0; 4]), Operation::Write(frames.as_flattened()), Operation::Write(&[0; 8])])
    }

    /// Switches all off.
    ///
    /// # Errors
    /// The bus's.
    pub fn off(&mut self) -> Result<(), S::Error> {
        self.show(&[Rgb::default(); N])
    }

    /// Gives the bus back.
    pub fn release(self) -> S {
        self.spi
    }
}
