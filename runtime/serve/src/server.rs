//! Listeners, connections and the model's thread.

use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ossicle::whisper::options::TranscribeOptions;

use crate::card::ModelCard;
use crate::connection::Connection;
use crate::embed::{Embedder, Embeddings};
use crate::http;
use crate::intent::Recognise;
use crate::jobs::Queue;
use crate::limits::Limits;
use crate::listen::{Address, Listener};
use crate::model::Model;
use crate::mqtt::{self, Broker, Mqtt, Player};
use crate::service::Service;
use crate::slots::Slots;
use crate::speech::{Speaker, VoiceCard, Voices};
use crate::spill::Budget;
use crate::worker::Worker;
use crate::wyoming::client as wyoming;

/// Stack of a connection's thread: reading headers of recordings takes the most.
const STACK_BYTES: usize = 512 << 10;

/// Pause after a client could not be accepted, for example for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the last answers may take once the service ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a listener speaks.
#[derive(Clone, Copy)]
enum Protocol {
    Wyoming,
    Http,
}

/// A service before it begins: which model, what limits, where clients connect.
pub struct Server {
    card: ModelCard,
    limits: Limits,
    options: TranscribeOptions,
    recogniser: Option<Box<dyn Recognise>>,
    streaming: bool,
    listeners: Vec<(Protocol, Listener)>,
    stdio: bool,
    mqtt: Option<Mqtt>,
    say: Option<mqtt::Speech>,
    voice: Option<(VoiceCard, Box<dyn Speaker>)>,
    embedder: Option<(String, Box<dyn Embedder>)>,
    #[cfg(unix)]
    sockets: Vec<PathBuf>,
}

impl Server {
    /// A service of a model, without any listener yet.
    pub fn new(card: ModelCard, limits: Limits) -> Self {
        Self {
            card,
            limits,
            options: TranscribeOptions::default(),
            recogniser: None,
            streaming: false,
            listeners: Vec::new(),
            stdio: false,
            mqtt: None,
            say: None,
            voice: None,
            embedder: None,
            #[cfg(unix)]
            sockets: Vec::new(),
        }
    }

    /// What holds for requests that do not say otherwise.
    pub fn defaults(&mut self, options: TranscribeOptions) {
        self.options = options;
    }

    /// Answers Wyoming's questions for commands in text.
    pub fn recognise(&mut self, recogniser: Box<dyn Recognise>) {
        self.recogniser = Some(recogniser);
    }

    /// Says texts for clients.
    pub fn speak(&mut self, card: VoiceCard, speaker: Box<dyn Speaker>) {
        self.voice = Some((card, speaker));
    }

    /// Makes vectors of texts and images for clients, under the model's name.
    pub fn embed(&mut self, name: String, embedder: Box<dyn Embedder>) {
        self.embedder = Some((name, embedder));
    }

    /// Whether Wyoming clients get transcripts segment by segment before they get them whole. The protocol has no way for a client to ask;
    /// those that do not know these events pass over them.
    pub fn stream_transcripts(&mut self, on: bool) {
        self.streaming = on;
    }

    /// Passes transcripts and commands on to an MQTT broker, under a name that [`is_name`](crate::mqtt::is_name). The connection comes
    /// back by itself; `report` hears of its ups and downs, on another thread.
    pub fn mqtt(&mut self, broker: &Broker, name: &str, report: impl Fn(&str) + Send + 'static) {
        self.mqtt = Some(Mqtt::connect(broker, name, &self.card.name, Box::new(report)));
    }

    /// The same, and says what others publish to be said, if there is a voice: to `player`, or as messages.
    pub fn mqtt_speaking(&mut self, broker: &Broker, name: &str, player: Option<Player>, report: impl Fn(&str) + Send + Sync + 'static) {
        let (mqtt, say) = Mqtt::connect_speaking(broker, name, &self.card.name, player, Arc::new(report));
        (self.mqtt, self.say) = (Some(mqtt), Some(say));
    }

    /// Listens for Wyoming clients; gives the address with the port that was free if port 0 was asked for. Clients are accepted from now
    /// on and answered once the service [runs](Self::run).
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub fn wyoming(&mut self, address: &Address) -> io::Result<Address> {
        match address {
            Address::Tcp(place) => Ok(Address::Tcp(self.tcp(Protocol::Wyoming, place)?)),
            #[cfg(unix)]
            Address::Unix(path) => {
                self.listeners.push((Protocol::Wyoming, Listener::unix(path)?));
                self.sockets.push(path.clone());
                Ok(address.clone())
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Address::Stdio => {
                self.stdio = true;
                Ok(Address::Stdio)
            }
        }
    }

    /// Listens for HTTP clients at `HOST:PORT`; gives the address as it became.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub fn http(&mut self, place: &str) -> io::Result<String> {
        self.tcp(Protocol::Http, place)
    }

    fn tcp(&mut self, protocol: Protocol, place: &str) -> io::Result<String> {
        let (listener, address) = Listener::tcp(place)?;
        self.listeners.push((protocol, listener));
        Ok(address.to_string())
    }

    /// Serves until `stop` is set, or the one client at standard input has left, with one or more models that are alike, each on a separate thread.
    /// `tick` is called a few times a second, unless a model takes longer for a window.
    ///
    /// Recordings take turns between windows, short ones first: one model computes at a time. Of several the last takes only recordings of up to
    /// 15 s, of more than two the one before it those of up to five minutes, so that a command never waits for a lecture.
    ///
    /// Jobs under way end with an answer that says so. The threads that listen stay until the process ends.
    ///
    /// # Errors
    /// If a thread cannot be started, or one that clients wait for has ended by a fault.
    pub fn run<M: Model + Send>(self, models: &mut [M], stop: &AtomicBool, tick: &mut dyn FnMut()) -> io::Result<()> {
        let queue = Queue::new(self.limits.clone());
        let slots = Slots::new(self.limits.connections, self.limits.connections_per_peer);
        let idle = self.limits.idle;
        let embeddings = self.embedder.map(|(name, embedder)| Embeddings::start(name, embedder, &self.limits));
        let voice = self.voice.map(|(card, speaker)| Voices::start(card, speaker, &self.limits));
        let service = Arc::new(Service {
            card: self.card,
            budget: Budget::new(self.limits.held_bytes, self.limits.held_bytes_per_peer),
            limits: self.limits,
            queue: queue.clone(),
            options: self.options,
            recogniser: self.recogniser,
            streaming: self.streaming,
            voices: voice.transpose()?,
            embeddings: embeddings.transpose()?,
            mqtt: self.mqtt,
        });
        for (protocol, listener) in self.listeners {
            let (service, slots) = (Arc::clone(&service), slots.clone());
            spawn(move || listen(protocol, &listener, &service, &slots))?;
        }
        let ending = Arc::new(AtomicBool::new(false));
        if let Some(say) = self.say {
            let (service, ending) = (Arc::clone(&service), Arc::clone(&ending));
            spawn(move || {
                if let (Some(mqtt), Some(voices)) = (&service.mqtt, &service.voices) {
                    say.run(mqtt, voices, &|| ending.load(Ordering::Relaxed));
                }
            })?;
        }
        let left = Arc::new(AtomicBool::new(false));
        if self.stdio {
            let (service, left) = (Arc::clone(&service), Arc::clone(&left));
            spawn(move || {
                wyoming::serve(&service, Connection::stdio(idle), None);
                left.store(true, Ordering::Relaxed);
            })?;
        }
        let voice = service.voices.as_ref().map(Voices::worker);
        let embedder = service.embeddings.as_ref().map(Embeddings::worker);
        let failed = AtomicBool::new(false);
        let mut look = || {
            // Without the thread nobody would be answered any more.
            let ended = voice.is_some_and(Worker::has_ended) || embedder.is_some_and(Worker::has_ended);
            failed.fetch_or(ended, Ordering::Relaxed);
            tick();
        };
        queue.work(models, &[stop, &left, &failed], &mut look)?;
        ending.store(true, Ordering::Relaxed);
        voice.into_iter().for_each(Worker::stop);
        embedder.into_iter().for_each(Worker::stop);
        let waits = || queue.has_clients() || voice.is_some_and(Worker::has_clients) || embedder.is_some_and(Worker::has_clients);
        let end = Instant::now() + FAREWELL;
        while waits() && Instant::now() < end {
            tick();
            thread::sleep(PAUSE);
        }
        // A client that was just told why its job ended.
        thread::sleep(PAUSE);
        if let Some(mqtt) = &service.mqtt {
            mqtt.close();
        }
        #[cfg(unix)]
        for socket in self.sockets {
            let _ = std::fs::remove_file(socket);
        }
        if failed.into_inner() { Err(io::Error::other("the thread of the voice or of embeddings ended by a fault")) } else { Ok(()) }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map(|_| ())
}

fn listen(protocol: Protocol, listener: &Listener, service: &Arc<Service>, slots: &Slots) {
    loop {
        let Ok((mut connection, peer)) = listener.accept(service.limits.idle) else {
            thread::sleep(PAUSE);
            continue;
        };
        let Some(slot) = slots.take(peer) else {
            // Without waiting for anything: there may be many of these.
            match protocol {
                Protocol::Wyoming => wyoming::turn_away(&mut connection),
                Protocol::Http => http::turn_away(&mut connection),
            }
            continue;
        };
        let service = Arc::clone(service);
        // Without a thread the connection just ends, and its place is free again.
        let _ = spawn(move || {
            match protocol {
                Protocol::Wyoming => wyoming::serve(&service, connection, peer),
                Protocol::Http => http::serve(&service, connection, peer),
            }
            drop(slot);
        });
    }
}
