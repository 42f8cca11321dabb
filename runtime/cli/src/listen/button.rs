//! The push-to-talk button: signals, and Enter on the terminal. What it does goes into the queue of samples at once, so that it counts from
//! where the recording was, however late that is listened to.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::thread;

use anyhow::{Context, Result};
use ossicle::listen::Queue;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::fault;

/// Signals from now on, and the terminal if there is one.
pub(crate) struct Button {
    signals: Signals,
    terminal: Option<File>,
}

impl Button {
    /// Takes SIGUSR1 for a press and SIGUSR2 for a release from now on.
    pub(crate) fn new() -> Result<Self> {
        let signals = Signals::new([SIGUSR1, SIGUSR2]).context("cannot handle signals")?;
        // Not stdin, which may be the audio.
        Ok(Self { signals, terminal: File::open("/dev/tty").ok() })
    }

    /// Marks presses and releases in `queue` until the program ends.
    pub(crate) fn attach(self, queue: &Queue) {
        let Self { mut signals, terminal } = self;
        let marks = queue.clone();
        thread::spawn(move || {
            loop {
                let came: Vec<i32> = signals.wait().collect();
                press_and_release(&marks, came.contains(&SIGUSR1), came.contains(&SIGUSR2));
            }
        });
        let Some(terminal) = terminal else { return };
        if std::io::stderr().is_terminal() {
            fault::tell("press Enter to talk, and again when done");
        }
        let marks = queue.clone();
        thread::spawn(move || {
            for _ in BufReader::new(terminal).lines().map_while(Result::ok) {
                marks.toggle();
            }
        });
    }
}

/// Signals that came together have lost their order: a button can only go up once it is down, and down once it is up.
fn press_and_release(queue: &Queue, pressed: bool, released: bool) {
    let was_up = pressed && queue.press();
    if released && queue.release() && pressed && !was_up {
        queue.press();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ossicle::listen::Popped;

    use super::*;

    #[test]
    fn signals_that_come_together_make_sense() {
        let queue = Queue::new(1);
        let mut all = String::new();
        for (pressed, released) in [(false, true), (true, true), (true, false), (true, true), (true, false), (false, true)] {
            press_and_release(&queue, pressed, released);
            while let Ok(popped @ (Popped::Pressed | Popped::Released)) = queue.pop(&mut [0.0], Duration::ZERO) {
                all.push(if matches!(popped, Popped::Pressed) { 'v' } else { '^' });
            }
            all.push(' ');
        }
        assert_eq!(all, " v^ v ^v  ^ ");
    }
}
