//! Recordings that would take far more memory than their plan allows, under a limit that the system keeps.
#![cfg(target_os = "linux")]

#[path = "../../pipelines/tests/audio_odd/bombs.rs"]
#[allow(dead_code, reason = "the library's test measures what they take")]
mod bombs;
mod common;
#[path = "../../pipelines/tests/audio_odd/made.rs"]
#[allow(dead_code, reason = "other tests take the rest")]
mod made;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use bombs::Bomb;
use common::{Folder, ossicle, sample};

/// Bytes in each that are no audio: more than the plan, and what it counts that a limit on data does not.
const BOMB_BYTES: usize = 150 << 20;

/// What may be taken beyond the plan.
const SLACK_BYTES: u64 = 10_000_000;

/// The plan in bytes, as the program has it.
fn planned() -> u64 {
    let output = ossicle().args(["transcribe", "--threads", "1", "--memory-report"]).arg(sample()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let (_, plan) = stderr.split_once("planned ").unwrap_or_else(|| panic!("no report: {stderr}"));
    let megabytes: f64 = plan.split_once(" MB").unwrap().0.parse().unwrap();
    (megabytes * 1e6) as u64
}

#[test]
fn no_recording_takes_more_than_the_plan() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/tests/audio");
    let folder = Folder::new("bombs");
    let limit = format!("--data={}", planned() + SLACK_BYTES);
    bombs::cases(&fixtures, &folder.0, BOMB_BYTES, true, &mut |name, bomb, least| {
        let program = ossicle();
        let mut command = Command::new("prlimit");
        command.arg(&limit).arg(program.get_program()).args(["transcribe", "--threads", "1"]).env_remove("OSSICLE_ISA");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = match bomb {
            Bomb::File(path) => command.arg(path).stdin(Stdio::null()).output().unwrap(),
            Bomb::Stream(mut stream) => {
                let mut child = command.arg("-").stdin(Stdio::piped()).spawn().unwrap();
                // What is refused is not read to its end.
                let _ = io::copy(&mut stream, &mut child.stdin.take().unwrap());
                child.wait_with_output().unwrap()
            }
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)) || least == 0 && code == Some(2), "{name}: {:?}: {stderr}", output.status);
        assert!(!stderr.contains("panicked"), "{name}: {stderr}");
    });
}
