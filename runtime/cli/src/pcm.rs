//! Samples that are made here, to a wav file or raw.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;
use ossicle::speak::{to_pcm, wav_header};

use crate::fault::Fault;

/// Where samples go: one channel, 16 bits.
pub(crate) enum Sink {
    /// Raw, as they come.
    Raw(Box<dyn Write>),
    /// Its header is written again once its length is known.
    Wav {
        /// The file.
        file: BufWriter<File>,
        /// Samples a second.
        rate: u32,
        /// Bytes of samples so far.
        written: u64,
    },
}

impl Sink {
    /// A file whose name ends in `.wav`, `.raw` or `.pcm`, or `-` for standard output.
    pub(crate) fn open(path: &Path, rate: u32) -> Result<Self> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(Fault::line("standard output is a terminal: give -o FILE.wav, or pipe the samples into a player").into());
            }
            return Ok(Self::Raw(Box::new(io::stdout().lock())));
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let wav = match &*extension {
            "wav" => true,
            "raw" | "pcm" => false,
            _ => return Err(Fault::new("unknown kind of file", path.display(), "give a name that ends in .wav, .raw or .pcm").into()),
        };
        let file = File::create(path).map_err(|error| Fault::new(format!("cannot write: {error}"), path.display(), "give another file"))?;
        let mut file = BufWriter::new(file);
        if !wav {
            return Ok(Self::Raw(Box::new(file)));
        }
        file.write_all(&wav_header(rate, u64::MAX))?;
        Ok(Self::Wav { file, rate, written: 0 })
    }

    /// Writes samples in -1.0..=1.0.
    pub(crate) fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(2 * samples.len());
        to_pcm(samples, &mut bytes);
        match self {
            Self::Raw(out) => {
                out.write_all(&bytes)?;
                // A player wants them now.
                out.flush()
            }
            Self::Wav { file, written, .. } => {
                *written += bytes.len() as u64;
                file.write_all(&bytes)
            }
        }
    }

    /// Writes what is left, and the length.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Raw(mut out) => out.flush(),
            Self::Wav { mut file, rate, written } => {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&wav_header(rate, written))?;
                file.flush()
            }
        }
    }
}
