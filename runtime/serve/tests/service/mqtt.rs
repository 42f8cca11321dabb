//! Texts that a broker's clients want said, with a broker made of bytes (MQTT 3.1.1).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ossicle_serve::VoiceCard;
use serde_json::{Value, json};

use crate::client::{Service, small};
use crate::speech::{Letters, said};

/// The broker's side of a connection.
struct Broker(TcpStream);

impl Broker {
    /// Takes a client in, up to where it wants to hear of texts.
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut broker = Self(stream);
        assert_eq!(broker.packet().0 >> 4, 1, "a client connects first");
        broker.send(&[0x20, 2, 0, 0]);
        loop {
            let (kind, rest) = broker.packet();
            if kind >> 4 == 8 {
                assert_eq!(&rest[4..rest.len() - 1], b"ossicle/kitchen/say");
                broker.send(&[0x90, 3, rest[0], rest[1], 1]);
                return broker;
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// A packet of the client: its first byte, and the rest without its length (section 2.2).
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut byte = || {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            byte[0]
        };
        let (kind, mut length) = (byte(), 0);
        for shift in [0, 7, 14, 21] {
            let more = byte();
            length |= usize::from(more & 127) << shift;
            if more < 128 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).unwrap();
        (kind, rest)
    }

    /// Publishes a text, kept from before or not.
    fn say(&mut self, payload: &[u8], retained: bool) {
        let topic = b"ossicle/kitchen/say";
        let length = 2 + topic.len() + payload.len();
        let mut bytes = vec![0x30 | u8::from(retained), (length & 127) as u8 | 128, (length >> 7) as u8, 0, topic.len() as u8];
        assert!((128..1 << 14).contains(&length) || length < 128);
        if length < 128 {
            bytes = vec![0x30 | u8::from(retained), length as u8, 0, topic.len() as u8];
        }
        bytes.extend(topic);
        bytes.extend(payload);
        self.send(&bytes);
    }

    /// The next message of a topic; retained ones of the greeting are acknowledged on the way.
    fn hear(&mut self, what: &str) -> Vec<u8> {
        loop {
            let (kind, rest) = self.packet();
            if kind >> 4 != 3 {
                continue;
            }
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            let mut payload = &rest[2 + length..];
            if kind & 6 != 0 {
                self.send(&[0x40, 2, payload[0], payload[1]]);
                payload = &payload[2..];
            }
            if rest[2..2 + length] == *format!("ossicle/kitchen/{what}").as_bytes() {
                return payload.to_vec();
            }
        }
    }

    fn told(&mut self) -> Value {
        serde_json::from_slice(&self.hear("said")).unwrap()
    }
}

fn speaking(listener: &TcpListener, player: Option<ossicle_serve::mqtt::Player>) -> (Service, Arc<Mutex<Vec<String>>>) {
    let place = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let news = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&news);
    let service = Service::start(small(), |server| {
        server.speak(VoiceCard { name: "letters".into(), ..VoiceCard::hibari("") }, Box::new(Letters::default()));
        server.mqtt_speaking(&place, "kitchen", player, move |text| heard.lock().unwrap().push(text.to_owned()));
    });
    (service, news)
}

#[test]
fn texts_are_said_as_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (service, _) = speaking(&listener, None);
    let mut broker = Broker::accept(&listener);
    // What was kept by the broker is old.
    broker.say(b"old", true);
    broker.say(b"abc. de.", false);
    let wav = broker.hear("speech");
    assert_eq!((&wav[..4], &wav[44..]), (&b"RIFF"[..], &said(&["abc", "de"])[..]));
    assert_eq!(u32::from_le_bytes(*wav[40..].first_chunk().unwrap()) as usize, wav.len() - 44);
    assert_eq!(broker.told(), json!({"text": "abc. de.", "seconds": 0.0}));
    broker.say(br#"{"text": "a HUH b", "speed": 2}"#, false);
    let wav = broker.hear("speech");
    assert_eq!(wav[44..], [2, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(broker.told(), json!({"text": "a HUH b", "seconds": 0.0, "left_out": ["HUH"]}));
    for bad in [&b""[..], b"\xff\xfe", b"{", b"{}", b"\0\x1b", &[b'x'; 2001], br#"{"text": "a", "speed": 3}"#] {
        broker.say(bad, false);
        let told = broker.told();
        let error = told["error"].as_str().unwrap();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }
    service.is_well();
}

#[test]
fn texts_are_played_and_too_many_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let played = Arc::new(Mutex::new(Vec::<u8>::new()));
    let (to, gate) = (Arc::clone(&played), Arc::new(Mutex::new(())));
    let (wait, held) = (Arc::clone(&gate), gate.lock().unwrap());
    let player = Box::new(move |samples: &[u8]| {
        drop(wait.lock().unwrap());
        to.lock().unwrap().extend(samples);
        if samples == said(&["z"]) { Err(std::io::Error::other("the player is gone")) } else { Ok(()) }
    });
    let (mut service, news) = speaking(&listener, Some(player));
    let mut broker = Broker::accept(&listener);
    (0..20).for_each(|_| broker.say(b"a", false));
    // One is said, and eight wait.
    let lost = || news.lock().unwrap().iter().filter(|line| line.contains("one more is lost")).count();
    crate::client::wait_until("what is lost is told", || lost() >= 11);
    std::thread::sleep(Duration::from_millis(200));
    let all = 20 - lost();
    drop(held);
    (0..all).for_each(|_| assert_eq!(broker.told()["text"], "a"));
    assert_eq!(*played.lock().unwrap(), said(&["a"]).repeat(all));
    broker.say(b"z", false);
    assert_eq!(broker.told()["error"], "the speech cannot be played: the player is gone");
    service.end();
    assert_eq!(broker.hear("status"), b"offline");
}
