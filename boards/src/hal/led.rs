//! One LED that shows what goes on.

use embedded_hal::digital::OutputPin;

/// What there is to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing runs: dark.
    #[default]
    Off,
    /// Waiting: a short flash every two seconds.
    Ready,
    /// Recording: on.
    Listening,
    /// Transcribing: even blinking, twice a second.
    Working,
    /// Something is wrong: three short flashes, then a pause.
    Failed,
}

impl Status {
    /// On and off times in turn, in ms, beginning with on; they repeat. A single time is forever.
    fn pattern(self) -> (bool, &'static [u32]) {
        match self {
            Self::Off => (false, &[]),
            Self::Listening => (true, &[]),
            Self::Ready => (true, &[50, 1950]),
            Self::Working => (true, &[250, 250]),
            Self::Failed => (true, &[100, 100, 100, 100, 100, 700]),
        }
    }

    /// Whether the LED is on `elapsed_ms` after the status began.
    pub fn is_on(self, elapsed_ms: u32) -> bool {
        let (mut on, times) = self.pattern();
        let total: u32 = times.iter().sum();
        let Some(mut left) = elapsed_ms.checked_rem(total) else { return on };
        for &time in times {
            if left < time {
                return on;
            }
            left -= time;
            on = !on;
        }
        on
    }
}

/// An LED on a pin; lit is high.
#[derive(Debug)]
pub struct StatusLed<P> {
    pin: P,
    status: Status,
    since_ms: u32,
    lit: bool,
}

impl<P: OutputPin> StatusLed<P> {
    /// Switches the LED off.
    ///
    /// # Errors
    /// The pin's.
    pub fn new(mut pin: P) -> Result<Self, P::Error> {
        pin.set_low()?;
        Ok(Self { pin, status: Status::Off, since_ms: 0, lit: false })
    }

    /// Shows `status` from `now_ms` on; its pattern starts over only if it is a new one.
    ///
    /// # Errors
    /// The pin's.
    pub fn show(&mut self, status: Status, now_ms: u32) -> Result<(), P::Error> {
        if status != self.status {
            (self.status, self.since_ms) = (status, now_ms);
        }
        self.tick(now_ms)
    }

    /// Moves the pattern on; the pin is written only when it changes. Call it every few milliseconds.
    ///
    /// # Errors
    /// The pin's.
    pub fn tick(&mut self, now_ms: u32) -> Result<(), P::Error> {
        let lit = self.status.is_on(now_ms.wrapping_sub(self.since_ms));
        if lit == self.lit {
            return Ok(());
        }
        if lit {
            self.pin.set_high()?
        } else {
            self.pin.set_low()?
        }
        self.lit = lit;
        Ok(())
    }

    /// Gives the pin back.
    pub fn release(self) -> P {
        self.pin
    }
}
