//! Where sounds go.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::MOST;
use crate::fault::Fault;

/// Files of one run.
#[derive(clap::Args)]
pub(super) struct OutputArgs {
    /// File to write: .wav, .flac, or raw samples as .raw or .pcm; - is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "output_dir")]
    output: Option<PathBuf>,
    /// Folder for 1.wav, 2.wav and so on, in the order of the texts; for 1-seed0.wav and so on with --seeds
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Write an HTML page too, on which all sounds stand next to each other
    #[cfg(feature = "plot")]
    #[arg(long, value_name = "FILE")]
    pub(super) page: Option<PathBuf>,
}

/// One sound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    /// Which description.
    pub(super) text: usize,
    /// The seed.
    pub(super) seed: u64,
    /// Where it goes.
    pub(super) file: PathBuf,
}

impl OutputArgs {
    /// What is to be made of these descriptions, one after the other.
    pub(super) fn jobs(&self, texts: &[String], seed: u64, seeds: u64) -> Result<Vec<Job>> {
        let count = texts.len() as u64 * seeds;
        if count > MOST as u64 {
            return Err(Fault::line(format!("{count} sounds: at most {MOST} are possible at a time")).into());
        }
        let Some(last) = seed.checked_add(seeds - 1) else {
            return Err(Fault::line(format!("{seeds} seeds from {seed} on: there are none above {}", u64::MAX)).into());
        };
        let all = || (0..texts.len()).flat_map(|text| (seed..=last).map(move |seed| (text, seed)));
        let name = |text: usize, seed| if seeds == 1 { format!("{}.wav", text + 1) } else { format!("{}-seed{seed}.wav", text + 1) };
        match (&self.output, &self.output_dir) {
            (Some(file), _) if count == 1 => Ok(vec![Job { text: 0, seed, file: file.clone() }]),
            (Some(_), _) => Err(Fault::line(format!("-o takes one sound, there are {count}: give --output-dir")).into()),
            (None, Some(folder)) => Ok(all().map(|(text, seed)| Job { text, seed, file: folder.join(name(text, seed)) }).collect()),
            (None, None) => Err(Fault::line("nowhere to write to: give -o FILE.wav, or --output-dir FOLDER").into()),
        }
    }

    /// Makes the folder.
    pub(super) fn make_folder(&self) -> Result<(), Fault> {
        let make =
            |folder: &Path| std::fs::create_dir_all(folder).map_err(|error| Fault::new(error, folder.display(), "give another folder"));
        self.output_dir.as_deref().map_or(Ok(()), make)
    }
}
