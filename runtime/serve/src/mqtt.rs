//! What was said or heard, for an MQTT broker, and announced so that Home Assistant makes sensors of it.
//!
//! Topics, with `NAME` as the service is called:
//!
//! | topic | retained | payload |
//! |---|---|---|
//! | `ossicle/NAME/status` | yes | `online`; `offline` also as the last will |
//! | `ossicle/NAME/transcript` | no | `{"text", "language", "source"}` |
//! | `ossicle/NAME/intent` | no | `{"name", "entities", "text"}` |
//! | `ossicle/NAME/say` | no | a text for the service to say, or `{"text", "speed"}` |
//! | `ossicle/NAME/speech` | no | what is said, as wav, if it is not played |
//! | `ossicle/NAME/said` | no | `{"text", "seconds", "left_out"}` or `{"error"}` |
//! | `ossicle/NAME/sound`, `ossicle/NAME/sight` | no | `{"event", "class", "start", ...}`, of [`Events`] |
//! | `homeassistant/sensor/ossicle_NAME/SENSOR/config` | yes | MQTT discovery, <https://www.home-assistant.io/integrations/mqtt> |

mod events;
mod say;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rumqttc::{Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};

use crate::intent::Intent;

pub use events::{Events, Sense};
pub use say::Player;
pub(crate) use say::Speech;
use say::{Leaving, Texts};

/// The port of brokers without TLS.
const PORT: u16 = 1883;
/// Longest name of a service, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Messages that wait for the broker; more are dropped.
const MAX_WAITING: usize = 64;
/// Most bytes of a text; broker and readers have limits too.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// Most bytes of a packet that comes.
const MAX_PACKET_BYTES: usize = 128 << 10;
/// Most bytes of one that is sent: a minute of speech.
const MAX_SENT_BYTES: usize = 3 << 20;
/// Between two signs of life.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(5);
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest state of a Home Assistant sensor.
const MAX_STATE_CHARS: usize = 255;

/// Where a broker is: `mqtt://[USER:PASSWORD@]HOST[:PORT]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

/// A text that is no [`Broker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerError;

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give mqtt://[USER:PASSWORD@]HOST[:PORT]; TLS is not known here")
    }
}

impl std::error::Error for BrokerError {}

impl FromStr for Broker {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, BrokerError> {
        let rest = text.strip_prefix("mqtt://").ok_or(BrokerError)?.trim_end_matches('/');
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let login = match login {
            Some(login) => Some(login.split_once(':').map(|(user, password)| (user.into(), password.into())).ok_or(BrokerError)?),
            None => None,
        };
        // An IPv6 address has colons of its own, inside brackets.
        let colon = place.rfind(':').filter(|&at| !place[at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => (&place[..at], place[at + 1..].parse().map_err(|_| BrokerError)?),
            None => (place, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '?', '#']) {
            return Err(BrokerError);
        }
        Ok(Self { host: host.into(), port, login })
    }
}

/// Without the password.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A connection to a broker that comes back by itself.
pub(crate) struct Mqtt {
    client: Client,
    name: String,
    stopping: Arc<AtomicBool>,
    ended: Mutex<Receiver<()>>,
    leaving: Leaving,
}

/// Whether `name` is good for topics: small letters, digits, `_` and `-`.
pub fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(good)
}

impl Mqtt {
    /// Connects on a thread of its own, again and again if need be, to say what was said; `report` hears when that changes.
    pub(crate) fn connect(broker: &Broker, name: &str, model: &str, report: Box<dyn Fn(&str) + Send>) -> Self {
        Self::greet(broker, name, greeting(name, model, &SPEECH), None, report)
    }

    /// The same, and says what others want said: to `player`, or as messages.
    pub(crate) fn connect_speaking(
        broker: &Broker,
        name: &str,
        model: &str,
        player: Option<Player>,
        report: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> (Self, Speech) {
        let (texts, speech) = say::line(player, Arc::clone(&report));
        let mut messages = greeting(name, model, &SPEECH);
        // The status comes last.
        messages.insert(messages.len() - 1, notifier(name, model));
        (Self::greet(broker, name, messages, Some(texts), Box::new(move |news| report(news))), speech)
    }

    /// The same with these retained messages.
    fn greet(broker: &Broker, name: &str, messages: Vec<(String, String)>, texts: Option<Texts>, report: Box<dyn Fn(&str) + Send>) -> Self {
        let mut options = MqttOptions::new(format!("ossicle-{name}"), &broker.host, broker.port);
        options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(MAX_PACKET_BYTES, MAX_SENT_BYTES);
        options.set_last_will(LastWill::new(status_topic(name), "offline", QoS::AtLeastOnce, true));
        if let Some((user, password)) = &broker.login {
            options.set_credentials(user, password);
        }
        let (client, connection) = Client::new(options, MAX_WAITING);
        let stopping = Arc::new(AtomicBool::new(false));
        let (sender, ended) = mpsc::channel();
        let leaving = Leaving::default();
        let mqtt = Self {
            client: client.clone(),
            name: name.into(),
            stopping: Arc::clone(&stopping),
            ended: Mutex::new(ended),
            leaving: leaving.clone(),
        };
        let place = broker.to_string();
        let wanted = topic(name, "say");
        thread::spawn(move || {
            let talk =
                Talk { client: &client, greeting: &messages, say: texts.as_ref().map(|texts| (wanted.as_str(), texts)), leaving: &leaving };
            keep(connection, &talk, &stopping, &place, &*report);
            drop(sender);
        });
        mqtt
    }

    /// Tells what was heard; dropped while there is no broker to tell.
    pub(crate) fn transcript(&self, text: &str, language: Option<&str>, source: &str) {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        self.publish("transcript", &json!({"text": text, "language": language, "source": source}));
    }

    /// Tells what is wanted.
    pub(crate) fn intent(&self, intent: &Intent, said: &str) {
        let entities: serde_json::Map<String, Value> =
            intent.entities.iter().map(|entity| (entity.name.clone(), entity.value.clone())).collect();
        let said = &said[..said.floor_char_boundary(MAX_TEXT_BYTES)];
        self.publish("intent", &json!({"name": intent.name, "entities": entities, "text": said}));
    }

    fn publish(&self, what: &str, message: &Value) {
        // Full while the broker is away.
        self.offer(what, QoS::AtMostOnce, message);
    }

    /// Whether there is room for the message.
    fn offer(&self, what: &str, qos: QoS, message: &Value) -> bool {
        let topic = topic(&self.name, what);
        self.leaving.hand_over(|| self.client.try_publish(topic, qos, false, message.to_string())).is_ok()
    }

    /// Says good-bye, within a second.
    pub(crate) fn close(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let said = self.client.try_publish(status_topic(&self.name), QoS::AtLeastOnce, true, "offline");
        if said.and_then(|()| self.client.try_disconnect()).is_ok() {
            let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(FAREWELL);
        }
    }
}

fn topic(name: &str, what: &str) -> String {
    format!("ossicle/{name}/{what}")
}

fn status_topic(name: &str) -> String {
    topic(name, "status")
}

/// A sensor of Home Assistant.
struct Sensor {
    /// Its topic's last part.
    what: &'static str,
    label: &'static str,
    /// What of the payload is its state.
    key: &'static str,
    icon: &'static str,
}

/// What was said.
const SPEECH: [Sensor; 2] = [
    Sensor { what: "transcript", label: "Transcript", key: "text", icon: "mdi:text-recognition" },
    Sensor { what: "intent", label: "Command", key: "name", icon: "mdi:account-voice" },
];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What all entities belong to.
fn device(name: &str, model: &str) -> Value {
    let (id, shown) = (format!("ossicle_{name}"), format!("Ossicle {name}"));
    json!({"identifiers": [id], "name": shown, "manufacturer": "Ossicle", "model": model, "sw_version": VERSION})
}

/// The retained messages of a service that is there: topic and payload.
fn greeting(name: &str, model: &str, sensors: &[Sensor]) -> Vec<(String, String)> {
    let (id, device) = (format!("ossicle_{name}"), device(name, model));
    let sensor = |&Sensor { what, label, key, icon }: &Sensor| {
        let config = json!({
            "name": label,
            "unique_id": format!("{id}_{what}"),
            "state_topic": topic(name, what),
            "value_template": format!("{{{{ value_json.{key}[:{MAX_STATE_CHARS}] }}}}"),
            "json_attributes_topic": topic(name, what),
            "availability_topic": status_topic(name),
            "icon": icon,
            "device": device,
            "origin": {"name": "ossicle", "sw_version": VERSION},
        });
        (format!("homeassistant/sensor/{id}/{what}/config"), config.to_string())
    };
    sensors.iter().map(sensor).chain([(status_topic(name), "online".into())]).collect()
}

/// The message by which Home Assistant discovers that texts can be said.
fn notifier(name: &str, model: &str) -> (String, String) {
    let id = format!("ossicle_{name}");
    let config = json!({
        "name": "Say",
        "unique_id": format!("{id}_say"),
        "command_topic": topic(name, "say"),
        "availability_topic": status_topic(name),
        "icon": "mdi:bullhorn",
        "device": device(name, model),
        "origin": {"name": "ossicle", "sw_version": VERSION},
    });
    (format!("homeassistant/notify/{id}/say/config"), config.to_string())
}

/// What is said to the broker, and heard of it.
struct Talk<'a> {
    client: &'a Client,
    /// Retained messages.
    greeting: &'a [(String, String)],
    /// The topic of texts that are to be said, and where they go.
    say: Option<(&'a str, &'a Texts)>,
    leaving: &'a Leaving,
}

/// Drives the connection until the service stops.
fn keep(mut connection: Connection, talk: &Talk<'_>, stopping: &AtomicBool, place: &str, report: &dyn Fn(&str)) {
    let (mut told, mut unsaid, mut subscribed) = (false, [].iter(), true);
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                unsaid = talk.greeting.iter();
                subscribed = talk.say.is_none();
                report(&format!("connected to {place}"));
                told = false;
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                if let Some((_, texts)) = talk.say.filter(|(topic, _)| message.topic == *topic) {
                    texts.take(&message);
                }
            }
            Ok(Event::Outgoing(Outgoing::Publish(_))) => talk.leaving.left(),
            Ok(_) => {}
            Err(_) if stopping.load(Ordering::Relaxed) => return,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    report(&format!("{place}: {error}: trying again every {} s", RETRY.as_secs()));
                }
                thread::sleep(RETRY);
                continue;
            }
        }
        // A message that is sent makes room for another.
        subscribed = subscribed || talk.say.is_some_and(|(topic, _)| talk.client.try_subscribe(topic, QoS::AtLeastOnce).is_ok());
        talk.greet(&mut unsaid);
    }
}

impl Talk<'_> {
    /// Queues what is left to be said, as far as there is room: what was heard while the broker was away may have taken it all.
    fn greet(&self, unsaid: &mut std::slice::Iter<'_, (String, String)>) {
        while let Some((topic, payload)) = unsaid.as_slice().first() {
            if self.leaving.hand_over(|| self.client.try_publish(topic, QoS::AtLeastOnce, true, payload.as_str())).is_err() {
                return;
            }
            unsaid.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Reads a packet of a client that publishes (MQTT 3.1.1, sections 2.2 and 3.3): its first byte, and the rest without its length.
    fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
        let mut byte = || {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
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
        stream.read_exact(&mut rest).unwrap();
        (kind, rest)
    }

    #[test]
    fn the_greeting_waits_until_there_is_room() {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Broker { host: "127.0.0.1".into(), port: broker.local_addr().unwrap().port(), login: None };
        let mqtt = Mqtt::connect(&place, "kitchen", "tiny", Box::new(|_| {}));
        // More than waits, before the broker says a word.
        (0..2 * MAX_WAITING).for_each(|_| mqtt.transcript("heard", None, "http"));
        let (mut stream, _) = broker.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(packet(&mut stream).0 >> 4, 1, "a client connects first");
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        let (mut transcripts, mut greetings) = (0, Vec::new());
        while greetings.len() < 3 {
            let (kind, rest) = packet(&mut stream);
            assert_eq!(kind >> 4, 3, "a client that has something to say says it");
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            match String::from_utf8(rest[2..2 + length].to_vec()).unwrap() {
                topic if topic.ends_with("/transcript") => transcripts += 1,
                topic => {
                    stream.write_all(&[0x40, 2, rest[2 + length], rest[3 + length]]).unwrap();
                    greetings.push(topic);
                }
            }
        }
        let wanted: Vec<String> = greeting("kitchen", "tiny", &SPEECH).into_iter().map(|(topic, _)| topic).collect();
        assert_eq!(greetings, wanted);
        assert!((1..=MAX_WAITING).contains(&transcripts), "{transcripts}");
    }

    #[test]
    fn brokers() {
        let parsed = |text: &str| text.parse::<Broker>().map(|broker| (broker.host, broker.port, broker.login));
        let login = Some(("ada".to_owned(), "p@:ss".to_owned()));
        assert_eq!(parsed("mqtt://host"), Ok(("host".into(), 1883, None)));
        assert_eq!(parsed("mqtt://ada:p@:ss@10.0.0.1:1884/"), Ok(("10.0.0.1".into(), 1884, login)));
        assert_eq!(parsed("mqtt://[::1]:1"), Ok(("::1".into(), 1, None)));
        assert_eq!(parsed("mqtt://[::1]"), Ok(("::1".into(), 1883, None)));
        for bad in ["host", "mqtts://host", "mqtt://", "mqtt://host:port", "mqtt://ada@host", "mqtt://host/topic", "mqtt://:1883"] {
            assert_eq!(parsed(bad), Err(BrokerError), "{bad}");
        }
        let shown = format!("{0} {0:?}", "mqtt://ada:secret@host".parse::<Broker>().unwrap());
        assert_eq!(shown, "mqtt://host:1883 mqtt://host:1883");
    }

    #[test]
    fn names() {
        assert!(is_name("kitchen-2") && is_name(&"x".repeat(MAX_NAME_BYTES)));
        for bad in ["", "Kitchen", "a/b", "a b", "+", "#", "é", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn home_assistant_is_told_of_two_sensors() {
        let messages = greeting("kitchen", "tiny", &SPEECH);
        let topics: Vec<&str> = messages.iter().map(|(topic, _)| topic.as_str()).collect();
        let config = |sensor: &str| format!("homeassistant/sensor/ossicle_kitchen/{sensor}/config");
        assert_eq!(topics, [&config("transcript"), &config("intent"), "ossicle/kitchen/status"]);
        let sensor: Value = serde_json::from_str(&messages[0].1).unwrap();
        assert_eq!(sensor["state_topic"], "ossicle/kitchen/transcript");
        assert_eq!(sensor["value_template"], "{{ value_json.text[:255] }}");
        assert_eq!(sensor["availability_topic"], topics[2]);
        assert_eq!(sensor["device"]["identifiers"], json!(["ossicle_kitchen"]));
    }
}
