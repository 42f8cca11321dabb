//! Real pins and buses on Linux: GPIO character devices, spidev and i2c-dev.

use std::fmt;
use std::path::Path;

use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use linux_embedded_hal::{CdevPin, I2cdev, SpidevDevice};

use crate::hal::apa102::Apa102;
use crate::hal::wm8960::Wm8960;

/// A device cannot be opened.
#[derive(Debug)]
pub struct OpenError {
    /// Which.
    device: String,
    reason: String,
}

impl OpenError {
    fn new(device: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { device: device.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, reason } = self;
        write!(f, "cannot open: {reason}: {device}: enable the bus and join its group (gpio, spi, i2c)")
    }
}

impl std::error::Error for OpenError {}

fn line(chip: &Path, line: u32, flags: LineRequestFlags) -> Result<CdevPin, OpenError> {
    let error = |reason| OpenError::new(format!("{} line {line}", chip.display()), reason);
    let request = || CdevPin::new(Chip::new(chip)?.get_line(line)?.request(flags, 0, "ossicle")?);
    request().map_err(error)
}

/// A line to read, such as a button's.
///
/// # Errors
/// If there is no such line, or somebody else has it.
pub fn input(chip: &Path, number: u32) -> Result<CdevPin, OpenError> {
    line(chip, number, LineRequestFlags::INPUT)
}

/// A line to write, such as an LED's, low at first.
///
/// # Errors
/// If there is no such line, or somebody else has it.
pub fn output(chip: &Path, number: u32) -> Result<CdevPin, OpenError> {
    line(chip, number, LineRequestFlags::OUTPUT)
}

/// A bus may be set to more than LEDs on a board's wires can follow.
const LED_HERTZ: u32 = 4_000_000;

/// LEDs on an SPI device, of a brightness from 0 to 31.
///
/// # Errors
/// If it cannot be opened.
pub fn apa102<const N: usize>(device: &Path, brightness: u8) -> Result<Apa102<SpidevDevice, N>, OpenError> {
    let mut spi = SpidevDevice::open(device).map_err(|error| OpenError::new(device.display(), error))?;
    let options = SpidevOptions::new().max_speed_hz(LED_HERTZ).mode(SpiModeFlags::SPI_MODE_0).build();
    spi.0.configure(&options).map_err(|error| OpenError::new(device.display(), error))?;
    Ok(Apa102::new(spi, brightness))
}

/// The codec on an I2C bus, such as `/dev/i2c-1`.
///
/// # Errors
/// If it cannot be opened.
pub fn wm8960(bus: &Path) -> Result<Wm8960<I2cdev>, OpenError> {
    let i2c = I2cdev::new(bus).map_err(|error| OpenError::new(bus.display(), error))?;
    Ok(Wm8960::new(i2c))
}
