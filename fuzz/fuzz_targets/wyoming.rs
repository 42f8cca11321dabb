//! `cargo +nightly fuzz run wyoming`: any bytes as a session of the Wyoming protocol: events that survive being written again, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_serve::wyoming::audio::Format;
use ossicle_serve::wyoming::event::{Event, MAX_PAYLOAD_BYTES};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some(event)) = Event::read(&mut rest) {
        assert!(event.payload.len() <= MAX_PAYLOAD_BYTES);
        let _ = Format::of(&event.data);
        let written = event.to_bytes();
        // Data that came in the first line is written behind it, where there is more room.
        if let Ok(again) = Event::read(&mut &written[..]) {
            assert_eq!(again, Some(event));
        }
    }
});
