//! `ossicle board` on this machine and on folders that look like a board.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

fn board(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ossicle")).arg("board").args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn this_machine_has_a_processor_and_kernels() {
    let (code, stdout, stderr) = board(&["check", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value["schema"], "ossicle.board/1");
    assert_eq!(value["cores"].as_u64().unwrap() > 0, cfg!(target_os = "linux"));
    let kernels = value["kernels"]["available"].as_array().unwrap();
    assert_eq!(kernels.last(), Some(&value["kernels"]["chosen"]));
    assert_eq!(value["arch"], std::env::consts::ARCH);
}

#[test]
fn a_folder_that_looks_like_a_board() {
    let root = std::env::temp_dir().join(format!("ossicle-board-root-{}", std::process::id()));
    // One file for each thing that is looked for.
    let files = [
        ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0"),
        ("proc/cpuinfo", "processor: 0\nFeatures: fp asimd asimddp\nCPU implementer: 0x41\nCPU part: 0xd0b\n"),
        ("proc/meminfo", "MemTotal: 4000000 kB\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/memory.max", "200000000\n"),
        ("proc/asound/cards", " 2 [seeed2micvoicec]: simple-card - seeed-2mic-voicecard\n"),
        ("proc/asound/pcm", "02-00: x : x : playback 1 : capture 1\n"),
        ("dev/gpiochip4", ""),
    ];
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let root_text = root.to_str().unwrap();
    let (code, text, _) = board(&["check", "--root", root_text]);
    assert_eq!(code, Some(0));
    for expected in
        ["Raspberry Pi 5 Model B Rev 1.0", "4096.0 MB", "200.0 MB by the control group", "/dev/gpiochip4", "plughw:CARD=seeed2micvoicec"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(text.contains("pi5: Raspberry Pi 5 (the device tree names it)") && text.contains("ReSpeaker 2-Mics"), "{text}");
    // What the machine of this test has says nothing about the folder's.
    assert!(text.contains("kernels      unknown\n"), "{text}");
    let (_, json, _) = board(&["check", "--json", "--root", root_text]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["arch"], &value["kernels"], &value["profile"]["id"]), (&json!(null), &json!(null), &json!("pi5")));
    fs::remove_dir_all(&root).unwrap();
    let (code, _, stderr) = board(&["check", "--root", root_text]);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
}

#[test]
fn every_profile_is_listed() {
    let (code, stdout, _) = board(&["list"]);
    assert_eq!(code, Some(0));
    let profiles = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards/profiles")).unwrap().count();
    assert_eq!(stdout.lines().count(), profiles, "{stdout}");
    assert!(stdout.contains("pi4               Raspberry Pi 4 Model B") && stdout.contains("budget 536.9 MB"), "{stdout}");
    let (_, rows, _) = board(&["list", "--json"]);
    assert!(rows.lines().all(|row| serde_json::from_str::<serde_json::Value>(row).unwrap()["cores"].is_u64()));
}
