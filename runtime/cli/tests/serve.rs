//! `ossicle serve`: recorded sessions played back, what a supervisor sees, and bad usage.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `ossicle serve` with the repository's model.
fn serve(options: &[&str]) -> Command {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").arg("serve").arg("--model").arg(model).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A service that is ended with its test.
struct Service {
    child: Child,
    /// Its lines on stderr up to where it is ready.
    lines: Vec<String>,
}

impl Service {
    fn start(mut command: Command, listeners: usize) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut lines = Vec::new();
        while lines.iter().filter(|line: &&String| line.contains("listening at")).count() < listeners {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "ended after {lines:?}");
            lines.push(line.trim_end().to_owned());
        }
        // A warning follows its address.
        std::thread::sleep(Duration::from_millis(50));
        child.stderr = None;
        lines.extend(String::from_utf8_lossy(stderr.buffer()).lines().map(str::to_owned));
        Self { child, lines }
    }

    /// Where a protocol is spoken.
    fn place(&self, protocol: &str) -> &str {
        let lead = format!("{protocol}: listening at ");
        let place = self.lines.iter().find_map(|line| line.strip_prefix(&lead)).unwrap();
        place.split_once("://").unwrap().1
    }

    fn terminate(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn session(name: &str) -> [Vec<u8>; 2] {
    let folder = root().join("runtime/cli/tests/sessions");
    ["request", "response"].map(|kind| fs::read(folder.join(format!("{name}.{kind}"))).unwrap())
}

fn exchange(mut stream: impl Read + Write, shut: impl Fn(), request: &[u8]) -> String {
    // A refusal may come before all has been said.
    let _ = stream.write_all(request);
    shut();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn recorded_sessions_give_the_same_bytes() {
    for (options, names) in [
        (&[][..], &["describe", "transcribe", "nothing", "refused"][..]),
        (&["--stream"], &["stream"]),
        (&["--sentences", "home"], &["intents", "transcribe", "nothing"]),
    ] {
        let command = serve(&[options, &["--uri", "tcp://127.0.0.1:0"]].concat());
        let service = Service::start(command, 1);
        for name in names {
            let [request, response] = session(name);
            let stream = TcpStream::connect(service.place("wyoming")).unwrap();
            let answer = exchange(&stream, || _ = stream.shutdown(Shutdown::Write), &request);
            assert_eq!(answer, String::from_utf8(response).unwrap(), "{name}");
        }
        assert_eq!(service.terminate(), Some(0));
    }
}

/// The events in these bytes: what each is, its data and its payload.
fn events(mut bytes: &[u8]) -> Vec<(String, serde_json::Value, Vec<u8>)> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let line = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let head: serde_json::Value = serde_json::from_slice(&bytes[..line]).unwrap();
        let length = |name: &str| head[name].as_u64().unwrap_or(0) as usize;
        let (data, payload) = bytes[line..].split_at(length("data_length"));
        let data = if data.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(data).unwrap() };
        let (payload, rest) = payload.split_at(length("payload_length"));
        events.push((head["type"].as_str().unwrap().to_owned(), data, payload.to_vec()));
        bytes = rest;
    }
    events
}

fn event(kind: &str, data: &serde_json::Value) -> Vec<u8> {
    let data = data.to_string();
    format!("{}\n{data}", serde_json::json!({"type": kind, "data_length": data.len()})).into_bytes()
}

#[test]
fn what_a_service_says_has_the_samples_of_speak() {
    const TEXT: &str = "The light in the kitchen is on. It is 21.5 degrees, said Dr. Smith. Good night!";
    let mut speak = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    let expected = speak.env_remove("OSSICLE_ISA").args(["speak", TEXT]).output().unwrap().stdout;
    assert!(expected.len() > 100_000);
    let service = Service::start(serve(&["--uri", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"]), 2);
    assert!(!service.lines.iter().any(|line| line.contains("speech: none")), "{:?}", service.lines);
    let talk = |request: &[u8]| {
        let mut stream = TcpStream::connect(service.place("wyoming")).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        events(&answer)
    };
    let samples = |events: &[(String, serde_json::Value, Vec<u8>)]| events.iter().flat_map(|event| event.2.clone()).collect::<Vec<_>>();
    let text = |kind: &str, text: &str| event(kind, &serde_json::json!({"text": text}));
    let none = serde_json::json!({});
    let whole = talk(&text("synthesize", TEXT));
    assert_eq!(samples(&whole), expected);
    assert!(whole.len() > 5 && whole.iter().all(|event| event.2.len() <= 57_600));
    let words: Vec<u8> = TEXT.split_inclusive(' ').flat_map(|word| text("synthesize-chunk", word)).collect();
    let parts = talk(&[event("synthesize-start", &none), words, event("synthesize-stop", &none)].concat());
    assert_eq!(samples(&parts), expected);
    assert_eq!(parts.last().unwrap().0, "synthesize-stopped");
    // Nothing to say, too much of it, and what nobody can say.
    let hostile = ["".into(), "x".repeat(100_000), "x".repeat(60_000), "\0\u{1b}\u{202e}\u{1f600} 日本語".into()];
    for (hostile, code) in hostile.iter().zip(["nothing-to-say", "bad-event", "too-long", "nothing-to-say"]) {
        let events = talk(&text("synthesize", hostile));
        assert!(events.len() == 1 && events[0].1["code"] == code, "{events:?}");
    }
    // The most that is taken, without a blank.
    let long = talk(&text("synthesize", &"supercalifragilistic".repeat(799)));
    assert_eq!(long.last().unwrap().0, "audio-stop");
    let body = serde_json::json!({"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}).to_string();
    let length = body.len();
    let head = format!("POST /v1/audio/speech HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(service.place("http")).unwrap();
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(answer[end..] == expected, "{}", String::from_utf8_lossy(&answer[..end]));
    assert_eq!(service.terminate(), Some(0));
}

/// The `embedding` of each input, as the service has it.
fn embeddings(service: &Service, body: &serde_json::Value) -> Vec<Vec<f32>> {
    let body = body.to_string();
    let length = body.len();
    let head = format!("POST /v1/embeddings HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(service.place("http")).unwrap();
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let items = body["data"].as_array().unwrap();
    items.iter().map(|item| item["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()).collect()
}

/// What `ossicle embed` writes.
fn embedded(args: &[&str]) -> Vec<Vec<f32>> {
    let output = Command::new(env!("CARGO_BIN_EXE_ossicle")).env_remove("OSSICLE_ISA").arg("embed").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["vector"].as_array().unwrap().clone();
    lines.lines().map(|text| line(text).iter().map(|x| x.as_f64().unwrap() as f32).collect()).collect()
}

#[test]
fn embeddings_have_the_bits_of_embed() {
    let texts = ["a dog barks", "a barking dog", "the stock market fell"];
    let service = Service::start(serve(&["--http", "127.0.0.1:0", "--voice", "none", "--embeddings", "minilm"]), 1);
    let vectors = embeddings(&service, &serde_json::json!({"model": "minilm", "input": texts}));
    assert_eq!(vectors, embedded(&["--model", "minilm", "--text", texts[0], "--text", texts[1], "--text", texts[2]]));
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.3);
    // Images and texts, in one space.
    let service = Service::start(serve(&["--http", "127.0.0.1:0", "--voice", "none", "--embeddings", "efficientnet-lite0"]), 1);
    let cat = root().join("samples/cat.jpg");
    let encoded = base64(&fs::read(&cat).unwrap());
    let input = serde_json::json!([{"image": encoded}, format!("data:image/jpeg;base64,{encoded}"), "a cat"]);
    let vectors = embeddings(&service, &serde_json::json!({"model": "efficientnet-lite0", "input": input}));
    assert_eq!(vectors[0], vectors[1]);
    let images = embedded(&["--model", "efficientnet-lite0", cat.to_str().unwrap()]);
    let texts = embedded(&["--model", "efficientnet-lite0", "--text", "a cat"]);
    assert_eq!([&vectors[0], &vectors[2]], [&images[0], &texts[0]]);
}

/// As RFC 4648 has it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |three: &[u8]| {
        let word = three.iter().chain(&[0; 2]).take(3).fold(0usize, |word, &byte| word << 8 | usize::from(byte));
        (0..4).map(|at| if at <= three.len() { char::from(LETTERS[word >> (18 - 6 * at) & 63]) } else { '=' }).collect::<String>()
    };
    bytes.chunks(3).map(three).collect()
}

#[test]
fn a_voice_is_left_out_where_memory_is_short() {
    let describe = |options: &[&str]| {
        let service = Service::start(serve(&[&["--uri", "tcp://127.0.0.1:0", "--models", "1"], options].concat()), 1);
        let stream = TcpStream::connect(service.place("wyoming")).unwrap();
        let answer = exchange(&stream, || _ = stream.shutdown(Shutdown::Write), &event("describe", &serde_json::json!({})));
        let info = events(answer.as_bytes()).remove(0).1;
        let line = service.lines.iter().find(|line| line.starts_with("speech: none: ")).cloned();
        (info["tts"][0]["voices"][0]["name"].as_str().map(str::to_owned), line)
    };
    assert_eq!(describe(&[]), (Some("hibari".into()), None));
    assert_eq!(describe(&["--voice", "none"]), (None, None));
    let plan = serve(&["--uri", "tcp://127.0.0.1:0", "--models", "1", "--voice", "none", "--memory", "1MB"]).output().unwrap();
    let line = String::from_utf8(plan.stderr).unwrap();
    let needed: f64 = line.split_once("the plan needs ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    // Enough for the model alone.
    let memory = format!("{}MB", needed.ceil() + 1.0);
    let (voice, line) = describe(&["--memory", &memory]);
    assert!(voice.is_none() && line.as_ref().is_some_and(|line| line.contains("more than --memory")), "{voice:?} {line:?}");
    let refused = serve(&["--uri", "tcp://127.0.0.1:0", "--models", "1", "--voice", "hibari", "--memory", &memory]).output().unwrap();
    assert_eq!((refused.status.code(), refused.stderr.iter().filter(|&&byte| byte == b'\n').count()), (Some(2), 1));
}

#[test]
fn what_is_said_may_be_a_command_in_any_spelling_of_its_language() {
    let path = std::env::temp_dir().join(format!("ossicle-serve-{}.yaml", std::process::id()));
    // Not as free decoding writes it.
    let sentence = "turn off the kitchen lights and set the timer for ten minutes";
    let [request, _] = session("stream");
    let cases =
        [("en-GB", &["--language", "English"][..]), ("en-GB", &[]), ("en-GB", &["--language", "auto"]), ("de", &["--language", "EN_us"])];
    for (written, language) in cases {
        fs::write(&path, format!("language: {written}\nintents:\n  Kitchen:\n    data:\n      - sentences: [\"{sentence}\"]\n")).unwrap();
        let options = ["--uri", "tcp://127.0.0.1:0", "--constrained", "--threshold", "0.01"];
        let mut command = serve(&[&options, language, &["--sentences"]].concat());
        command.arg(&path);
        let service = Service::start(command, 1);
        let stream = TcpStream::connect(service.place("wyoming")).unwrap();
        let answer = exchange(&stream, || _ = stream.shutdown(Shutdown::Write), &request);
        let answer = answer.to_lowercase();
        assert!(answer.contains("set the timer"), "{language:?} for {written}: {answer}");
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn a_session_at_standard_input_and_output() {
    let mut command = serve(&["--uri", "stdio://"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let [request, response] = session("transcribe");
    child.stdin.take().unwrap().write_all(&request).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), String::from_utf8(response).unwrap());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_supervisor_hears_of_it_and_the_socket_goes_away() {
    let folder = std::env::temp_dir().join(format!("ossicle-serve-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (socket, notify) = (folder.join("wyoming.sock"), folder.join("notify"));
    let uri = format!("unix://{}", socket.display());
    let mut command = serve(&["--uri", &uri, "--http", "127.0.0.1:0"]);
    // What a program that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let supervisor = UnixDatagram::bind(&notify).unwrap();
    supervisor.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut message = [0; 256];
    let mut hear = || {
        let len = supervisor.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..len]).into_owned()
    };
    let service = Service::start(
        {
            command.env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", "400000");
            command
        },
        2,
    );
    assert_eq!(hear(), "READY=1\nSTATUS=serving");
    assert_eq!([hear(), hear()], ["WATCHDOG=1", "WATCHDOG=1"]);
    let [request, response] = session("describe");
    let stream = UnixStream::connect(&socket).unwrap();
    let answer = exchange(&stream, || _ = stream.shutdown(Shutdown::Write), &request);
    assert_eq!(answer, String::from_utf8(response).unwrap());
    assert_eq!(service.terminate(), Some(0));
    assert!(!socket.exists());
    while hear() != "STOPPING=1" {}
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn open_addresses_are_warned_of() {
    let command = serve(&["--uri", "tcp://0.0.0.0:0", "--http", "127.0.0.1:0"]);
    let service = Service::start(command, 2);
    let warnings: Vec<&String> = service.lines.iter().filter(|line| line.contains("warning")).collect();
    assert!(matches!(&warnings[..], [line] if line.starts_with("wyoming: warning: whoever reaches tcp://0.0.0.0:")), "{warnings:?}");
}

#[test]
fn bad_usage_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let uri = format!("tcp://{taken}");
    let cases: [(&[&str], &str); 17] = [
        (&["--uri", "127.0.0.1:10300"], "give tcp://HOST:PORT, unix:///PATH or stdio://"),
        (&["--uri", "unix:///no/such/folder/socket"], "cannot listen: "),
        (&["--http", "nowhere"], "cannot listen: "),
        (&["--http", &taken], "cannot listen: "),
        (&["--uri", &uri], "cannot listen: "),
        (&["--max-connections", "1"], "1"),
        (&["--voice", "nobody"], "model nobody not found"),
        (&["--voice", "yamnet"], "kind is \"yamnet\", not \"hibari\""),
        (&["--max-text", "2MB"], "give 1 byte to 1 MB"),
        (&["--embeddings", "nobody"], "model nobody not found"),
        (&["--embeddings", "yamnet"], "a model of kind \"yamnet\" has no vectors"),
        (&["--say-output", "a.raw"], "--mqtt"),
        (&["--mqtt", "mqtt://127.0.0.1:1", "--voice", "none", "--say-output", "a.raw"], "nothing can be said without a voice"),
        (&["--sentences", "nowhere.yaml"], "give a sentence file, or one of coffee, home"),
        (&["--mqtt", "mqtts://broker"], "TLS is not known here"),
        (&["--language", "de"], "this model knows English only"),
        (&["--max-held", "50MB"], "--max-held: raise it, or lower --max-upload"),
    ];
    let german = std::env::temp_dir().join(format!("ossicle-serve-{}-german.yaml", std::process::id()));
    fs::write(&german, "language: de\nintents: {A: {data: [{sentences: [stelle den timer]}]}}\n").unwrap();
    let constrained = ["--constrained", "--sentences", german.to_str().unwrap()];
    let foreign = (&constrained[..], "the sentences are in German (de), and whisper-tiny.en knows English only");
    for (options, expected) in cases.into_iter().chain([foreign]) {
        let mut command = serve(options);
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{options:?}: {stderr}");
        assert!(stderr.contains(expected) && output.stdout.is_empty(), "{options:?}: {stderr}");
    }
    fs::remove_file(german).unwrap();
}
