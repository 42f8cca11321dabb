//! `ossicle speak` with one of Piper's voices, its weights by formula, and a program in the place of espeak-ng.

mod common;
#[path = "../../models/tests/toy/mod.rs"]
mod toy;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use common::{Folder, ossicle, refusal, stdout};
use ossicle_kernels::simd::Isa;

/// Letters as they are, in small, each line by itself; what it was called with is in a file next to it.
const LETTERS: &str = "#!/bin/sh\necho \"$@\" > \"$0.called\"\ntr 'A-Z' 'a-z' | tr -cd 'a-z \\n'\n";

/// A folder with a program called espeak-ng.
fn program(text: &str) -> Folder {
    let folder = Folder::new("espeak");
    let path = folder.file("espeak-ng", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn speak(voice: &toy::Folder, programs: &Folder, args: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", programs.0.display());
    ossicle().arg("speak").arg("--voice").arg(&voice.0).args(args).env("PATH", path).output().unwrap()
}

#[test]
fn texts_are_said_as_the_program_says() {
    let (voice, programs) = (toy::vits::folder(false), program(LETTERS));
    let shown = |text: &str| stdout(speak(&voice, &programs, &["--show-phonemes", text]));
    assert_eq!(shown("Ab cd, ef. Is it?\ngh"), "ab cd, ef.\nis it?\ngh.\n");
    assert_eq!(fs::read_to_string(programs.0.join("espeak-ng.called")).unwrap().trim(), "-v en-us -q --ipa -b 1");
    assert_eq!(shown(" ... \u{7} "), "");
    let said = speak(&voice, &programs, &["Ab cd, ef."]);
    let phonemes = speak(&voice, &programs, &["--phonemes", "ab cd, ef."]);
    assert!(said.status.success() && said.stderr.is_empty() && !said.stdout.is_empty());
    assert!(said.stdout == phonemes.stdout);
    let wav = programs.0.join("a.wav");
    assert!(speak(&voice, &programs, &["Ab cd, ef.", "-o", wav.to_str().unwrap()]).status.success());
    let wav = fs::read(wav).unwrap();
    assert_eq!((u32::from_le_bytes(*wav[24..].first_chunk().unwrap()), &wav[44..]), (16_000, &said.stdout[..]));
    // Two lines for one clause: they are put together.
    let twice = program("#!/bin/sh\ncat\necho and more\n");
    assert_eq!(stdout(speak(&voice, &twice, &["--show-phonemes", "ab, cd."])), "ab and more, cd and more.\n");
}

#[test]
fn the_same_bytes_everywhere() {
    let programs = program(LETTERS);
    for pairs in [false, true] {
        let voice = toy::vits::folder(pairs);
        let say = |args: &[&str]| {
            let output = speak(&voice, &programs, &[&["--phonemes", "ˈhello you."], args].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let wanted = say(&[]);
        for isa in Isa::available() {
            for threads in ["1", "3"] {
                assert!(say(&["--isa", isa.name(), "--threads", threads]) == wanted, "{isa}, {threads} threads");
            }
        }
        assert!(say(&["--seed", "1"]) != wanted);
    }
}

#[test]
fn what_cannot_be_said_is_one_line() {
    let voice = toy::vits::folder(false);
    let missing = ossicle().args(["speak", "Hello.", "--voice"]).arg(&voice.0).env("PATH", "/nowhere").output().unwrap();
    let line = refusal(missing);
    assert!(
        line.contains("needs the program espeak-ng for texts: not installed: install it (Debian: espeak-ng), or give --phonemes"),
        "{line}"
    );
    let phonemes = ossicle().args(["speak", "--phonemes", "hello.", "--voice"]).arg(&voice.0).env("PATH", "/nowhere").output().unwrap();
    assert!(phonemes.status.success() && !phonemes.stdout.is_empty());
    let broken = program("#!/bin/sh\necho 'no such voice' >&2\necho 'and more' >&2\nexit 1\n");
    assert!(refusal(speak(&voice, &broken, &["Hello."])).contains("espeak-ng for texts: voice en-us: no such voice"));
    let letters = program(LETTERS);
    assert!(refusal(speak(&voice, &letters, &["--phonemes", "Q"])).contains("'Q' (U+0051), character 1, is no phoneme of this voice"));
    fs::write(voice.0.join("vocab.json"), r#"{"^": 1, "$": 2, "a": 5}"#).unwrap();
    assert!(refusal(speak(&voice, &letters, &["--phonemes", "a"])).contains("which are around clauses, is missing"));
}
