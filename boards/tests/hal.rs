//! Buttons, LEDs and codec on mocks that check every transaction.

use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as Level};
use embedded_hal_mock::eh1::i2c::{Mock as I2c, Transaction as Transfer};
use embedded_hal_mock::eh1::spi::{Mock as Spi, Transaction as Clocked};
use ossicle_boards::hal::apa102::{Apa102, Rgb};
use ossicle_boards::hal::button::{Button, Event};
use ossicle_boards::hal::led::{Status, StatusLed};
use ossicle_boards::hal::wm8960::{ADDRESS, Boost, Clocks, Settings, Wm8960};

/// Events of a button whose pin reads `levels` (`_` is pressed) every 10 ms, with the time each came.
fn events(levels: &str, start_ms: u32) -> Vec<(u32, Event)> {
    let state = |c| if c == '_' { State::Low } else { State::High };
    let reads: Vec<_> = levels.chars().map(|c| Level::get(state(c))).collect();
    let mut button = Button::new(Pin::new(&reads), start_ms);
    let mut events = Vec::new();
    for i in 0..levels.len() as u32 {
        events.extend(button.poll(start_ms.wrapping_add(10 * i)).unwrap().map(|event| (10 * i, event)));
    }
    button.release().done();
    events
}

#[test]
fn a_press_is_told_once_it_has_settled() {
    assert_eq!(events("---____---", 0), [(50, Event::Pressed), (90, Event::Released { after_ms: 40 })]);
    // The clock wraps in the middle of it.
    assert_eq!(events("---____---", u32::MAX - 45), [(50, Event::Pressed), (90, Event::Released { after_ms: 40 })]);
    assert!(events("----------", 0).is_empty());
}

#[test]
fn bounces_and_spikes_are_none() {
    assert!(events("-_-_-__-_--", 0).is_empty());
    // Bouncing at either end is part of one press, which lasts from the last bounce down to the last one up.
    assert_eq!(events("-_-____-_----", 0), [(50, Event::Pressed), (110, Event::Released { after_ms: 60 })]);
}

#[test]
fn a_long_press_is_held_once() {
    let levels = format!("-{}----", "_".repeat(100));
    assert_eq!(events(&levels, 0), [(30, Event::Pressed), (610, Event::Held), (1030, Event::Released { after_ms: 1000 })]);
}

#[test]
fn the_led_is_written_only_when_it_changes() {
    let writes = [State::Low, State::High, State::Low, State::High, State::Low].map(Level::set);
    let mut led = StatusLed::new(Pin::new(&writes)).unwrap();
    led.show(Status::Working, 1000).unwrap();
    for now in (1000..1700).step_by(10) {
        led.tick(now).unwrap();
        // The same status again does not start its pattern over.
        led.show(Status::Working, now).unwrap();
    }
    led.show(Status::Off, 1700).unwrap();
    led.release().done();
}

#[test]
fn patterns_repeat() {
    let on = |status: Status, times: &[u32]| times.iter().map(|&ms| status.is_on(ms)).collect::<Vec<_>>();
    assert_eq!(on(Status::Ready, &[0, 49, 50, 1999, 2000, 2050]), [true, true, false, false, true, false]);
    assert_eq!(on(Status::Failed, &[0, 100, 200, 300, 400, 500, 1199, 1200]), [true, false, true, false, true, false, false, true]);
    assert_eq!((on(Status::Listening, &[0, u32::MAX]), on(Status::Off, &[0, u32::MAX])), (vec![true; 2], vec![false; 2]));
}

#[test]
fn colours_are_one_transaction() {
    let frame = |bytes: &[u8]| {
        let (start, end) = (vec![0; 4], vec![0; 8]);
        let writes = [start, bytes.to_vec(), end].map(Clocked::write_vec);
        [vec![Clocked::transaction_start()], writes.to_vec(), vec![Clocked::transaction_end()]].concat()
    };
    let lit = frame(&[0xe4, 3, 2, 1, 0xe4, 6, 5, 4, 0xe4, 0, 0, 255]);
    let dark = frame(&[0xe4, 0, 0, 0, 0xe4, 0, 0, 0, 0xe4, 0, 0, 0]);
    let mut leds = Apa102::<_, 3>::new(Spi::new(&[lit, dark].concat()), 4);
    let colour = |red, green, blue| Rgb { red, green, blue };
    leds.show(&[colour(1, 2, 3), colour(4, 5, 6), colour(255, 0, 0)]).unwrap();
    leds.off().unwrap();
    leds.release().done();
    // No more than five bits of brightness, or the frame would not begin with ones.
    let mut bright = Apa102::<_, 1>::new(Spi::new(&frame(&[0xff, 0, 0, 9])), 200);
    bright.show(&[colour(9, 0, 0)]).unwrap();
    bright.release().done();
}

/// A register of nine bits, as it goes over the bus.
fn register(register: u8, value: u16) -> Transfer {
    Transfer::write(ADDRESS, vec![register << 1 | (value >> 8) as u8, value as u8])
}

#[test]
fn the_codec_is_set_up_for_16_khz() {
    let expected = [
        register(0x0f, 0),
        register(0x19, 0x0c0),
        register(0x34, 0x038),
        register(0x35, 0x31),
        register(0x36, 0x26),
        register(0x37, 0xe8),
        register(0x1a, 0x001),
        register(0x04, 0x0dd),
        register(0x08, 0x1c9),
        register(0x18, 0x004),
        register(0x07, 0x042),
        register(0x20, 0x128),
        register(0x21, 0x128),
        register(0x2f, 0x030),
        register(0x19, 0x0fe),
        register(0x00, 0x117),
        register(0x01, 0x117),
        register(0x15, 0x1c3),
        register(0x16, 0x1c3),
        // And off.
        register(0x2f, 0),
        register(0x1a, 0),
        register(0x19, 0),
    ];
    let mut codec = Wm8960::new(I2c::new(&expected));
    codec.start(&Settings::default(), &mut NoopDelay::new()).unwrap();
    codec.stop().unwrap();
    codec.release().done();
}

#[test]
fn settings_reach_their_registers_and_errors_the_caller() {
    let failing = Transfer::write(ADDRESS, vec![0x0f << 1, 0]).with_error(embedded_hal::i2c::ErrorKind::Bus);
    let mut codec = Wm8960::new(I2c::new(&[failing]));
    assert_eq!(codec.start(&Settings::default(), &mut NoopDelay::new()), Err(embedded_hal::i2c::ErrorKind::Bus));
    codec.release().done();

    let default = |n: usize| {
        let values: [(u8, u16); 19] = [
            (0x0f, 0),
            (0x19, 0xc0),
            (0x34, 0x38),
            (0x35, 0x31),
            (0x36, 0x26),
            (0x37, 0xe8),
            (0x1a, 1),
            (0x04, 0xdd),
            (0x08, 0x1c9),
            (0x18, 0x04),
            (0x07, 0x02),
            (0x20, 0x138),
            (0x21, 0x138),
            (0x2f, 0x30),
            (0x19, 0xfe),
            (0x00, 0x13f),
            (0x01, 0x13f),
            (0x15, 0x1c3),
            (0x16, 0x1c3),
        ];
        register(values[n].0, values[n].1)
    };
    let mut codec = Wm8960::new(I2c::new(&(0..19).map(default).collect::<Vec<_>>()));
    let loud = Settings { clocks: Clocks::Host, boost: Boost::Db29, volume: 200 };
    codec.start(&loud, &mut NoopDelay::new()).unwrap();
    codec.release().done();
}
