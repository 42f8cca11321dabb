//! What tests of the command line share.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::borrow::Borrow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes away with the test.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        // Tests run side by side, several of them with folders of the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("ossicle-cli-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav")
}

/// The program, untouched by this machine's settings.
pub(crate) fn ossicle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossicle"));
    command.env_remove("OSSICLE_ISA").env_remove("OSSICLE_MODELS").stdin(Stdio::null());
    command
}

/// What a run that went well printed.
#[track_caller]
pub(crate) fn stdout(output: impl Borrow<Output>) -> String {
    let output = output.borrow();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line on stderr of a refusal.
#[track_caller]
pub(crate) fn refusal(output: impl Borrow<Output>) -> String {
    let output = output.borrow();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("ossicle: ") && !stderr.contains("panicked"), "{stderr}");
    stderr.trim().to_owned()
}
