//! `cargo +nightly fuzz run image`: any bytes as an image: whole pixels within bounds, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle::label::Image;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = Image::decode(bytes) {
        assert_eq!(image.rgb().len(), 3 * image.width() * image.height());
        assert!(image.width() <= 1 << 15 && image.height() <= 1 << 15);
    }
});
