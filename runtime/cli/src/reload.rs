//! Settings that change while a command runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use ossicle::events::{Set, Settings, SettingsError};

use crate::fault;

/// How often the file's time is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A settings file, read again when it changes and on SIGHUP.
pub(crate) struct Reload {
    path: PathBuf,
    stamp: Option<Stamp>,
    looked: Instant,
    asked: Arc<AtomicBool>,
}

/// When a file was written, and how long it is: a change within the clock's grain mostly shows in its length.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The settings of `config`, a set's or a file's, or those that the model in `folder` comes with.
pub(crate) fn read(config: Option<&Path>, folder: &Path) -> Result<Settings, fault::Fault> {
    let settings = match config {
        Some(path) => Set::named(path).map_or_else(|| Settings::read(path), Set::settings),
        None => Settings::of_model(folder),
    };
    settings.map_err(|error| fault::settings(config.unwrap_or(folder), error))
}

/// The same; a file is watched.
pub(crate) fn settings(config: Option<&Path>, folder: &Path) -> Result<(Option<Reload>, Settings)> {
    match config {
        Some(path) if Set::named(path).is_none() => Reload::open(path).map(|(reload, settings)| (Some(reload), settings)),
        _ => Ok((None, read(config, folder)?)),
    }
}

impl Reload {
    /// Reads a file and watches it.
    fn open(path: &Path) -> Result<(Self, Settings)> {
        Self::open_with(path, Settings::read)
    }

    fn open_with(path: &Path, read: impl FnOnce(&Path) -> Result<Settings, SettingsError>) -> Result<(Self, Settings)> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked))?;
        // Before it is read: a change in between is then seen at the first look.
        let reload = Self { path: path.to_owned(), stamp: stamp(path), looked: Instant::now(), asked };
        let settings = read(path).map_err(|error| fault::settings(path, error))?;
        Ok((reload, settings))
    }

    /// Reads the settings again if they may have changed. Settings that cannot be used are told on stderr, and the old ones stay.
    pub(crate) fn apply(&mut self, set: impl FnOnce(&Settings) -> Result<(), SettingsError>) {
        let asked = self.asked.swap(false, Ordering::Relaxed);
        if !asked && self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let now = stamp(&self.path);
        if !asked && now == self.stamp {
            return;
        }
        self.stamp = now;
        match Settings::read(&self.path).and_then(|settings| set(&settings)) {
            Ok(()) => fault::complain(&format!("{}: read again", self.path.display())),
            Err(error) => fault::complain(&format!("{}; the old ones stay", fault::settings(&self.path, error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_while_the_file_is_read_is_not_lost() {
        let path = std::env::temp_dir().join(format!("ossicle-reload-{}.toml", std::process::id()));
        fs::write(&path, "").unwrap();
        let (mut reload, _) = Reload::open_with(&path, |path| {
            let settings = Settings::read(path);
            fs::write(path, "[default]\nthreshold = 0.5\n").unwrap();
            settings
        })
        .unwrap();
        let mut seen = 0;
        for _ in 0..2 {
            reload.looked = reload.looked.checked_sub(LOOK).unwrap();
            reload.apply(|_| {
                seen += 1;
                Ok(())
            });
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(seen, 1);
    }
}
