//! Where the sound comes from: raw samples on stdin, a recording, or the microphone.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use ossicle::audio::{AudioReader, Encoding, Pcm};
use ossicle_kernels::simd::Isa;

use super::sound::{Recorded, Sound};
use crate::fault::{self, Fault};

/// What to listen to.
#[derive(clap::Args)]
pub(crate) struct SourceArgs {
    #[cfg_attr(feature = "microphone", doc = "- for raw samples on standard input, or a recording [default: the microphone]")]
    #[cfg_attr(not(feature = "microphone"), doc = "- for raw samples on standard input, or a recording")]
    #[arg(value_name = "-|FILE")]
    input: Option<PathBuf>,
    /// Rate of raw samples
    #[arg(long, value_name = "HZ", default_value_t = ossicle::audio::SAMPLE_RATE)]
    rate: u32,
    /// Channels of raw samples, averaged
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=ossicle::audio::MAX_CHANNELS as i64))]
    channels: u16,
    /// Encoding of raw samples, little-endian
    #[arg(long, value_enum, default_value = "s16le")]
    format: FormatName,
    /// Microphone, as --list-devices names it [default: the system's]
    #[cfg(feature = "microphone")]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    device: Option<String>,
    /// List the microphones, and end
    #[cfg(feature = "microphone")]
    #[arg(long)]
    list_devices: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    S16le,
    F32le,
}

impl SourceArgs {
    /// Lists devices, if that was asked for.
    #[cfg(feature = "microphone")]
    pub(crate) fn list(&self, out: &mut dyn Write) -> Result<bool> {
        if self.list_devices {
            super::microphone::list(out)?;
        }
        Ok(self.list_devices)
    }

    /// Without microphones there is nothing to list.
    #[cfg(not(feature = "microphone"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn list(&self, _: &mut dyn Write) -> Result<bool> {
        Ok(false)
    }

    fn is_stdin(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.as_os_str() == "-")
    }

    /// Refuses what can be refused before a model is loaded.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.is_stdin() && io::stdin().is_terminal() {
            return Err(Fault::line("standard input is a terminal: -: pipe raw samples into it, as from arecord -t raw"));
        }
        match &self.input {
            None if cfg!(not(feature = "microphone")) => {
                Err(Fault::line("nothing to listen to: give - and pipe raw samples into it, or a recording (this build has no microphone)"))
            }
            _ => Ok(()),
        }
    }

    /// Opens it; waits for the first samples.
    pub(crate) fn open(&self, isa: Isa) -> Result<Sound> {
        let Some(input) = &self.input else { return self.open_microphone(isa) };
        let name = input.display().to_string();
        let reader = if self.is_stdin() {
            let encoding = match self.format {
                FormatName::S16le => Encoding::S16Le,
                FormatName::F32le => Encoding::F32Le,
            };
            AudioReader::pcm(io::stdin(), Pcm { rate: self.rate, channels: self.channels, encoding }, isa)
        } else {
            AudioReader::open_with(input, isa)
        };
        let reader = reader.map_err(|error| fault::audio(&name, &error))?;
        let (rate, damage) = (reader.info().sample_rate, Arc::default());
        let samples = Box::new(Recorded { reader, damage: Arc::clone(&damage) });
        Ok(Sound { name, rate, live: self.is_stdin(), samples, dropped: Arc::default(), damage })
    }

    #[cfg(feature = "microphone")]
    fn open_microphone(&self, isa: Isa) -> Result<Sound> {
        super::microphone::open(self.device.as_deref(), isa)
    }

    #[cfg(not(feature = "microphone"))]
    fn open_microphone(&self, _: Isa) -> Result<Sound> {
        Err(self.check().err().unwrap_or_else(|| Fault::line("this build has no microphone")).into())
    }
}
