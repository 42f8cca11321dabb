//! Settings that change while a command runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use ossicle::events::{Settings, SettingsError};

use crate::fault;

/// How often the file's time is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A settings file, read again when it changes and on SIGHUP.
pub(crate) struct Reload {
    path: PathBuf,
    modified: Option<SystemTime>,
    looked: Instant,
    asked: Arc<AtomicBool>,
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

impl Reload {
    /// Watches a file that has just been read.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked))?;
        Ok(Self { path: path.to_owned(), modified: modified(path), looked: Instant::now(), asked })
    }

    /// Reads the settings again if they may have changed. Settings that cannot be used are told on stderr, and the old ones stay.
    pub(crate) fn apply(&mut self, set: impl FnOnce(&Settings) -> Result<(), SettingsError>) {
        let asked = self.asked.swap(false, Ordering::Relaxed);
        if !asked && self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let now = modified(&self.path);
        if !asked && now == self.modified {
            return;
        }
        self.modified = now;
        let place = self.path.display();
        match Settings::read(&self.path).and_then(|settings| set(&settings)) {
            Ok(()) => fault::complain(&format!("{place}: read again")),
            Err(error) => fault::complain(&format!("cannot use the settings: {place}: {error}; the old ones stay")),
        }
    }
}
