//! Samples that are made here, to a wav or flac file or raw.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;
use ossicle::speak::{FlacEncoder, flac_header, to_pcm, wav_header};

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
    /// The same.
    Flac {
        /// The file.
        file: BufWriter<File>,
        /// Samples a second.
        rate: u32,
        /// Samples so far.
        written: u64,
        /// What makes frames of them.
        encoder: FlacEncoder,
    },
}

impl Sink {
    /// A file whose name ends in `.wav`, `.flac`, `.raw` or `.pcm`, or `-` for standard output.
    pub(crate) fn open(path: &Path, rate: u32) -> Result<Self> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(Fault::line("standard output is a terminal: give -o FILE.wav, or pipe the samples into a player").into());
            }
            return Ok(Self::Raw(Box::new(io::stdout().lock())));
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if !matches!(&*extension, "wav" | "flac" | "raw" | "pcm") {
            let remedy = "give a name that ends in .wav, .flac, .raw or .pcm";
            return Err(Fault::new("unknown kind of file", path.display(), remedy).into());
        }
        let file = File::create(path).map_err(|error| Fault::new(format!("cannot write: {error}"), path.display(), "give another file"))?;
        let mut file = BufWriter::new(file);
        match &*extension {
            "wav" => {
                file.write_all(&wav_header(rate, u64::MAX))?;
                Ok(Self::Wav { file, rate, written: 0 })
            }
            "flac" => {
                file.write_all(&flac_header(rate, 0))?;
                Ok(Self::Flac { file, rate, written: 0, encoder: FlacEncoder::default() })
            }
            _ => Ok(Self::Raw(Box::new(file))),
        }
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
            Self::Flac { file, written, encoder, .. } => {
                *written += samples.len() as u64;
                let mut frames = Vec::new();
                encoder.push(&bytes, &mut frames);
                file.write_all(&frames)
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
            Self::Flac { mut file, rate, written, mut encoder } => {
                let mut frames = Vec::new();
                encoder.finish(&mut frames);
                file.write_all(&frames)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&flac_header(rate, written))?;
                file.flush()
            }
        }
    }
}
