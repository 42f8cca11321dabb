//! `ossicle serve`: speech to text and text to speech for other programs, over the Wyoming protocol and HTTP.

mod assistant;
mod embed;
mod speech;

use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::RangedU64ValueParser;
use ossicle::command::recogniser::CommandOptions;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::window::Window;
use ossicle_serve::mqtt::Broker;
use ossicle_serve::{Address, Limits, Model, ModelCard, Server};

use assistant::Assistant;
use embed::EmbedArgs;
use speech::{SayArgs, SpeechArgs};

use crate::broker::parse_name;
use crate::command::folder::HouseArgs;
use crate::command::loaded::Loaded;
use crate::fault::{self, Fault};
use crate::model::ModelArgs;
use crate::notify::Notifier;
use crate::{command, size};

/// Where Wyoming clients find a service that was not told otherwise.
const WYOMING: &str = "tcp://127.0.0.1:10300";
/// Where HTTP clients do.
const HTTP: &str = "127.0.0.1:8000";

/// Default of --models: a long one, one that is not, and a command.
const MODELS: usize = 3;

const HELP: &str = "\
Examples:
  ossicle serve
  ossicle serve --uri tcp://0.0.0.0:10300 --sentences home
  ossicle serve --voice none
  ossicle serve --embeddings minilm
  ossicle serve --uri unix:///run/ossicle/wyoming.sock --http 127.0.0.1:8000
  ossicle serve --uri tcp://0.0.0.0:10300 --mqtt mqtt://homeassistant.local --mqtt-name kitchen
  curl -F file=@samples/kitchen.wav -F model=whisper-1 http://127.0.0.1:8000/v1/audio/transcriptions

Without --uri and --http it listens for Wyoming at tcp://127.0.0.1:10300 and for HTTP at 127.0.0.1:8000; given one of them, only there.
The service has no password and no encryption: let only trusted clients reach it. See docs/serving.md.

Exit status: 0 stopped, 1 the service could not go on, 2 bad usage or an address that cannot be had.";

/// Where to listen, and how much to take.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Listen for Wyoming clients: tcp://HOST:PORT, unix:///PATH or stdio://; may be repeated
    #[arg(long = "uri", value_name = "URI")]
    uris: Vec<Address>,
    /// Listen for HTTP clients; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    http: Vec<String>,
    /// Answer Wyoming clients who ask what a text means, by a sentence file, one that comes with the program, or a folder in the layout of
    /// Home Assistant's sentences
    #[arg(long, value_name = "NAME|FILE.yaml|FOLDER")]
    sentences: Option<String>,
    #[command(flatten)]
    house: HouseArgs,
    /// Compare what Wyoming clients say with the sentences, as `ossicle command` does, before it is written down word by word
    #[arg(long, requires = "sentences")]
    constrained: bool,
    /// How sure one has to be that a sentence was said, 0 to 1
    #[arg(long, value_name = "P", default_value_t = CommandOptions::default().threshold, value_parser = command::parse_threshold, requires = "constrained")]
    threshold: f32,
    /// Tell an MQTT broker what was said, so that Home Assistant discovers it: mqtt://[USER:PASSWORD@]HOST[:PORT]
    #[arg(long, value_name = "URL", env = "OSSICLE_MQTT", hide_env_values = true)]
    mqtt: Option<Broker>,
    /// What the broker knows this service by: small letters, digits, _ and -
    #[arg(long, value_name = "NAME", default_value = "ossicle", value_parser = parse_name)]
    mqtt_name: String,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    speech: SpeechArgs,
    #[command(flatten)]
    say: SayArgs,
    #[command(flatten)]
    embed: EmbedArgs,
    /// Recordings that take turns, short ones first: each takes memory for a window of its own [default: 3, or what --memory and --board allow]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=8))]
    models: Option<usize>,
    /// Language spoken where a client does not say, as a code or English name; auto detects it [default: with --constrained that of the
    /// sentences, else auto]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Send Wyoming clients each segment as soon as it is known, before the whole transcript
    #[arg(long)]
    stream: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Limits on clients.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Connections at once; half as many from one address
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = RangedU64ValueParser::<usize>::new().range(2..=1024))]
    max_connections: usize,
    /// Recordings waiting for a model; half as many from one address
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    max_queue: usize,
    /// How long one waits before its client is told that the model is busy
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    max_wait: Duration,
    /// How long a model may work on one, others' turns not counted
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds)]
    max_work: Duration,
    /// Audio in one request
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    max_audio: u32,
    /// Size of a recording as sent
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = size::parse)]
    max_upload: u64,
    /// Size of all recordings together, until they are transcribed; half of it, or one recording, from one address [default: 256MB, or --max-upload if that is more]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_held: Option<u64>,
    /// Size of a text that is to be said
    #[arg(long, value_name = "SIZE", default_value = "16kB", value_parser = parse_text)]
    max_text: usize,
    /// How long a client may send or take nothing
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    idle_timeout: Duration,
    /// How long a request may take to arrive; a Wyoming client's recording may take --max-audio more
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = parse_seconds)]
    request_timeout: Duration,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give 0.1 to 86400 seconds".into())
}

fn parse_text(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(size::parse(text)?).ok().filter(|bytes| (1..=1_000_000).contains(bytes));
    bytes.ok_or_else(|| "give 1 byte to 1 MB".into())
}

impl LimitArgs {
    fn limits(&self) -> Result<Limits, Fault> {
        let held_bytes = self.max_held.unwrap_or_else(|| Limits::default().held_bytes.max(self.max_upload));
        if held_bytes < self.max_upload {
            let what = format!("less than one recording may have, {}", size::megabytes(self.max_upload));
            return Err(Fault::new(what, "--max-held", "raise it, or lower --max-upload"));
        }
        Ok(Limits {
            connections: self.max_connections,
            connections_per_peer: self.max_connections / 2,
            queue: self.max_queue,
            queue_per_peer: self.max_queue.div_ceil(2),
            wait: self.max_wait,
            work: self.max_work,
            audio_seconds: self.max_audio,
            upload_bytes: self.max_upload,
            held_bytes,
            held_bytes_per_peer: (held_bytes / 2).max(self.max_upload),
            text_bytes: self.max_text,
            idle: self.idle_timeout,
            transfer: self.request_timeout,
        })
    }
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let language = args.language.as_deref().and_then(command::language::code);
    let options = TranscribeOptions { language, ..TranscribeOptions::default() };
    let limits = args.limits.limits()?;
    // A fault in the sentences is told before a model is loaded.
    let open = |name| Loaded::open(name, args.language.as_deref(), &args.house);
    let sentences = args.sentences.as_deref().map(open).transpose()?;
    args.model.verify()?;
    // A client may ask for word times.
    let (frames, words) = (Window::default().max_frames(), true);
    let towers = args.embed.open(&args.model)?;
    let fixed = towers.as_ref().map_or(0, |(_, towers)| towers.planned_bytes());
    let models = |others| args.model.open_several(frames, words, args.constrained, args.models, MODELS, fixed + others);
    let (mut transcribers, voice) = args.speech.open_beside(&args.model, models)?;
    let Some(model) = transcribers.first_mut() else { anyhow::bail!("no model is open") };
    model.check(&options).map_err(|error| fault::transcription("", error))?;
    let mut server = Server::new(ModelCard::of(model), limits);
    server.defaults(options);
    server.stream_transcripts(args.stream);
    if let Some((name, towers)) = towers {
        server.embed(name, Box::new(towers));
    }
    let speaks = voice.is_some();
    args.say.check(speaks, &args.uris)?;
    if let Some((card, voice)) = voice {
        server.speak(card, Box::new(voice));
    }
    match &sentences {
        Some(Loaded::File(grammar)) => server.recognise(Box::new(Arc::clone(grammar))),
        Some(Loaded::Folder(intents)) => server.recognise(Box::new(Arc::clone(intents))),
        None => {}
    }
    let mut models: Vec<Box<dyn Model + Send>> = match sentences.filter(|_| args.constrained) {
        None => transcribers.into_iter().map(|model| Box::new(model) as _).collect(),
        Some(sentences) => {
            let name = args.sentences.as_deref().unwrap_or_default();
            let language = command::language::decoded(model, args.language.as_deref(), sentences.language(), name)?;
            let set = sentences.compile(model, name)?;
            let assistant = |model| Assistant::new(model, set.clone(), args.threshold, language.clone());
            transcribers.into_iter().map(|model| Box::new(assistant(model)) as _).collect()
        }
    };
    listen(args, &mut server)?;
    if let Some(broker) = &args.mqtt {
        let report = |news: &str| fault::tell(format_args!("mqtt: {news}"));
        match speaks {
            true => server.mqtt_speaking(broker, &args.mqtt_name, args.say.player()?, report),
            false => server.mqtt(broker, &args.mqtt_name, report),
        }
    }
    let mut notifier = Notifier::from_environment();
    notifier.ready("serving");
    server.run(&mut models, &stop, &mut || notifier.alive()).context("cannot start a thread")?;
    notifier.stopping();
    Ok(ExitCode::SUCCESS)
}

fn listen(args: &Args, server: &mut Server) -> Result<()> {
    let (mut uris, mut https) = (args.uris.clone(), args.http.clone());
    if uris.is_empty() && https.is_empty() {
        uris.push(WYOMING.parse()?);
        https.push(HTTP.into());
    }
    for uri in &uris {
        let at = server.wyoming(uri).map_err(|error| cannot_listen(uri, &error))?;
        announce("wyoming", &at.to_string(), if let Address::Tcp(place) = &at { Some(place) } else { None });
    }
    for place in &https {
        let at = server.http(place).map_err(|error| cannot_listen(place, &error))?;
        announce("http", &format!("http://{at}"), Some(&at));
    }
    Ok(())
}

fn cannot_listen(place: &dyn std::fmt::Display, error: &std::io::Error) -> Fault {
    Fault::new(format!("cannot listen: {error}"), place, "give an address of this machine that nobody uses")
}

/// One line on where clients connect, and one more if others than this machine's can.
fn announce(protocol: &str, at: &str, place: Option<&String>) {
    fault::tell(format_args!("{protocol}: listening at {at}"));
    let is_open = |place: &String| place.to_socket_addrs().is_ok_and(|mut all| all.any(|address| !address.ip().is_loopback()));
    if place.is_some_and(is_open) {
        fault::tell(format_args!("{protocol}: warning: whoever reaches {at} can use it; there is no password and no encryption"));
    }
}
