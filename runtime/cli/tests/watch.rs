//! `ossicle watch`: recordings in, transcripts out, and what a supervisor sees of it.
#![cfg(unix)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `ossicle watch` with the repository's model, or nothing and a notice without one.
fn watch(folder: &Path) -> Option<Command> {
    let model = root().join("models-int8/whisper-tiny.en");
    if !model.join("model.safetensors").exists() {
        eprintln!("SKIPPED: {} is absent, so this test tests nothing", model.display());
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").arg("watch").arg(folder).arg("--model").arg(model).args(["--interval", "0.1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}

/// A folder that goes away.
struct Spool(PathBuf);

impl Spool {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ossicle-watch-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str) {
        fs::copy(root().join("samples/kitchen.wav"), self.0.join(name)).unwrap();
    }

    fn waiting(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
        let mut names: Vec<_> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn once_transcribes_what_is_there() {
    let spool = Spool::new("once");
    spool.put("a.wav");
    spool.put("half.wav.part");
    spool.put(".hidden.wav");
    fs::write(spool.0.join("notes.wav"), "not a recording").unwrap();
    fs::create_dir_all(spool.0.join("done")).unwrap();
    fs::write(spool.0.join("done/a.wav.json"), "an earlier one").unwrap();
    let Some(mut command) = watch(&spool.0) else { return };
    let output = command.arg("--once").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(spool.waiting(), [".hidden.wav", "half.wav.part"]);
    let transcript = spool.0.join("done/1-a.wav.json");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), transcript.to_str().unwrap());
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&transcript).unwrap()).unwrap();
    assert_eq!((value["schema"].as_str(), value["file"].as_str()), (Some("ossicle.transcript/1"), Some("a.wav")));
    assert!(value["text"].as_str().unwrap().contains("kitchen lights"), "{value}");
    assert!(spool.0.join("done/1-a.wav").exists());
    assert_eq!(fs::read_to_string(spool.0.join("done/a.wav.json")).unwrap(), "an earlier one");
    let reason = fs::read_to_string(spool.0.join("failed/notes.wav.txt")).unwrap();
    assert!(reason.contains("text, not audio") && reason.lines().count() == 1 && stderr.contains(reason.trim()), "{reason}");
    assert!(spool.0.join("failed/notes.wav").exists());

    // With --delete only the transcript stays.
    spool.put("b.wav");
    let Some(mut command) = watch(&spool.0) else { return };
    assert!(command.args(["--once", "--delete"]).output().unwrap().status.success());
    assert_eq!((spool.0.join("done/b.wav").exists(), spool.0.join("done/b.wav.json").exists()), (false, true));
}

/// Waits for `what`, at most half a minute.
#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "no {what} in 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn a_supervisor_sees_ready_alive_and_stopping() {
    let spool = Spool::new("service");
    let socket_path = spool.0.join(".notify");
    let socket = UnixDatagram::bind(&socket_path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let receive = || {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let Some(mut command) = watch(&spool.0) else { return };
    let mut child = command.env("NOTIFY_SOCKET", &socket_path).env("WATCHDOG_USEC", "400000").spawn().unwrap();
    assert!(receive().starts_with("READY=1\n"));
    assert_eq!((receive(), receive()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
    spool.put("late.wav");
    wait_for("transcript", || spool.0.join("done/late.wav.json").exists());
    terminate(&child);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    let rest: Vec<String> = std::iter::repeat_with(receive).take_while(|text| text != "STOPPING=1").collect();
    assert!(rest.iter().all(|text| text == "WATCHDOG=1"), "{rest:?}");
}

#[test]
fn a_stop_in_the_middle_leaves_the_recording() {
    let spool = Spool::new("stop");
    let sample = fs::read(root().join("samples/kitchen.wav")).unwrap();
    let (seconds, mut file) = (1800, sample[..44].to_vec());
    let bytes = 2 * 16_000 * seconds;
    file[4..8].copy_from_slice(&(36 + bytes as u32).to_le_bytes());
    file[40..44].copy_from_slice(&(bytes as u32).to_le_bytes());
    file.extend(sample[44..].iter().cycle().take(bytes));
    fs::write(spool.0.join("long.wav"), file).unwrap();
    let Some(mut command) = watch(&spool.0) else { return };
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(spool.waiting(), ["long.wav"]);
    assert_eq!(fs::read_dir(spool.0.join("done")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let Some(mut command) = watch(Path::new("no/such/folder")) else { return };
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("not a folder: no/such/folder"), "{stderr}");
}
