//! Parts of voice boards over the traits of embedded-hal 1.0: a push-to-talk button, a status LED, colour LEDs, a codec.
//!
//! Nothing here needs the standard library, allocates, sleeps by itself or keeps time: callers say what time it is. On Linux, where the
//! kernel's sound driver usually sets up the codec, the feature `linux` opens real pins and buses.

pub mod apa102;
pub mod button;
pub mod led;
pub mod wm8960;
