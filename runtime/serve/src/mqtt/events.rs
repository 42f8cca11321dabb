//! What is heard and seen, for a broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ossicle::events::{Heard, Lasting, SOUND, SOUND_REPEAT, SOUND_START};
use rumqttc::QoS;
use serde_json::{Value, json};

use super::{Broker, MAX_WAITING, Mqtt, Sensor, greeting};

const HEARING: [Sensor; 1] = [Sensor { what: "sound", label: "Sound", key: "class", icon: "mdi:ear-hearing" }];
const SIGHT: [Sensor; 1] = [Sensor { what: "sight", label: "Sight", key: "class", icon: "mdi:eye" }];

/// What events are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Sound events.
    Hearing,
    /// What a camera sees.
    Sight,
}

impl Sense {
    fn sensors(self) -> &'static [Sensor] {
        match self {
            Self::Hearing => &HEARING,
            Self::Sight => &SIGHT,
        }
    }

    /// The topic, and what beginning, going on and ending are called, as in JSON lines.
    fn words(self) -> (&'static str, [&'static str; 3]) {
        match self {
            Self::Hearing => ("sound", [SOUND_START, SOUND_REPEAT, SOUND]),
            Self::Sight => ("sight", ["start", "repeat", "end"]),
        }
    }
}

/// A connection that tells a broker of events, when they begin and when they are over. It comes back by itself, and says good-bye,
/// within a second, when it is dropped.
pub struct Events {
    sense: Sense,
    mqtt: Mqtt,
    report: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether it was told that messages are lost.
    full: AtomicBool,
}

impl Events {
    /// Connects on a thread of its own, again and again if need be; `name` is good for topics (see [`is_name`](super::is_name)), `model` the
    /// model's; `report` hears when the connection changes and when messages are lost.
    pub fn connect(broker: &Broker, sense: Sense, name: &str, model: &str, report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let report: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(report);
        let news = Arc::clone(&report);
        let mqtt = Mqtt::greet(broker, name, greeting(name, model, sense.sensors()), None, Box::new(move |text| news(text)));
        Self { sense, mqtt, report, full: AtomicBool::new(false) }
    }

    /// Passes on what a detector tells of events, at least once each; 64 messages wait while there is no broker to tell, and more are lost.
    pub fn tell(&self, heard: &Heard<'_>) {
        let Some(message) = message(self.sense, heard) else { return };
        let lost = !self.mqtt.offer(self.sense.words().0, QoS::AtLeastOnce, &message);
        if lost && !self.full.swap(true, Ordering::Relaxed) {
            (self.report)(&format!("{MAX_WAITING} messages wait: more are lost until the broker takes them"));
        } else if !lost {
            self.full.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.mqtt.close();
    }
}

fn message(sense: Sense, heard: &Heard<'_>) -> Option<Value> {
    let (_, [start, repeat, end]) = sense.words();
    let on = |event: &str, &Lasting { class, start, at, peak }: &Lasting<'_>| json!({"event": event, "class": class, "start": start, "at": at, "peak": peak});
    match heard {
        Heard::Scores(_) => None,
        Heard::Start(lasting) => Some(on(start, lasting)),
        Heard::Repeat(lasting) => Some(on(repeat, lasting)),
        Heard::Event(over) => Some(json!({
            "event": end,
            "class": over.class,
            "start": over.start,
            "end": over.end,
            "peak": over.peak,
            "mean": over.mean,
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Mutex;

    use ossicle::events::Event;

    use super::*;

    #[test]
    fn start_and_end_have_what_a_home_wants_to_know() {
        let lasting = Lasting { class: "siren", start: 1.5, at: 2.0, peak: 0.5 };
        let start = json!({"event": "sound_start", "class": "siren", "start": 1.5, "at": 2.0, "peak": 0.5});
        assert_eq!(message(Sense::Hearing, &Heard::Start(lasting)), Some(start));
        assert_eq!(message(Sense::Hearing, &Heard::Repeat(lasting)).unwrap()["event"], "sound_repeat");
        let over = Event { class: "siren".into(), start: 1.5, end: 4.0, peak: 0.5, mean: 0.25 };
        let end = json!({"event": "sound", "class": "siren", "start": 1.5, "end": 4.0, "peak": 0.5, "mean": 0.25});
        assert_eq!(message(Sense::Hearing, &Heard::Event(over.clone())), Some(end));
        let seen = json!({"event": "end", "class": "siren", "start": 1.5, "end": 4.0, "peak": 0.5, "mean": 0.25});
        assert_eq!(message(Sense::Sight, &Heard::Event(over)), Some(seen));
        assert_eq!(message(Sense::Sight, &Heard::Start(lasting)).unwrap()["event"], "start");
    }

    #[test]
    fn what_no_broker_takes_is_told_once() {
        // A broker that says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker: Broker = format!("mqtt://127.0.0.1:{}", silent.local_addr().unwrap().port()).parse().unwrap();
        let news = Arc::new(Mutex::new(vec![]));
        let heard = Arc::clone(&news);
        let sounds = Events::connect(&broker, Sense::Hearing, "hall", "yamnet", move |text| heard.lock().unwrap().push(text.to_owned()));
        let lasting = Lasting { class: "siren", start: 1.5, at: 2.0, peak: 0.5 };
        (0..3 * MAX_WAITING).for_each(|_| sounds.tell(&Heard::Start(lasting)));
        assert_eq!(*news.lock().unwrap(), ["64 messages wait: more are lost until the broker takes them"]);
        // Once there is a broker, they come.
        let (mut stream, _) = silent.accept().unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        let (mut bytes, mut all) = ([0; 4096], String::new());
        while all.matches("sound_start").count() < MAX_WAITING / 2 {
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "{all}");
            all.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
