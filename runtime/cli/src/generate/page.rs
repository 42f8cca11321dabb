//! The page of a run.

use anyhow::Result;

use super::output::OutputArgs;
use crate::fault::Fault;

/// Longest that a page's sounds may be together: they are kept in memory, and the page holds them all.
#[cfg(feature = "plot")]
const MOST_SECONDS: f64 = 1200.0;

/// Sounds for a page, if one is wanted.
#[derive(Default)]
pub(super) struct Page {
    #[cfg(feature = "plot")]
    file: Option<std::path::PathBuf>,
    #[cfg(feature = "plot")]
    sounds: Vec<ossicle_plot::Sound>,
}

#[cfg(feature = "plot")]
impl Page {
    /// For sounds of so many seconds in all.
    pub(super) fn new(output: &OutputArgs, seconds: f64) -> Result<Self, Fault> {
        match &output.page {
            Some(_) if seconds > MOST_SECONDS => {
                Err(Fault::line(format!("{seconds:.0} s of sounds: a page has room for {MOST_SECONDS}: make fewer, or leave --page out")))
            }
            file => Ok(Self { file: file.clone(), sounds: vec![] }),
        }
    }

    /// Whether samples have to be kept.
    pub(super) fn is_wanted(&self) -> bool {
        self.file.is_some()
    }

    /// Takes a sound.
    pub(super) fn add(&mut self, text: &str, seed: u64, samples: Vec<f32>) {
        if self.is_wanted() {
            self.sounds.push(ossicle_plot::Sound { text: text.to_owned(), seed, samples });
        }
    }

    /// Writes the page.
    pub(super) fn write(&self, rate: u32) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut page = vec![];
        ossicle_plot::write_sounds(&self.sounds, rate, &mut page)?;
        std::fs::write(file, page).map_err(|error| Fault::new(error, file.display(), "give another file with --page").into())
    }
}

#[cfg(not(feature = "plot"))]
impl Page {
    /// There are no pages in this build.
    pub(super) fn new(_: &OutputArgs, _: f64) -> Result<Self, Fault> {
        Ok(Self::default())
    }

    /// Never.
    pub(super) fn is_wanted(&self) -> bool {
        false
    }

    /// Takes nothing.
    pub(super) fn add(&mut self, _: &str, _: u64, _: Vec<f32>) {}

    /// Writes nothing.
    pub(super) fn write(&self, _: u32) -> Result<()> {
        Ok(())
    }
}
