//! `ossicle generate` on a model with weights by formula: bytes, lengths, memory and refusals.

mod common;
#[path = "../../models/tests/toy/mod.rs"]
mod toy;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Folder, ossicle, refusal, stdout};
use ossicle_kernels::simd::Isa;
use serde_json::json;

/// Samples of a frame of the toy's codec, at 16 kHz.
const HOP: usize = 30;

/// A model with its codec and its encoder of descriptions.
fn model() -> toy::Folder {
    toy::sounds::folder()
}

fn generate(model: &Path, arguments: &[&str]) -> std::process::Output {
    ossicle().arg("generate").args(arguments).arg("--model").arg(model).output().unwrap()
}

/// The bytes of a sound.
fn sound(model: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = generate(model, &[arguments, &["-o", "-"]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_seed_gives_the_same_bytes_on_every_instruction_set_and_number_of_threads() {
    let model = model();
    for seconds in ["0.1", "0.4"] {
        let whole = sound(&model.0, &["a dog barks", "--seconds", seconds, "--seed", "5", "--isa", "scalar", "--threads", "1"]);
        let frames = (seconds.parse::<f64>().unwrap() * 16_000.0 / HOP as f64).round() as usize;
        assert_eq!(whole.len(), 2 * HOP * frames);
        assert!(whole.iter().any(|&byte| byte != 0));
        for isa in Isa::available() {
            for threads in ["1", "3"] {
                let arguments = ["a dog barks", "--seconds", seconds, "--seed", "5", "--isa", isa.name(), "--threads", threads];
                assert!(sound(&model.0, &arguments) == whole, "{isa}, {threads} threads, {seconds} s");
            }
        }
        for other in [["--seed", "6"], ["--guidance", "1"], ["--top-k", "2"], ["--temperature", "0"], ["--top-p", "0.3"]] {
            let seed = if other[0] == "--seed" { &[][..] } else { &["--seed", "5"] };
            let other = sound(&model.0, &[&["a dog barks", "--seconds", seconds][..], seed, &other].concat());
            assert!(other.len() == whole.len() && other != whole, "{other:?} changes nothing");
        }
        assert!(sound(&model.0, &["dog dog", "--seconds", seconds, "--seed", "5"]) != whole, "another description");
    }
}

#[test]
fn a_codec_of_spectra_has_noise_of_the_seed_and_goes_on_too() {
    let (model, out) = (toy::sounds::of_spectra(), Folder::new("spectra"));
    let options = ["a dog barks", "--seconds", "0.5", "--temperature", "0", "--seed", "5"];
    let whole = sound(&model.0, &[&options[..], &["--isa", "scalar"]].concat());
    assert_eq!(whole.len(), 2 * 8000);
    for isa in Isa::available() {
        for threads in ["1", "3"] {
            assert!(sound(&model.0, &[&options[..], &["--isa", isa.name(), "--threads", threads]].concat()) == whole, "{isa}, {threads}");
        }
    }
    // The codes are the likeliest ones whatever the seed; noise is not.
    let other = sound(&model.0, &["a dog barks", "--seconds", "0.5", "--temperature", "0", "--seed", "6"]);
    assert!(other.len() == whole.len() && other != whole);
    let first = out.0.join("first.wav");
    assert!(generate(&model.0, &[&options[..], &["-o", first.to_str().unwrap()]].concat()).status.success());
    let longer = sound(&model.0, &[&options[..], &["--continue-from", first.to_str().unwrap()]].concat());
    assert_eq!(longer.len(), 2 * 16_000);
}

#[test]
fn files_are_written_where_they_are_wanted() {
    let (model, out) = (model(), Folder::new("sounds"));
    let file = |name: &str| out.0.join(name).to_str().unwrap().to_owned();
    assert_eq!(stdout(generate(&model.0, &["a dog", "-o", &file("one.wav"), "--seconds", "0.1"])), "");
    let raw = sound(&model.0, &["a dog", "--seconds", "0.1"]);
    let wav = fs::read(file("one.wav")).unwrap();
    assert_eq!((&wav[..4], &wav[44..]), (&b"RIFF"[..], &raw[..]));
    assert_eq!(
        (u32::from_le_bytes([wav[24], wav[25], wav[26], wav[27]]), wav[40..44].to_vec()),
        (16_000, (raw.len() as u32).to_le_bytes().to_vec())
    );
    // Each of several is what it would be alone.
    stdout(generate(&model.0, &["a", "a dog", "--output-dir", &file("all"), "--seconds", "0.1"]));
    assert!(fs::read(file("all/2.wav")).unwrap() == wav && fs::read(file("all/1.wav")).unwrap() != wav);
}

#[test]
fn descriptions_come_from_a_file_and_seeds_in_a_row() {
    let (model, out) = (model(), Folder::new("seeds"));
    let file = |name: &str| out.0.join(name).to_str().unwrap().to_owned();
    fs::write(file("prompts.txt"), "a dog\n\n  dog barks \r\n").unwrap();
    let arguments = ["a", "--prompts", &file("prompts.txt"), "--seed", "4", "--seeds", "2", "--seconds", "0.1"];
    stdout(generate(&model.0, &[&arguments[..], &["--output-dir", &file("all"), "--page", &file("page.html")]].concat()));
    let mut names: Vec<_> = fs::read_dir(file("all")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["1-seed4.wav", "1-seed5.wav", "2-seed4.wav", "2-seed5.wav", "3-seed4.wav", "3-seed5.wav"]);
    let alone = sound(&model.0, &["dog barks", "--seed", "5", "--seconds", "0.1"]);
    assert!(fs::read(file("all/3-seed5.wav")).unwrap()[44..] == alone);
    let page = fs::read_to_string(file("page.html")).unwrap();
    assert!(page.matches("<audio").count() == 6 && page.contains("<th>seed 4</th><th>seed 5</th>") && page.contains("<th>dog barks</th>"));
}

#[test]
fn prepared_descriptions_need_no_encoder() {
    let (model, out) = (model(), Folder::new("prepared"));
    let file = |name: &str| out.0.join(name).to_str().unwrap().to_owned();
    let rows = file("dogs.rows");
    let arguments = ["--seconds", "0.1", "--seed", "3"];
    let wanted = sound(&model.0, &[&["dog barks"][..], &arguments].concat());
    stdout(generate(&model.0, &["a dog", "dog barks", "--prepare", &rows]));
    fs::rename(model.0.join("text"), out.0.join("text")).unwrap();
    assert!(refusal(generate(&model.0, &[&["dog barks", "-o", "-"][..], &arguments].concat())).contains("text"));
    assert!(sound(&model.0, &[&["dog barks", "--prepared", &rows][..], &arguments].concat()) == wanted);
    stdout(generate(&model.0, &[&["--prepared", &rows, "--output-dir", &file("all")][..], &arguments].concat()));
    assert!(fs::read(file("all/2.wav")).unwrap()[44..] == wanted && Path::new(&file("all/1.wav")).exists());
    let refused = |rows: &str, text: &str| refusal(generate(&model.0, &[text, "--prepared", rows, "-o", "-"]));
    assert!(refused(&rows, "a cat").contains("\"a cat\" is not among the descriptions"));
    let whole = fs::read(&rows).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(&rows, &whole[..length]).unwrap();
        assert!(refused(&rows, "a dog").contains("dogs.rows"), "{length}");
    }
    let at = whole.windows(8).position(|bytes| bytes == b"model\":\"").unwrap() + 8;
    let mut other = whole.clone();
    other[at] = if other[at] == b'0' { b'1' } else { b'0' };
    fs::write(&rows, &other).unwrap();
    assert!(refused(&rows, "a dog").contains("prepared for another model"));
    let mut odd = whole;
    odd.splice(odd.len() - 4.., f32::NAN.to_le_bytes());
    fs::write(&rows, &odd).unwrap();
    assert!(refused(&rows, "a dog").contains("has no rows of 80 finite values"));
}

/// 16-bit samples.
fn samples(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(2).map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
}

#[test]
fn a_loop_ends_where_it_begins() {
    let model = model();
    let looped = samples(&sound(&model.0, &["a dog", "--seconds", "1.2", "--seed", "2", "--loop"]));
    let plain = samples(&sound(&model.0, &["a dog", "--seconds", "1.7", "--seed", "2"]));
    // Whole frames of 30 samples, and half a second less.
    assert_eq!((looped.len(), plain.len()), (27_210 - 8000, 27_210));
    // The plain sound from the end of the seam on; before it, a mixture that begins as what comes after the end.
    assert!(looped[8000..] == plain[8000..looped.len()]);
    assert!((looped[0] - plain[looped.len()]).abs() < 400 && looped[..8000] != plain[..8000], "{} {}", looped[0], plain[looped.len()]);
}

#[test]
fn a_sound_goes_on_from_a_recording() {
    let (model, out) = (model(), Folder::new("on"));
    let file = |name: &str| out.0.join(name).to_str().unwrap().to_owned();
    for (seconds, seed) in [("0.2", "1"), ("0.5", "2")] {
        // Shorter than what the model still sees of it, and longer.
        stdout(generate(&model.0, &["a dog", "-o", &file("first.wav"), "--seconds", seconds, "--seed", seed]));
        let arguments = ["a dog", "--continue-from", &file("first.wav"), "--seconds", "0.1", "--seed", "9"];
        let longer = sound(&model.0, &arguments);
        let frames = |seconds: f64| (seconds * 16_000.0 / HOP as f64).round() as usize;
        let first: f64 = seconds.parse().unwrap();
        assert_eq!(longer.len(), 2 * HOP * (frames(first) + frames(0.1)), "{seconds} s");
        let other = sound(&model.0, &[&arguments[..5], &["--seed", "10"]].concat());
        let kept = 2 * HOP * (frames(first) - 8);
        assert!(longer[..kept] == other[..kept] && longer != other, "{seconds} s: the beginning is the recording's, the rest the seed's");
        for isa in Isa::available() {
            assert!(sound(&model.0, &[&arguments[..], &["--isa", isa.name(), "--threads", "2"]].concat()) == longer, "{isa}");
        }
    }
}

#[test]
fn memory_and_time_are_told_beforehand() {
    let model = model();
    let refused = refusal(generate(&model.0, &["a dog", "-o", "-", "--memory", "1MB"]));
    assert!(
        refused.contains("the plan needs ") && refused.contains("more than --memory 1.0 MB") && refused.contains("codec "),
        "{refused}"
    );
    let output = generate(&model.0, &["a dog", "-o", "-", "--seconds", "0.1", "--memory-report", "--memory", "200MB"]);
    let report = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = report.lines().collect();
    assert!(output.status.success() && lines.len() == 2, "{report}");
    assert!(
        lines[0].starts_with("memory: ") && lines[1].starts_with("time: about ") && lines[1].ends_with(" s on this machine"),
        "{report}"
    );
    // What was tried to say how long it takes leaves nothing behind.
    assert!(output.stdout == sound(&model.0, &["a dog", "--seconds", "0.1"]));
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let (model, out) = (model(), Folder::new("none"));
    let file: PathBuf = out.0.join("x.wav");
    let file = file.to_str().unwrap();
    let long = "a dog barks ".repeat(1000);
    for (arguments, words) in [
        (&["", "-o", file][..], "an empty description: say what is to be heard"),
        (&["  ", "-o", file], "an empty description"),
        (&[&long, "-o", file], "tokens, this model takes 70: shorten it"),
        (&["a dog", "-o", file, "--seconds", "14400"], "14400 seconds: 0.1 to 600 are possible"),
        (&["a dog", "-o", file, "--seconds", "NaN"], "seconds: 0.1 to 600"),
        (&["a dog", "-o", file, "--temperature=-1"], "temperature -1: 0, or 0.001 to 100, is possible"),
        (&["a dog", "-o", file, "--guidance", "1000"], "guidance 1000: 0 to 100 is possible"),
        (&["a dog", "-o", file, "--top-p", "2"], "top-p 2: 0 to 1"),
        (&["a dog"], "nowhere to write to: give -o FILE.wav"),
        (&["a dog", "a", "-o", file], "-o takes one sound, there are 2: give --output-dir"),
        (&["a dog", "-o", "sound.mp3", "--seconds", "0.1"], "give a name that ends in .wav, .flac, .raw or .pcm"),
        (&["a dog", "--seeds", "2", "-o", file], "-o takes one sound, there are 2"),
        (&["a dog", "--seeds", "0", "-o", file], "0 is not in 1..=1000"),
        (&["a dog", "a", "--seeds", "501", "-o", file], "1002 sounds: at most 1000"),
        (&["a dog", "--seed", "18446744073709551615", "--seeds", "2", "-o", file], "there are none above 18446744073709551615"),
        (&["a dog", "--loop", "--seconds", "0.5", "-o", file], "at least 1 are possible with --loop"),
        (&["--prompts", "no/such.txt", "-o", file], "no/such.txt"),
        (&["--prompts", "/dev/null", "-o", file], "no descriptions: /dev/null"),
        (&["a dog", "--continue-from", "no/such.wav", "-o", file], "no/such.wav"),
        (
            &["a dog", "--seconds", "600", "--seeds", "3", "--output-dir", file, "--page", file],
            "1800 s of sounds: a page has room for 1200",
        ),
    ] {
        let line = refusal(generate(&model.0, arguments));
        assert!(line.contains(words), "{line}");
    }
    assert!(!Path::new(file).exists(), "what was refused left a file behind");
    let line = refusal(generate(&out.0.join("nothing"), &["a dog", "-o", file]));
    assert!(line.contains("nothing"), "{line}");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let change = |part: &str, key: &str, value: serde_json::Value| {
        let model = model();
        let path = model.0.join(part).join("config.json");
        let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
        refusal(generate(&model.0, &["a dog", "-o", "-", "--seconds", "0.1"]))
    };
    let cases = [
        (change("codec", "codebook_size", json!(64)), "the model has 48 codes, its codec 64"),
        (change("codec", "num_quantizers", json!(2)), "the model has 3 codebooks, its codec 2"),
        (change("text", "d_model", json!(96)), "gives rows of 96 values, the model takes 80"),
        (change("text", "kind", json!("yamnet")), "yamnet"),
        (change("codec", "num_filters", json!(0)), "num_filters is 0"),
        (change("", "ffn_dim", json!(176)), "layers.0.up.weight"),
    ];
    for (line, words) in cases {
        assert!(line.contains(words), "{line}");
    }
    for part in ["codec", "text", "text/tokenizer.json", "codec/model.safetensors"] {
        let model = model();
        let path = model.0.join(part);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let line = refusal(generate(&model.0, &["a dog", "-o", "-", "--seconds", "0.1"]));
        assert!(line.contains(part), "{line}");
    }
}
