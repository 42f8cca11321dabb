//! Recordings named on a command line.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use ossicle::audio::{AudioError, AudioReader, SAMPLE_RATE};
use ossicle_kernels::simd::Isa;

use crate::fault::{self, Fault};

/// Opens a file, or standard input for `-`; with a rate, as signed 16-bit little-endian mono samples without a header.
pub(crate) fn open(file: &Path, raw_rate: Option<u32>, isa: Isa) -> Result<AudioReader, Fault> {
    let stdin = is_stdin(file);
    if stdin && io::stdin().is_terminal() {
        return Err(Fault::line("standard input is a terminal: -: pipe a recording into it"));
    }
    let reader = match (raw_rate, stdin) {
        (Some(rate), true) => AudioReader::raw(io::stdin(), rate, isa),
        (Some(rate), false) => File::open(file).map_err(open_error).and_then(|file| AudioReader::raw(file, rate, isa)),
        (None, true) => AudioReader::stream(io::stdin(), isa),
        (None, false) => AudioReader::open(file, isa),
    };
    reader.map_err(|error| fault::audio(&name(file), &error))
}

/// The first samples of a recording, at most `most`.
pub(crate) fn read(file: &Path, isa: Isa, most: usize) -> Result<Vec<f32>, Fault> {
    let mut reader = open(file, None, isa)?;
    let (mut samples, mut block) = (Vec::new(), vec![0.0; SAMPLE_RATE as usize]);
    while samples.len() < most {
        match reader.read(&mut block).map_err(|error| fault::audio(&name(file), &error))? {
            0 => break,
            read => samples.extend_from_slice(&block[..read]),
        }
    }
    samples.truncate(most);
    Ok(samples)
}

/// Whether this is standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// As it was named.
pub(crate) fn name(file: &Path) -> String {
    file.display().to_string()
}

fn open_error(error: io::Error) -> AudioError {
    match error.kind() {
        io::ErrorKind::NotFound => AudioError::NotFound,
        io::ErrorKind::IsADirectory => AudioError::Directory,
        _ => AudioError::Io(error),
    }
}
