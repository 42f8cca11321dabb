//! The shape of the code: how long files and functions are, what there is once, and how much of the library's root has an example.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Most lines of a file, its tests included and its documentation (`///` and `//!`) left out: nobody shall save on that.
const FILE_LINES: usize = 400;

/// Most lines of a function.
const FUNCTION_LINES: usize = 80;

/// Tables, which are as long as what they list.
const TABLES: &[&str] = &[
    "runtime/frontend/src/tables/lowpass.rs",
    "runtime/frontend/src/tables/vad.rs",
    "runtime/sentences/src/hass/number_words/tables.rs",
    "runtime/text/src/tables.rs",
];

/// Files and functions that are still too long, with their length: they may shrink, and go from here once they are short enough.
const TOO_LONG: &[(&str, usize)] = &[
    ("quantize/src/audiogen/read.rs audiocraft", 98),
    ("quantize/src/network/lower/arithmetic.rs", 448),
    ("quantize/src/network/tests/mod.rs", 456),
    ("quantize/src/reference.rs", 411),
    ("quantize/src/sources/pickle/machine.rs", 418),
    ("quantize/tests/all/events.rs a_class_is_learned_and_heard", 84),
    ("runtime/cli/tests/detect.rs", 430),
    ("runtime/cli/tests/transcribe.rs", 427),
    ("runtime/kernels/src/dot.rs", 409),
    ("runtime/models/tests/whisper.rs main", 118),
    ("runtime/pipelines/src/audio/matroska.rs", 420),
    ("runtime/pipelines/src/command/recogniser.rs", 436),
    ("runtime/pipelines/src/command/search.rs", 405),
    ("runtime/pipelines/src/events/detector.rs", 434),
    ("runtime/pipelines/tests/audio_odd/bombs.rs cases", 140),
    ("runtime/sentences/src/hass/layout.rs", 474),
    ("runtime/serve/tests/service/client.rs", 417),
];

/// What there is one of under `runtime`.
const ONCE: &[(&str, usize)] =
    &[("pub struct MemoryPlan", 1), ("struct Workspace", 0), ("pub struct Session {", 1), ("pub trait Layer:", 1)];

/// Where the types at the root of `ossicle` are.
const ROOT: &[(&str, &str)] = &[
    ("pipelines/src/audio/reader.rs", "AudioReader"),
    ("pipelines/src/classify/any.rs", "AnyClassifier"),
    ("pipelines/src/classify/mod.rs", "Labels"),
    ("pipelines/src/command/commands.rs", "Commands"),
    ("pipelines/src/events/detector.rs", "Detector"),
    ("pipelines/src/events/mod.rs", "Event"),
    ("pipelines/src/label/image/mod.rs", "Image"),
    ("pipelines/src/source.rs", "SampleSource"),
    ("pipelines/src/speak/voice.rs", "Voice"),
    ("pipelines/src/whisper/options.rs", "TranscribeOptions"),
    ("pipelines/src/whisper/transcriber.rs", "Transcriber"),
    ("pipelines/src/whisper/transcript.rs", "Segment"),
    ("pipelines/src/whisper/transcript.rs", "Summary"),
    ("pipelines/src/whisper/transcription.rs", "Transcription"),
    ("engine/src/memory_plan.rs", "MemoryPlan"),
    ("engine/src/options.rs", "Options"),
    ("kernels/src/simd/isa.rs", "Isa"),
];

/// Least part of the root's types and methods that have an example, in hundredths.
const EXAMPLES: usize = 55;

/// Checks the shape of the code and prints the share of examples.
///
/// # Errors
/// What is too long, there more than once, or without an example too often.
pub(super) fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    let files = rust_files(&root)?;
    let mut problems = Vec::new();
    let mut once = vec![0; ONCE.len()];
    for file in &files {
        let name = file.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).with_context(|| name.clone())?;
        problems.extend(too_long(&name, &text));
        if name.starts_with("runtime/") {
            once.iter_mut().zip(ONCE).for_each(|(count, (what, _))| *count += text.lines().filter(|line| line.contains(what)).count());
        }
    }
    for ((what, wanted), count) in ONCE.iter().zip(once) {
        if count != *wanted {
            problems.push(format!("{what:?} is in runtime/ {count} times, not {wanted}"));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    let (with, all) = examples(&root.join("runtime"))?;
    println!("{with} of {all} types and methods at the root of ossicle have an example");
    ensure!(100 * with >= EXAMPLES * all, "at least {EXAMPLES} % need one");
    Ok(())
}

fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What of a file is longer than it may be.
fn too_long(name: &str, text: &str) -> Vec<String> {
    let allowed = |what: &str, limit: usize| TOO_LONG.iter().find(|(known, _)| *known == what).map_or(limit, |(_, lines)| *lines);
    let mut problems = Vec::new();
    let lines = length(text);
    let most = allowed(name, FILE_LINES);
    if !TABLES.contains(&name) && lines > most {
        problems.push(format!("{name}: {lines} lines, {most} are allowed"));
    }
    for (function, lines) in functions(text) {
        let most = allowed(&format!("{name} {function}"), FUNCTION_LINES);
        if lines > most {
            problems.push(format!("{name}: {function} has {lines} lines, {most} are allowed"));
        }
    }
    problems
}

/// Lines without documentation.
fn length(text: &str) -> usize {
    text.lines().filter(|line| !line.trim_start().starts_with("///") && !line.starts_with("//!")).count()
}

/// Functions with their lines, by indentation: the code is formatted.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let words = ["pub", "const", "unsafe", "async", "extern", "\"C\""];
        if !before.split_whitespace().all(|word| words.contains(&word) || word.starts_with("pub(")) {
            continue;
        }
        let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = lines[start..]
            .iter()
            .position(|line| line.strip_prefix(indent).is_some_and(|rest| rest == "}" || (rest.ends_with(';') && !rest.starts_with(' '))));
        if let Some(end) = end {
            found.push((name, end + 1));
        }
    }
    found
}

/// How many of the root's types and public methods have an example, and how many there are.
fn examples(runtime: &Path) -> anyhow::Result<(usize, usize)> {
    let (mut with, mut all) = (0, 0);
    for (file, name) in ROOT {
        let text = fs::read_to_string(runtime.join(file)).with_context(|| (*file).to_owned())?;
        let items = items(&text, name);
        ensure!(!items.is_empty(), "{file}: there is no {name}");
        with += items.iter().filter(|documented| **documented).count();
        all += items.len();
    }
    Ok((with, all))
}

/// The type `name` and each of its public methods: whether an example stands above it.
fn items(text: &str, name: &str) -> Vec<bool> {
    let (mut example, mut inside, mut found) = (false, false, Vec::new());
    for line in text.lines() {
        let code = line.trim_start();
        let is = |kind: &str| {
            code.strip_prefix(kind).is_some_and(|rest| rest.starts_with(name) && !rest[name.len()..].starts_with(char::is_alphanumeric))
        };
        if line.starts_with("impl") {
            // Of the type itself: methods of traits have the traits' documentation.
            let own = line
                .split_whitespace()
                .find(|word| word.starts_with(name))
                .is_some_and(|word| !word[name.len()..].starts_with(char::is_alphanumeric));
            inside = own && !line.contains(" for ");
        }
        if ["pub struct ", "pub enum ", "pub trait "].iter().any(|kind| is(kind))
            || inside && (code.starts_with("pub fn ") || code.starts_with("pub const fn "))
        {
            found.push(example);
        }
        if line == "}" {
            inside = false;
        }
        if code.starts_with("///") {
            example |= code.contains("```");
        } else if !code.starts_with("#[") {
            example = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_end_where_their_braces_do() {
        let text = "impl X {\n    pub(super) fn a(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n\n    fn b();\n}\nconst fn c() {\n    d;\n}\n";
        let found = functions(text);
        assert_eq!(found, [("a".to_owned(), 5), ("b".to_owned(), 1), ("c".to_owned(), 3)]);
        let long = format!("fn f() {{\n{}}}\n", "    x;\n".repeat(FUNCTION_LINES));
        assert_eq!(too_long("a.rs", &long).len(), 1);
        assert_eq!(too_long("a.rs", &"// x\n".repeat(FILE_LINES + 1)).len(), 1);
    }

    #[test]
    fn examples_are_counted_for_a_type_and_its_own_methods() {
        let text = "/// ```\n/// x\n/// ```\n#[derive(Debug)]\npub struct X;\npub struct Xy;\nimpl X {\n    /// No.\n    pub fn a() {}\n    /// ```\n    pub fn b() {}\n}\nimpl Xy {\n    pub fn c() {}\n}\n";
        assert_eq!(items(text, "X"), [true, false, true]);
    }

    #[test]
    fn what_is_said_to_be_too_long_is() {
        let root = crate::root().unwrap();
        for (what, lines) in TOO_LONG {
            let (file, function) = what.split_once(' ').map_or((*what, None), |(file, function)| (file, Some(function)));
            let text = fs::read_to_string(root.join(file)).unwrap();
            let is = match function {
                None => length(&text),
                Some(name) => functions(&text).into_iter().filter(|(own, _)| own == name).map(|(_, lines)| lines).max().unwrap_or(0),
            };
            let limit = if function.is_some() { FUNCTION_LINES } else { FILE_LINES };
            assert!(is > limit && is <= *lines, "{what}: {is} lines; shorten the list");
        }
    }
}
