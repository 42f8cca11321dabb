//! The push-to-talk button: signals, and Enter on the terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};

/// What was pressed since the last look.
pub(crate) struct Button {
    pressed: bool,
    down: Arc<AtomicBool>,
    up: Arc<AtomicBool>,
    /// Lines from the terminal, and how many of them were seen.
    lines: Arc<AtomicUsize>,
    seen: usize,
}

impl Button {
    /// Waits for SIGUSR1 and SIGUSR2, and for lines from the terminal if there is one.
    pub(crate) fn new() -> Result<Self> {
        let button = Self { pressed: false, down: Arc::default(), up: Arc::default(), lines: Arc::default(), seen: 0 };
        for (signal, flag) in [(signal_hook::consts::SIGUSR1, &button.down), (signal_hook::consts::SIGUSR2, &button.up)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot handle signals")?;
        }
        // Not stdin, which may be the audio.
        if let Ok(terminal) = File::open("/dev/tty") {
            if std::io::stderr().is_terminal() {
                eprintln!("press Enter to talk, and again when done");
            }
            let lines = Arc::clone(&button.lines);
            thread::spawn(move || {
                for _ in BufReader::new(terminal).lines().map_while(Result::ok) {
                    lines.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Ok(button)
    }

    /// Whether the button is now down, if that has changed. A release is never seen before its press.
    pub(crate) fn change(&mut self) -> Option<bool> {
        let lines = self.lines.load(Ordering::Relaxed);
        let toggled = lines != self.seen;
        self.seen += usize::from(toggled);
        let (signal, next) = if self.pressed { (&self.up, false) } else { (&self.down, true) };
        let changed = signal.swap(false, Ordering::Relaxed) || toggled;
        if changed {
            self.pressed = next;
        }
        changed.then_some(next)
    }
}
