//! The WM8960 codec of the ReSpeaker 2-Mics Pi HAT: two microphones in, 16 kHz, 16 bits, I2S.
//!
//! Register numbers and fields are those of Cirrus Logic's data sheet (WM8960, rev 4.4). Where Linux's driver has the codec, leave it to
//! it; this is for systems without one. Written from the data sheet and tested on a mock bus only, never on a board.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

/// The codec's address on the bus.
pub const ADDRESS: u8 = 0x1a;

/// Who drives the bit and frame clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// The codec, from its crystal.
    Codec,
    /// The host.
    Host,
}

/// Amplification in front of the converter, in dB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Boost {
    Db0 = 0,
    Db13 = 1,
    Db20 = 2,
    Db29 = 3,
}

/// How to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who drives the clocks.
    pub clocks: Clocks,
    /// Microphone boost.
    pub boost: Boost,
    /// Input volume in steps of 0.75 dB: 0 is -17.25 dB, 23 is 0 dB, 63 is +30 dB; more counts as 63.
    pub volume: u8,
}

/// The codec's clocks, +20 dB, 0 dB.
impl Default for Settings {
    fn default() -> Self {
        Self { clocks: Clocks::Codec, boost: Boost::Db20, volume: 23 }
    }
}

// Registers.
const LEFT_VOLUME: u8 = 0x00;
const RIGHT_VOLUME: u8 = 0x01;
const CLOCKING_1: u8 = 0x04;
const INTERFACE: u8 = 0x07;
const CLOCKING_2: u8 = 0x08;
const RESET: u8 = 0x0f;
const LEFT_ADC_VOLUME: u8 = 0x15;
const RIGHT_ADC_VOLUME: u8 = 0x16;
const POWER_1: u8 = 0x19;
const ADDITIONAL_2: u8 = 0x18;
const POWER_2: u8 = 0x1a;
const LEFT_PATH: u8 = 0x20;
const RIGHT_PATH: u8 = 0x21;
const POWER_3: u8 = 0x2f;
const PLL_N: u8 = 0x34;
const PLL_K: [u8; 3] = [0x35, 0x36, 0x37];

/// Voltage reference and its divider.
const REFERENCE: u16 = 1 << 7 | 1 << 6;
/// Inputs, converters and microphone bias.
const CAPTURE: u16 = 1 << 5 | 1 << 4 | 1 << 3 | 1 << 2 | 1 << 1;
const PLL_ENABLE: u16 = 1;
/// Fractional, input halved, N = 8: the board's 24 MHz crystal to 98.304 MHz, of which an eighth is the system clock, 12.288 MHz.
const PLL: u16 = 1 << 5 | 1 << 4 | 8;
/// 0.192 of 2^24.
const PLL_FRACTION: u32 = 0x31_26e8;
/// Both converters at a third of 48 kHz, the PLL's output halved, clock from the PLL.
const RATE_16_KHZ: u16 = 0b011 << 6 | 0b011 << 3 | 0b10 << 1 | 1;
/// The class D amplifier's clock as after a reset; 64 bits a frame: a twelfth of the system clock.
const BIT_CLOCK: u16 = 0b111 << 6 | 0b1001;
/// The frame clock of either direction runs while one of them is on: boards wire one pin for both.
const SHARED_FRAME_CLOCK: u16 = 1 << 2;
/// 16 bits, I2S.
const I2S_16_BITS: u16 = 0b10;
const MASTER: u16 = 1 << 6;
/// Volumes take effect together.
const UPDATE: u16 = 1 << 8;
const ADC_0_DB: u16 = 0xc3;
/// The amplifier's negative input is the microphone, and it goes to the boost stage.
const MICROPHONE: u16 = 1 << 8 | 1 << 3;
const INPUT_AMPLIFIERS: u16 = 1 << 5 | 1 << 4;
/// Until the reference has settled, in ms.
const SETTLE_MS: u32 = 100;

/// The codec on a bus.
#[derive(Debug)]
pub struct Wm8960<B> {
    bus: B,
}

impl<B: I2c> Wm8960<B> {
    /// A codec at [`ADDRESS`]; nothing is written yet.
    pub fn new(bus: B) -> Self {
        Self { bus }
    }

    /// Resets the codec and sets it up for recording.
    ///
    /// # Errors
    /// The bus's; the codec may then be half set up, and may be started again.
    pub fn start(&mut self, settings: &Settings, delay: &mut impl DelayNs) -> Result<(), B::Error> {
        self.write(RESET, 0)?;
        self.write(POWER_1, REFERENCE)?;
        delay.delay_ms(SETTLE_MS);
        self.write(PLL_N, PLL)?;
        let [_, fraction @ ..] = PLL_FRACTION.to_be_bytes();
        for (register, byte) in PLL_K.into_iter().zip(fraction) {
            self.write(register, byte.into())?;
        }
        self.write(POWER_2, PLL_ENABLE)?;
        delay.delay_ms(1);
        self.write(CLOCKING_1, RATE_16_KHZ)?;
        self.write(CLOCKING_2, BIT_CLOCK)?;
        self.write(ADDITIONAL_2, SHARED_FRAME_CLOCK)?;
        self.write(INTERFACE, I2S_16_BITS | if settings.clocks == Clocks::Codec { MASTER } else { 0 })?;
        for path in [LEFT_PATH, RIGHT_PATH] {
            self.write(path, MICROPHONE | (settings.boost as u16) << 4)?;
        }
        self.write(POWER_3, INPUT_AMPLIFIERS)?;
        self.write(POWER_1, REFERENCE | CAPTURE)?;
        for volume in [LEFT_VOLUME, RIGHT_VOLUME] {
            self.write(volume, UPDATE | u16::from(settings.volume.min(63)))?;
        }
        for volume in [LEFT_ADC_VOLUME, RIGHT_ADC_VOLUME] {
            self.write(volume, UPDATE | ADC_0_DB)?;
        }
        Ok(())
    }

    /// Switches everything off.
    ///
    /// # Errors
    /// The bus's.
    pub fn stop(&mut self) -> Result<(), B::Error> {
        for power in [POWER_3, POWER_2, POWER_1] {
            self.write(power, 0)?;
        }
        Ok(())
    }

    /// Gives the bus back.
    pub fn release(self) -> B {
        self.bus
    }

    /// Seven bits of register, nine of value; the codec cannot be read.
    fn write(&mut self, register: u8, value: u16) -> Result<(), B::Error> {
        self.bus.write(ADDRESS, &[register << 1 | (value >> 8) as u8, value as u8])
    }
}
