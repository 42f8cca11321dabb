//! `ossicle speak`: what it writes, and what it refuses.

mod common;

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::{Folder, ossicle};
use ossicle_kernels::simd::Isa;

const PHONEMES: &str = "ðə lˈIt ɪn ðə kˈɪʧᵊn ɪz ˌɔn.";

fn speak(args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command: Command = ossicle();
    command.arg("speak").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside the reader of what comes, or both would wait.
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            scope.spawn(move || stdin.write_all(input).unwrap());
        }
        child.wait_with_output().unwrap()
    })
}

fn samples(args: &[&str]) -> Vec<u8> {
    let output = speak(args, None);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn complaint(args: &[&str], input: Option<&[u8]>) -> (i32, String) {
    let output = speak(args, input);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    (output.status.code().unwrap(), line)
}

#[test]
fn the_same_bytes_as_wav_raw_and_on_every_machine() {
    let raw = samples(&["--phonemes", PHONEMES]);
    let seconds = raw.len() as f64 / 48_000.0;
    assert!((1.0..3.0).contains(&seconds), "{seconds} s");
    let values: Vec<i16> = raw.as_chunks().0.iter().map(|&bytes| i16::from_le_bytes(bytes)).collect();
    let largest = values.iter().map(|value| value.unsigned_abs()).max().unwrap();
    assert!((2000..32_767).contains(&largest), "{largest}");
    for isa in Isa::available() {
        for threads in ["1", "3"] {
            assert_eq!(samples(&["--phonemes", PHONEMES, "--isa", isa.name(), "--threads", threads]), raw, "{isa}, {threads} threads");
        }
    }
    let folder = Folder::new("speak");
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    assert!(samples(&["--phonemes", PHONEMES, "-o", &path("a.wav")]).is_empty());
    let wav = fs::read(path("a.wav")).unwrap();
    assert_eq!(&wav[44..], raw);
    assert_eq!(u32::from_le_bytes(*wav[40..].first_chunk().unwrap()) as usize, raw.len());
    samples(&["--phonemes", PHONEMES, "-o", &path("a.flac")]);
    let mut flac = ossicle::audio::AudioReader::open(path("a.flac")).unwrap();
    assert_eq!((flac.info().sample_rate, flac.expected_samples()), (24_000, Some(raw.len() as u64 / 3)));
    let mut wave = ossicle::audio::AudioReader::open(path("a.wav")).unwrap();
    assert_eq!(flac.read_to_end().unwrap(), wave.read_to_end().unwrap());
    let bytes = fs::metadata(path("a.flac")).unwrap().len();
    assert!(bytes < raw.len() as u64 * 7 / 10, "{bytes} of {}", raw.len());
    samples(&["--phonemes", PHONEMES, "-o", &path("a.raw")]);
    assert_eq!(fs::read(path("a.raw")).unwrap(), raw);
    assert_ne!(samples(&["--phonemes", PHONEMES, "--seed", "1"]), raw);
    assert!(samples(&["--phonemes", PHONEMES, "--speed", "1.5"]).len() < raw.len() * 4 / 5);
}

#[test]
fn lines_come_one_after_another() {
    let output = speak(&["--phonemes", "-"], Some(format!("{PHONEMES}\n\n{PHONEMES}").as_bytes()));
    assert!(output.status.success());
    let one = samples(&["--phonemes", PHONEMES]);
    assert_eq!(output.stdout.len(), 2 * one.len());
    assert_eq!(output.stdout[..one.len()], one[..]);
    assert_eq!(output.stdout[one.len()..], samples(&["--phonemes", PHONEMES, "--seed", "2"])[..]);
    assert!(samples(&["--phonemes", ""]).is_empty());
    // A bad line is told, and the others are said.
    let output = speak(&["--phonemes", "-"], Some(format!("{PHONEMES}\nhe1lo\n").as_bytes()));
    assert_eq!((output.status.code(), output.stdout == one), (Some(1), true));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2: '1' (U+0031), character 3"));
}

#[test]
fn what_cannot_be_said_is_one_line() {
    for (args, line) in [
        (&["--phonemes", "he1lo"][..], "--phonemes: '1' (U+0031), character 3, is no phoneme of this voice"),
        (&["--phonemes", "a", "-o", "a.mp3"], "unknown kind of file: a.mp3: give a name that ends in .wav, .flac, .raw or .pcm"),
        (&["--phonemes", "a", "-o", "/nowhere/a.wav"], "cannot write"),
        (&["--phonemes", "a", "--speed", "3"], "a speed of 3, 0.5 to 2 is possible"),
        (&["--phonemes", "a", "--speed", "nan"], "a speed of NaN"),
        (&["--phonemes", "a", "--voice", "nobody"], "model nobody not found"),
        (&["--phonemes", "a", "--voice", "yamnet"], "kind is \"yamnet\", not \"hibari\""),
        (&["--phonemes", "a", "--memory", "1MB"], "buffers of"),
        (&["--phonemes", "a", "--memory", "10MB"], "the plan needs"),
    ] {
        let (status, complaint) = complaint(args, None);
        assert!(status == 2 && complaint.contains(line), "{args:?}: {status} {complaint}");
    }
}

#[test]
fn hostile_text_ends() {
    let long = "ˈɑ".repeat(2_000);
    let output = speak(&["--phonemes", "-", "--speed", "2"], Some(long.as_bytes()));
    assert!(output.status.success() && output.stdout.len() > 1 << 19);
    for input in [&b"\xff\xfe\x00"[..], "\u{1f600}\u{202e}\0\x07".as_bytes()] {
        let (status, line) = complaint(&["--phonemes", "-"], Some(input));
        assert!(status == 1 && line.contains("is no phoneme"), "{line}");
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    }
}

#[test]
fn a_text_is_said_as_its_phonemes_are() {
    const TEXT: &str = "The light in the kitchen is on.";
    let phonemes = String::from_utf8(samples(&["--show-phonemes", TEXT])).unwrap();
    assert_eq!(phonemes.lines().count(), 1, "{phonemes}");
    assert!(phonemes.contains("lˈIt") && phonemes.contains("kˈɪʧ"), "{phonemes}");
    let said = samples(&[TEXT]);
    assert_eq!(said, samples(&["--phonemes", phonemes.trim()]));
    // From standard input, a line at a time; the first has the same seed.
    let piped = speak(&["-"], Some(TEXT.as_bytes()));
    assert!(piped.status.success() && piped.stdout == said);
    let shown = speak(&["--show-phonemes", "-"], Some(TEXT.as_bytes()));
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), phonemes);
    // Of two sentences, too, and a character of three bytes may lie where standard input is cut.
    let two = samples(&["It is on. It is off."]);
    assert!(speak(&["-"], Some(b"It is on. It is off.")).stdout == two && two.len() > said.len() / 2);
    let cut = [" ".repeat((1 << 16) - 1), "—".into()].concat();
    let output = speak(&["--phonemes", "-"], Some(cut.as_bytes()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Two sentences are two lines, and a word that cannot be said is told.
    let two = speak(&["--show-phonemes", "It is on. 日本語 is not."], None);
    assert_eq!(String::from_utf8(two.stdout).unwrap().lines().count(), 2);
    assert!(String::from_utf8(two.stderr).unwrap().contains("日本語"));
    assert_eq!(complaint(&["-", "--phonemes", "x"], None).0, 2);
}
