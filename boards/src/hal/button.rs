//! A push-to-talk button.

use embedded_hal::digital::InputPin;

/// What happened to a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It went down.
    Pressed,
    /// It has been down for [`HOLD_MS`]; once a press.
    Held,
    /// It went up.
    Released {
        /// How long it was down, in ms.
        after_ms: u32,
    },
}

/// A contact's level counts once it has stayed for so long, in ms: contacts bounce for 10 at most.
pub const DEBOUNCE_MS: u32 = 20;

/// A press of so long is a long one, in ms.
pub const HOLD_MS: u32 = 600;

/// A button on a pin; pressed is low, as on boards whose button closes to ground.
///
/// Poll it every few milliseconds. The clock may wrap.
#[derive(Debug)]
pub struct Button<P> {
    pin: P,
    /// As read last.
    raw: bool,
    raw_since_ms: u32,
    pressed: bool,
    pressed_since_ms: u32,
    held: bool,
}

impl<P: InputPin> Button<P> {
    /// A button that is up at `now_ms`.
    pub fn new(pin: P, now_ms: u32) -> Self {
        Self { pin, raw: false, raw_since_ms: now_ms, pressed: false, pressed_since_ms: now_ms, held: false }
    }

    /// Reads the pin; at most one event at a time.
    ///
    /// # Errors
    /// The pin's.
    pub fn poll(&mut self, now_ms: u32) -> Result<Option<Event>, P::Error> {
        let raw = self.pin.is_low()?;
        if raw != self.raw {
            self.raw = raw;
            self.raw_since_ms = now_ms;
        }
        let settled = now_ms.wrapping_sub(self.raw_since_ms) >= DEBOUNCE_MS;
        if settled && self.raw != self.pressed {
            self.pressed = self.raw;
            // The press began, or ended, when the contact first changed.
            let after_ms = self.raw_since_ms.wrapping_sub(self.pressed_since_ms);
            self.pressed_since_ms = self.raw_since_ms;
            self.held = false;
            return Ok(Some(if self.pressed { Event::Pressed } else { Event::Released { after_ms } }));
        }
        if self.pressed && !self.held && now_ms.wrapping_sub(self.pressed_since_ms) >= HOLD_MS {
            self.held = true;
            return Ok(Some(Event::Held));
        }
        Ok(None)
    }

    /// Whether the button is down.
    pub fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Gives the pin back.
    pub fn release(self) -> P {
        self.pin
    }
}
