//! What is known about a board.

use std::path::Path;

use serde::Deserialize;

use crate::BoardError;

/// A board, as its file in `boards/profiles` describes it. The file's comments name the sources.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The maker's name for it.
    pub name: String,
    /// How `/proc/device-tree/model` begins on it; empty where there is none.
    pub models: Vec<String>,
    /// As Rust's target architecture: `aarch64` or `x86_64`.
    pub arch: String,
    /// Microphone boards that fit it: names of files in `boards/hats`.
    pub hats: Vec<String>,
    /// Its processor.
    pub cpu: Cpu,
    /// Its caches.
    pub caches: Caches,
    /// Its memory.
    pub memory: Memory,
}

/// A processor; where it has several kinds of cores, the fast ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// The core's design.
    pub core: String,
    /// `CPU implementer` of `/proc/cpuinfo`; 0 where there is none.
    pub implementer: u32,
    /// `CPU part` of `/proc/cpuinfo`; 0 where there is none.
    pub part: u32,
    /// Cores.
    pub cores: usize,
    /// Clock with all cores at work, in MHz.
    pub clock_mhz: u32,
    /// Instruction set extensions that matter, as `/proc/cpuinfo` has them.
    pub features: Vec<String>,
    /// Width of a vector register in bits.
    pub simd_bits: u32,
    /// Vector instructions of that width issued in a cycle, at best.
    pub simd_per_cycle: f64,
    /// Whether instructions run in the program's order.
    pub in_order: bool,
}

/// Caches in KiB, as one core sees them; 0 where there is none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caches {
    /// First level, data.
    pub l1d_kib: u32,
    /// Second level.
    pub l2_kib: u32,
    /// Third level.
    pub l3_kib: u32,
}

/// Memory.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Sizes that the board is sold with, in MiB, smallest first.
    pub sizes_mib: Vec<u64>,
    /// What the bus can carry, in 10^9 bytes a second.
    pub bus_gb_per_s: f64,
    /// What one core can read, in 10^9 bytes a second.
    pub stream_gb_per_s: f64,
    /// Whether that figure is an estimate and was not measured.
    pub stream_estimated: bool,
    /// What Ossicle may use, in MiB: a choice that leaves room for the system and other programs on the smallest size.
    pub budget_mib: u64,
}

impl Profile {
    /// Reads a profile; `path` is for errors.
    ///
    /// # Errors
    /// [`BoardError::Malformed`] naming the key that is missing, unknown, of a wrong type or out of range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BoardError> {
        let malformed = |problem| BoardError::Malformed { path: path.to_owned(), problem };
        let profile: Self = toml::from_str(text).map_err(|error| malformed(describe(text, &error)))?;
        match profile.problem() {
            Some((key, problem)) => Err(malformed(format!("{key} {problem}"))),
            None => Ok(profile),
        }
    }

    /// What Ossicle may use, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.memory.budget_mib << 20
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let positive = [
            ("cpu.clock_mhz", f64::from(self.cpu.clock_mhz)),
            ("cpu.cores", self.cpu.cores as f64),
            ("cpu.simd_bits", f64::from(self.cpu.simd_bits)),
            ("cpu.simd_per_cycle", self.cpu.simd_per_cycle),
            ("caches.l1d_kib", f64::from(self.caches.l1d_kib)),
            ("memory.bus_gb_per_s", self.memory.bus_gb_per_s),
            ("memory.stream_gb_per_s", self.memory.stream_gb_per_s),
            ("memory.budget_mib", self.memory.budget_mib as f64),
        ];
        if let Some((key, value)) = positive.into_iter().find(|&(_, value)| !(value > 0.0 && value.is_finite())) {
            return Some((key, format!("is {value}, should be above 0")));
        }
        if !["aarch64", "x86_64"].contains(&self.arch.as_str()) {
            return Some(("arch", format!("is {:?}, should be \"aarch64\" or \"x86_64\"", self.arch)));
        }
        let Some(&smallest) = self.memory.sizes_mib.iter().min() else {
            return Some(("memory.sizes_mib", "is empty, should list the sizes sold".into()));
        };
        if self.memory.budget_mib >= smallest {
            return Some(("memory.budget_mib", format!("is {}, should be below the smallest size, {smallest}", self.memory.budget_mib)));
        }
        if self.memory.stream_gb_per_s > self.memory.bus_gb_per_s {
            let problem = format!("is {}, more than the bus carries", self.memory.stream_gb_per_s);
            return Some(("memory.stream_gb_per_s", problem));
        }
        None
    }
}

/// A board with microphones that is plugged onto another.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hat {
    /// The maker's name for it.
    pub name: String,
    /// ALSA's identifier of its card, as in `/proc/asound/cards`.
    pub card: String,
    /// ALSA's name of the device to record from.
    pub device: String,
    /// Microphones.
    pub channels: usize,
    /// The converter, if it has to be set up.
    pub codec: Option<String>,
    /// Where the converter is on a Raspberry Pi's header.
    pub codec_i2c: Option<I2c>,
    /// LEDs, if any.
    pub leds: Option<Leds>,
    /// The button's GPIO line on a Raspberry Pi's header, if any.
    pub button_gpio: Option<u32>,
}

/// A device on an I2C bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I2c {
    /// `/dev/i2c-N`.
    pub bus: u32,
    /// Seven bits.
    pub address: u8,
}

/// A chain of LEDs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leds {
    /// `apa102`.
    pub kind: String,
    /// How many.
    pub count: usize,
    /// The SPI device.
    pub spi: String,
}

impl Hat {
    /// Reads a description; `path` is for errors.
    ///
    /// # Errors
    /// [`BoardError::Malformed`] naming the key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BoardError> {
        toml::from_str(text).map_err(|error| BoardError::Malformed { path: path.to_owned(), problem: describe(text, &error) })
    }
}

/// TOML's error as one line, with the line it is on.
pub(crate) fn describe(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            let source = text.lines().nth(line - 1).unwrap_or("").trim();
            format!("line {line} ({source}): {message}")
        }
        None => message,
    }
}
