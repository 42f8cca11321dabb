//! A service with a model that needs no weights, and clients made of bytes.
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ossicle::source::SampleSource;
use ossicle::whisper::error::{OptionError, TranscribeError};
use ossicle::whisper::options::{Task, TranscribeOptions};
use ossicle::whisper::transcript::{Segment, Summary, Told, Word};
use ossicle_kernels::simd::Isa;
use ossicle_serve::wyoming::event::{Event, EventError};
use ossicle_serve::{Entity, Intent, Limits, Model, ModelCard, Recognise, Server};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Says of every second how many samples it had; works only while `open`.
struct Fake {
    open: Arc<AtomicBool>,
    begun: Arc<AtomicUsize>,
    at_work: Arc<AtomicUsize>,
    /// Milliseconds that a second takes.
    pace: Arc<AtomicUsize>,
    /// Whether one of them computes.
    computes: Arc<AtomicBool>,
}

impl Fake {
    fn compute(&self) {
        let pace = self.pace.load(Ordering::SeqCst) as u64;
        if pace > 0 {
            assert!(!self.computes.swap(true, Ordering::SeqCst), "two compute at once");
            thread::sleep(Duration::from_millis(pace));
            self.computes.store(false, Ordering::SeqCst);
        }
    }
}

impl Model for Fake {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(language) = options.language.as_ref().filter(|language| *language == "de") {
            return Err(OptionError::EnglishOnly { language: language.clone() }.into());
        }
        let (mut second, mut summary) = (vec![0.0; 16_000], Summary { language: Some("en".into()), ..Summary::default() });
        loop {
            let mut samples = 0;
            while samples < second.len() {
                match source.read(&mut second[samples..]).map_err(TranscribeError::Source)? {
                    0 => break,
                    read => samples += read,
                }
            }
            if samples == 0 && self.open.load(Ordering::SeqCst) {
                return Ok(summary);
            }
            if samples > 0 {
                self.compute();
                self.at_work.store(samples, Ordering::SeqCst);
                tell(Told::Segment(segment(&summary, samples, options)));
                summary.segments += 1;
                summary.duration += samples as f64 / 16_000.0;
            }
            while !self.open.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
                source.read(&mut []).map_err(TranscribeError::Source)?;
            }
        }
    }
}

/// The model that knows one command: a recording of five samples.
struct Listening(Fake);

impl Model for Listening {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.0.transcribe(source, options, tell)
    }

    fn command(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        self.0.transcribe(source, options, &mut |told| {
            tell(match told {
                Told::Segment(segment) if segment.text.contains(" 5.") => {
                    Told::Segment(Segment { text: "lights off in the kitchen".into(), ..segment })
                }
                other => other,
            });
        })
    }
}

fn segment(summary: &Summary, samples: usize, options: &TranscribeOptions) -> Segment {
    let verb = if options.task == Task::Translate { "translated" } else { "heard" };
    let prompt = options.initial_prompt.as_ref().map(|prompt| format!(" after {prompt}")).unwrap_or_default();
    let (start, end) = (summary.duration, summary.duration + samples as f64 / 16_000.0);
    let words = options.word_timestamps.then(|| vec![Word { word: format!(" {verb}"), start, end, probability: 1.0 }]);
    Segment {
        id: summary.segments,
        seek: 0,
        start,
        end,
        text: format!(" {verb} {samples}{prompt}."),
        tokens: vec![1, 2],
        temperature: options.quality.temperatures[0],
        avg_logprob: -0.5,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        words,
    }
}

/// Knows one command.
struct Lights;

impl Recognise for Lights {
    fn languages(&self) -> Vec<String> {
        vec!["en".into()]
    }

    fn recognise(&self, text: &str) -> Option<Intent> {
        let room = text.strip_prefix("lights off in the ")?;
        let entities = vec![Entity { name: "area".into(), value: room.into() }];
        Some(Intent { name: "HassTurnOff".into(), entities, text: None })
    }
}

/// Looks again and again whether something has happened.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < end, "not in 20 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A service under test; ends with it.
pub(crate) struct Service {
    pub(crate) wyoming: String,
    pub(crate) http: String,
    /// Whether the model works.
    pub(crate) open: Arc<AtomicBool>,
    /// Jobs begun.
    pub(crate) begun: Arc<AtomicUsize>,
    /// Samples of the second that the model works on.
    at_work: Arc<AtomicUsize>,
    /// Milliseconds that a second takes.
    pub(crate) pace: Arc<AtomicUsize>,
    pub(crate) stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Limits that tests reach.
pub(crate) fn small() -> Limits {
    Limits {
        connections: 64,
        connections_per_peer: 60,
        queue: 2,
        queue_per_peer: 2,
        wait: Duration::from_millis(600),
        work: Duration::from_secs(20),
        audio_seconds: 100,
        upload_bytes: 4_000_000,
        held_bytes: 20_000_000,
        held_bytes_per_peer: 20_000_000,
        text_bytes: 2_000,
        idle: Duration::from_millis(1500),
        transfer: Duration::from_millis(2500),
    }
}

impl Service {
    pub(crate) fn start(limits: Limits, setup: impl FnOnce(&mut Server)) -> Self {
        Self::with_models(1, limits, setup)
    }

    pub(crate) fn with_models(models: usize, limits: Limits, setup: impl FnOnce(&mut Server)) -> Self {
        let card = ModelCard { name: "fake".into(), languages: vec!["en".into()], translates: true, aligns: true, isa: Isa::detect() };
        let mut server = Server::new(card, limits);
        setup(&mut server);
        let wyoming = server.wyoming(&"tcp://127.0.0.1:0".parse().unwrap()).unwrap().to_string();
        let http = server.http("127.0.0.1:0").unwrap();
        let (open, stop) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (begun, at_work) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (pace, computes) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let fake = || {
            let [begun, at_work, pace] = [&begun, &at_work, &pace].map(Arc::clone);
            Listening(Fake { open: Arc::clone(&open), begun, at_work, pace, computes: Arc::clone(&computes) })
        };
        let mut fakes: Vec<Listening> = (0..models).map(|_| fake()).collect();
        let ended = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            server.run(&mut fakes, &ended, &mut || {}).unwrap();
        });
        let thread = Some(thread);
        Self { wyoming: wyoming.trim_start_matches("tcp://").into(), http, open, begun, at_work, pace, stop, thread }
    }

    pub(crate) fn with_lights() -> Self {
        Self::start(small(), |server| server.recognise(Box::new(Lights)))
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Waits until so many jobs have begun.
    pub(crate) fn wait_begun(&self, jobs: usize) {
        wait_until("a job is begun", || self.begun.load(Ordering::SeqCst) >= jobs);
    }

    /// Waits until the model works on a second with so many samples.
    pub(crate) fn wait_at_work(&self, samples: usize) {
        wait_until("the model gets to a job", || self.at_work.load(Ordering::SeqCst) == samples);
    }

    /// Waits until so many jobs wait.
    pub(crate) fn wait_queued(&self, jobs: u64) {
        let health = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";
        wait_until("jobs wait", || self.ask(health).json()["queued"].as_u64() == Some(jobs));
    }

    pub(crate) fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// A Wyoming client.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.wyoming)
    }

    /// A Wyoming client at another address.
    pub(crate) fn stranger(&self) -> Client {
        Client::connect_from([127, 0, 0, 2].into(), &self.wyoming)
    }

    /// A client that says `bytes` to the HTTP port.
    pub(crate) fn say(&self, bytes: &[u8]) -> Client {
        let mut client = Client::connect(&self.http);
        client.send(bytes);
        client
    }

    /// The answer to a request, whose connection must end by itself.
    pub(crate) fn ask(&self, request: &[u8]) -> Answer {
        self.say(request).answer()
    }

    /// The same from another address.
    pub(crate) fn stranger_asks(&self, request: &[u8]) -> Answer {
        let mut client = Client::connect_from([127, 0, 0, 2].into(), &self.http);
        client.send(request);
        client.answer()
    }

    /// Both ports still answer.
    pub(crate) fn is_well(&self) {
        let mut client = self.client();
        client.write(&Event::new("ping", serde_json::json!({"text": "x"})));
        assert_eq!(client.event().unwrap().text("text"), Some("x"));
        assert_eq!(self.ask(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n").status, 200);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// A client made of bytes.
pub(crate) struct Client(TcpStream);

impl Client {
    fn connect(place: &str) -> Self {
        Self::connect_from([127, 0, 0, 1].into(), place)
    }

    fn connect_from(address: Ipv4Addr, place: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddrV4::new(address, 0).into()).unwrap();
        socket.connect(&place.parse::<SocketAddrV4>().unwrap().into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// What is sent may be refused before it has all been taken.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn write(&mut self, event: &Event) {
        self.send(&event.to_bytes());
    }

    pub(crate) fn audio(&mut self, kind: &str, samples: &[u8]) {
        let mut event = Event::new(kind, serde_json::json!({"rate": 16_000, "width": 2, "channels": 1}));
        event.payload = samples.to_vec();
        self.write(&event);
    }

    /// A recording of zeros, from its start to its stop.
    pub(crate) fn record(&mut self, samples: usize) {
        self.audio("audio-start", &[]);
        for chunk in vec![0; 2 * samples].chunks(8192) {
            self.audio("audio-chunk", chunk);
        }
        self.audio("audio-stop", &[]);
    }

    /// Sends `bytes` over and over until the service answers; gives the answer.
    pub(crate) fn drip(self, bytes: &[u8]) -> Answer {
        let mut reading = Self(self.0.try_clone().unwrap());
        let answer = thread::spawn(move || reading.answer());
        let mut writing = self;
        while !answer.is_finished() {
            writing.send(bytes);
            thread::sleep(Duration::from_millis(20));
        }
        answer.join().unwrap()
    }

    pub(crate) fn half_close(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// The next event; `None` when the service has ended the connection.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let mut reader = std::io::BufReader::with_capacity(1, &mut self.0);
        match Event::read(&mut reader) {
            Err(EventError::Io(error)) if error.kind() == ErrorKind::ConnectionReset => None,
            other => other.unwrap(),
        }
    }

    /// The code of the error that comes next and last.
    pub(crate) fn refusal(&mut self) -> String {
        let event = self.event().expect("an error event");
        assert_eq!(event.kind, "error", "{event:?}");
        assert!(self.event().is_none());
        event.text("code").unwrap().to_owned()
    }

    /// Whether a ping is answered.
    pub(crate) fn pings(&mut self) -> bool {
        self.write(&Event::new("ping", serde_json::json!({})));
        self.event().is_some_and(|event| event.kind == "pong")
    }

    pub(crate) fn transcript(&mut self) -> String {
        let event = self.event().expect("a transcript");
        assert_eq!(event.kind, "transcript", "{event:?}");
        event.text("text").unwrap().to_owned()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        Answer::of(&self.rest())
    }

    /// All that is said until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
            _ => bytes,
        }
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A wav file of zeros.
pub(crate) fn wav(samples: usize) -> Vec<u8> {
    let bytes = 2 * samples as u32;
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0".to_vec();
    wav[4..8].copy_from_slice(&(36 + bytes).to_le_bytes());
    wav[40..44].copy_from_slice(&bytes.to_le_bytes());
    wav.resize(44 + bytes as usize, 0);
    wav
}

/// A form of fields and, with it, a recording.
pub(crate) fn form(fields: &[(&str, &str)], file: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    if let Some(file) = file {
        body.extend(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n");
        body.extend(file);
        body.extend(b"\r\n");
    }
    body.extend(b"--b--\r\n");
    body
}

/// A request for a transcript whose connection is to end with it.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub(crate) const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
