//! `ossicle watch`: recordings in, transcripts out, and what a supervisor sees of it.
#![cfg(unix)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `ossicle watch` with the repository's model.
fn watch(folder: &Path) -> Command {
    let model = root().join("models-int8/whisper-tiny.en");
    assert!(model.join("model.safetensors").exists(), "{} belongs to the repository and is absent", model.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").arg("watch").arg(folder).arg("--model").arg(model).args(["--interval", "0.1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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

    /// The sample again and again.
    fn put_long(&self, name: &str, seconds: usize) {
        let sample = fs::read(root().join("samples/kitchen.wav")).unwrap();
        let (bytes, mut file) = (2 * 16_000 * seconds, sample[..44].to_vec());
        file[4..8].copy_from_slice(&(36 + bytes as u32).to_le_bytes());
        file[40..44].copy_from_slice(&(bytes as u32).to_le_bytes());
        file.extend(sample[44..].iter().cycle().take(bytes));
        fs::write(self.0.join(name), file).unwrap();
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
    let mut command = watch(&spool.0);
    let output = command.arg("--once").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Not every recording was one.
    assert_eq!(output.status.code(), Some(1), "{stderr}");
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
    let mut command = watch(&spool.0);
    assert!(command.args(["--once", "--delete"]).output().unwrap().status.success());
    assert_eq!((spool.0.join("done/b.wav").exists(), spool.0.join("done/b.wav.json").exists()), (false, true));
}

/// What systemd would hear.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn new(spool: &Spool, command: &mut Command) -> Self {
        let path = spool.0.join(".notify");
        // One before it may have been here.
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        command.env("NOTIFY_SOCKET", &path);
        Self(socket)
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 400];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Waits until work on `name` begins.
    fn wait_for_work_on(&self, name: &str) {
        let status = format!("STATUS=transcribing {name}");
        while self.receive() != status {}
    }
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn a_supervisor_sees_ready_alive_and_stopping() {
    let spool = Spool::new("service");
    let mut command = watch(&spool.0);
    let supervisor = Supervisor::new(&spool, &mut command);
    let receive = || supervisor.receive();
    let mut child = command.env("WATCHDOG_USEC", "400000").spawn().unwrap();
    assert_eq!(receive(), "READY=1\nSTATUS=waiting for recordings");
    assert_eq!((receive(), receive()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
    spool.put("late.wav");
    let heard_until = |last: &str| {
        let before: Vec<String> = std::iter::repeat_with(receive).take_while(|text| text != last).collect();
        before.into_iter().filter(|text| text != "WATCHDOG=1").collect::<Vec<_>>()
    };
    assert_eq!(heard_until("STATUS=waiting for recordings"), ["STATUS=transcribing late.wav"]);
    assert!(spool.0.join("done/late.wav.json").exists());
    terminate(&child);
    assert_eq!(heard_until("STOPPING=1"), Vec::<String>::new());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_stop_in_the_middle_puts_the_recording_back() {
    let spool = Spool::new("stop");
    spool.put_long("long.wav", 1800);
    let mut command = watch(&spool.0);
    let supervisor = Supervisor::new(&spool, &mut command);
    let mut child = command.spawn().unwrap();
    supervisor.wait_for_work_on("long.wav");
    assert_eq!(spool.waiting(), [".work-long.wav"]);
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(supervisor.receive(), "STATUS=waiting for recordings");
    assert_eq!(supervisor.receive(), "STOPPING=1");
    assert_eq!(spool.waiting(), ["long.wav"]);
    assert_eq!(fs::read_dir(spool.0.join("done")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(spool.0.join("failed")).unwrap().count(), 0);
}

#[test]
fn a_recording_that_ended_the_program_twice_is_not_tried_again() {
    let spool = Spool::new("killed");
    spool.put_long("long.wav", 1800);
    for hidden in [".work-long.wav", ".again-long.wav"] {
        let mut command = watch(&spool.0);
        let supervisor = Supervisor::new(&spool, &mut command);
        let mut child = command.spawn().unwrap();
        supervisor.wait_for_work_on("long.wav");
        assert_eq!(spool.waiting(), [hidden]);
        // Meanwhile nobody else works on the folder.
        let second = watch(&spool.0).output().unwrap();
        let stderr = String::from_utf8_lossy(&second.stderr);
        assert!(second.status.code() == Some(2) && stderr.contains("watched by another ossicle"), "{stderr}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    spool.put("other.wav");
    let output = watch(&spool.0).arg("--once").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(spool.0.join("failed/long.wav").exists() && spool.waiting().is_empty(), "{:?}", spool.waiting());
    let reason = fs::read_to_string(spool.0.join("failed/long.wav.txt")).unwrap();
    assert_eq!(reason, "the program ended twice while it was transcribed: long.wav: move it back to try again\n");
    assert!(spool.0.join("done/other.wav.json").exists());
}

#[test]
fn a_recording_that_a_program_was_killed_over_is_taken_up_again() {
    let spool = Spool::new("again");
    fs::copy(root().join("samples/kitchen.wav"), spool.0.join(".work-a.wav")).unwrap();
    let output = watch(&spool.0).arg("--once").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("the program ended while it was transcribed: a.wav: it is taken up again, once"), "{stderr}");
    assert!(spool.0.join("done/a.wav.json").exists() && spool.waiting().is_empty(), "{:?}", spool.waiting());
}

#[test]
fn what_changes_before_its_turn_is_not_opened() {
    let spool = Spool::new("turns");
    spool.put_long("1.wav", 60);
    // The oldest has the first turn.
    fs::File::options().write(true).open(spool.0.join("1.wav")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    for name in ["2.wav", "3.wav", "4.wav"] {
        spool.put(name);
    }
    let mut command = watch(&spool.0);
    let supervisor = Supervisor::new(&spool, &mut command);
    let child = command.arg("--once").spawn().unwrap();
    supervisor.wait_for_work_on("1.wav");
    fs::remove_file(spool.0.join("2.wav")).unwrap();
    fs::remove_file(spool.0.join("3.wav")).unwrap();
    std::os::unix::fs::symlink(root().join("samples/kitchen.wav"), spool.0.join("3.wav")).unwrap();
    fs::write(spool.0.join("4.wav"), "no recording any more").unwrap();
    assert!(!spool.0.join("done/1.wav.json").exists(), "1.wav was done before its neighbours changed, so this tests nothing");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(spool.0.join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("done"), ["1.wav", "1.wav.json"]);
    assert_eq!(names("failed"), ["4.wav", "4.wav.txt"]);
    assert!(fs::symlink_metadata(spool.0.join("3.wav")).unwrap().is_symlink());
    assert!(!stderr.contains("2.wav") && !stderr.contains("3.wav"), "{stderr}");
}

#[test]
fn names_and_files_of_every_kind() {
    use std::os::unix::ffi::OsStrExt;
    let spool = Spool::new("names");
    let long = format!("{}.wav", "\u{e9}".repeat(125));
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\nname.wav");
    spool.put(&long);
    fs::copy(root().join("samples/kitchen.wav"), spool.0.join(odd)).unwrap();
    // Long and bad: its line needs a name, too.
    fs::write(spool.0.join(format!("{}.mp3", "b".repeat(251))), "not a recording").unwrap();
    std::os::unix::fs::symlink(root().join("samples/kitchen.wav"), spool.0.join("link.wav")).unwrap();
    assert!(Command::new("mkfifo").arg(spool.0.join("pipe.wav")).status().unwrap().success());
    let mut command = watch(&spool.0);
    let output = command.arg("--once").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for done in [format!("{}.wav.json", "\u{e9}".repeat(98)), "odd\u{fffd}\u{fffd}name.wav.json".into()] {
        assert!(spool.0.join("done").join(&done).exists(), "{done}: {stderr}");
    }
    let text = spool.0.join("failed").join(format!("{}.mp3.txt", "b".repeat(196)));
    assert_eq!(fs::read_to_string(text).unwrap().lines().count(), 1);
    assert_eq!(fs::read_dir(&spool.0).unwrap().count(), 4, "done, failed, the link and the pipe");

    // Results do not go where a link leads.
    fs::rename(spool.0.join("done"), spool.0.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", spool.0.join("done")).unwrap();
    let output = watch(&spool.0).arg("--once").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("not a real folder") && stderr.lines().count() == 1, "{stderr}");
}

/// Every file of the model is looked at before the first recording is, which stays where it is.
#[test]
fn a_damaged_model_condemns_no_recording() {
    let spool = Spool::new("damaged");
    let model = Spool::new("damaged-model");
    for entry in fs::read_dir(root().join("models-int8/whisper-tiny.en")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), model.0.join(entry.file_name())).unwrap();
    }
    spool.put("a.wav");
    for (name, at) in [("tokenizer.json", 1_000), ("model.safetensors", 20_000_000)] {
        let before = fs::read(model.0.join(name)).unwrap();
        let mut bytes = before.clone();
        bytes[at] ^= 1;
        fs::write(model.0.join(name), bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
        let output = command.arg("watch").arg(&spool.0).arg("--once").arg("--model").arg(&model.0).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains("does not match its entry in SHA256SUMS") && stderr.contains(name), "{stderr}");
        assert_eq!(spool.waiting(), ["a.wav"]);
        fs::write(model.0.join(name), before).unwrap();
    }
    assert_eq!(fs::read_dir(spool.0.join("failed")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let mut command = watch(Path::new("no/such/folder"));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("not a folder: no/such/folder"), "{stderr}");
}
